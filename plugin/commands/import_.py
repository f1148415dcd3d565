"""The command `import`: ConfigMapSyncs for the annotations of other tools.

`plugin/peers/` translates; this module reads files or a cluster, and prints. Its
standard output is a file to apply.
"""

import sys

import click

from configmapsync.spec import ConflictPolicy
from dryrun.files import documents_of
from kube.connection import ConnectionSettings
from plugin.cluster import problems, run
from plugin.options import cluster_options, errors_end_with, filename_option
from plugin.peers import cluster_reading, documents
from plugin.peers.importing import translate
from plugin.peers.inventory import Inventory
from plugin.peers.rendering import as_yaml
from plugin.terminal import counted, printable

EXIT_COMPLETE, EXIT_INCOMPLETE, EXIT_FAILURE = 0, 1, 2


@click.command()
@filename_option(
    "YAML file or folder, or - for standard input, instead of a cluster; may be repeated"
)
@click.option(
    "--conflict-policy",
    type=click.Choice([policy.value for policy in ConflictPolicy]),
    default=ConflictPolicy.ADOPT.value,
    show_default=True,
    help="of the syncs; Adopt takes over the copies that the other tool has made",
)
@cluster_options
def command(cluster: ConnectionSettings, filename: tuple[str, ...], conflict_policy: str) -> None:
    """Write syncs that do what other tools do: reflector, replicator and config-syncer.

    Standard output is YAML to apply. Standard error lists what the syncs do differently.

    Exit code: 0 if the syncs do all that the annotations ask for, 1 if something cannot be
    expressed, 2 if files or cluster cannot be read.
    """
    with errors_end_with(EXIT_FAILURE), problems():
        inventory = _read_files(filename) if filename else run(cluster, cluster_reading.read)
    syncs, remarks = translate(inventory, ConflictPolicy(conflict_policy))
    click.echo(as_yaml(syncs, remarks), nl=False)
    for remark in remarks:
        click.echo(printable(str(remark)), err=True)
    lost = sum(remark.lost for remark in remarks)
    click.echo(f"{counted(len(syncs), 'sync')}, {lost} not expressible", err=True)
    sys.exit(EXIT_INCOMPLETE if lost else EXIT_COMPLETE)


def _read_files(filenames: tuple[str, ...]) -> Inventory:
    inventory = Inventory()
    for filename in filenames:
        for document, _ in documents_of(filename):
            documents.add(inventory, document)
    return inventory
