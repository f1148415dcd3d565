"""The command `status`: a table of syncs with their state.

`plugin/rows.py` computes the rows. This module reads the cluster and prints.
"""

from contextlib import suppress
from datetime import UTC, datetime

import click

from kube.configuration import default_namespace
from kube.connection import ConnectionSettings
from plugin.cluster import problems, run
from plugin.options import cluster_options, output_option
from plugin.reading import Reader
from plugin.rows import row_of, status_table
from plugin.terminal import show
from plugin.watching import watch_rows

TABLES = frozenset({"table", "wide"})


@click.command()
@click.option(
    "-n", "--namespace", metavar="NAME", help="the namespace; default: that of the context"
)
@click.option("-A", "--all-namespaces", is_flag=True, help="all namespaces")
@click.option("-w", "--watch", is_flag=True, help="print again what changes, until Ctrl-C")
@output_option("table", "wide", "json", "yaml", default="table")
@cluster_options
def command(
    cluster: ConnectionSettings,
    namespace: str | None,
    output: str,
    *,
    all_namespaces: bool,
    watch: bool,
) -> None:
    """Show every sync with its state, copies, age and last failure."""
    if namespace and all_namespaces:
        raise click.UsageError("-n and -A exclude each other")
    if watch and output not in TABLES:
        raise click.UsageError("--watch prints a table; use it without -o json and -o yaml")
    wide = output == "wide"
    covered = "" if all_namespaces else namespace or namespace_of(cluster)
    if watch:
        with suppress(KeyboardInterrupt):  # Ctrl-C is the way to end it
            run(cluster, lambda reader: _watch(reader, covered, wide=wide))
        return
    rows = [row_of(record) for record in run(cluster, lambda reader: reader.syncs(covered))]
    if not rows and output in TABLES:
        click.echo(f"There is no ConfigMapSync{f' in {covered}' if covered else ''}.", err=True)
        return
    now = datetime.now(UTC)  # noqa: TID251 - the entry point
    show(rows, status_table(rows, now, wide=wide) if output in TABLES else (), output)


def namespace_of(cluster: ConnectionSettings) -> str:
    """Return the namespace of the context.

    Raises:
        ClickException: the kubeconfig cannot be read.
    """
    with problems():
        return default_namespace(cluster.kubeconfig, cluster.context)


async def _watch(reader: Reader, namespace: str, *, wide: bool) -> None:
    await reader.syncs(namespace)  # an error ends the command; the watch would retry forever
    await reader.progress.stop()
    await watch_rows(reader.sync_informer(namespace), wide=wide)
