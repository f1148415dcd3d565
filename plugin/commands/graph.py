"""The command `graph`: syncs with their sources and copies as Mermaid, DOT or SVG.

`plugin/drawing.py` and `plugin/svg.py` draw. This module reads the cluster and prints.
"""

import click

from kube.connection import ConnectionSettings
from plugin.cluster import run
from plugin.drawing import dot, draw, mermaid
from plugin.options import cluster_options, output_option
from plugin.reading import Reader
from plugin.svg import svg

FORMATS = {"mermaid": mermaid, "dot": dot, "svg": svg}


@click.command()
@click.option(
    "-n", "--namespace", metavar="NAME", help="only the syncs of this namespace; default: all"
)
@output_option(*FORMATS, default="mermaid")
@cluster_options
def command(cluster: ConnectionSettings, namespace: str | None, output: str) -> None:
    """Draw all syncs with their sources and copies as Mermaid, DOT or SVG.

    Each node has its state. Of a sync with many copies those are drawn that failed or that are
    the source of another sync.
    """
    network = run(cluster, Reader.network)
    syncs = [record for record in network.syncs.values() if namespace in {None, record.namespace}]
    drawing = draw(network, syncs)
    if drawing.left_out:
        click.echo(f"{drawing.left_out:,} syncs are left out; use -n NAMESPACE.", err=True)
    click.echo(FORMATS[output](drawing), nl=False)
