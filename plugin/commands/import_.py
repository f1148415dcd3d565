"""The command `import`: ConfigMapSyncs for the annotations of other tools.

`plugin/peers/` translates; this module reads files or a cluster, and prints. Its
standard output is a file to apply.
"""

import sys

import click

from configmapsync.spec import ConflictPolicy
from dryrun.texts import UnreadableFileError, texts
from dryrun.yaml_nodes import YamlError, load_all
from plugin.cluster import ClusterProblem, connect, run
from plugin.options import ClusterOptions, cluster_options
from plugin.peers import cluster_reading, documents
from plugin.peers.importing import translate
from plugin.peers.inventory import Inventory, Remark
from plugin.peers.rendering import as_yaml
from plugin.progress import Progress
from plugin.terminal import counted, printable

EXIT_COMPLETE, EXIT_INCOMPLETE, EXIT_FAILURE = 0, 1, 2


class ImportProblem(click.ClickException):
    """Why files or a cluster cannot be read."""

    exit_code = EXIT_FAILURE


@click.command()
@click.option(
    "-f",
    "--filename",
    multiple=True,
    metavar="PATH",
    help="YAML file or folder, or - for standard input, instead of a cluster; may be repeated",
)
@click.option(
    "--conflict-policy",
    type=click.Choice([policy.value for policy in ConflictPolicy]),
    default=ConflictPolicy.ADOPT.value,
    show_default=True,
    help="of the syncs; Adopt takes over the copies that the other tool has made",
)
@cluster_options
def command(cluster: ClusterOptions, filename: tuple[str, ...], conflict_policy: str) -> None:
    """Write syncs that do what other tools do: reflector, replicator and config-syncer.

    Standard output is YAML to apply. Standard error lists what the syncs do differently.

    Exit code: 0 if the syncs do all that the annotations ask for, 1 if something cannot be
    expressed, 2 if files or cluster cannot be read.
    """
    inventory, unread = _from_files(filename) if filename else _from_cluster(cluster)
    syncs, found = translate(inventory, ConflictPolicy(conflict_policy))
    remarks = [*unread, *found]
    click.echo(as_yaml(syncs, remarks), nl=False)
    for remark in remarks:
        click.echo(printable(str(remark)), err=True)
    lost = sum(remark.lost for remark in remarks)
    click.echo(f"{counted(len(syncs), 'sync')}, {lost} not expressible", err=True)
    sys.exit(EXIT_INCOMPLETE if lost else EXIT_COMPLETE)


def _from_files(filenames: tuple[str, ...]) -> tuple[Inventory, list[Remark]]:
    inventory = Inventory()
    try:
        for filename in filenames:
            for text, origin in texts(filename):
                documents.add(inventory, _documents(text, origin))
    except UnreadableFileError as error:
        raise ImportProblem(str(error)) from error
    return inventory, []


def _documents(text: str, origin: str) -> list[object]:
    try:
        return [document.plain() for document in load_all(text)]
    except YamlError as error:
        message = f"{origin} is not valid YAML at line {error.line}: {error}"
        raise UnreadableFileError(message) from error


def _from_cluster(cluster: ClusterOptions) -> tuple[Inventory, list[Remark]]:
    try:
        return run(_read(cluster))
    except ClusterProblem as problem:
        raise ImportProblem(problem.message) from problem


async def _read(cluster: ClusterOptions) -> tuple[Inventory, list[Remark]]:
    async with Progress() as progress, connect(cluster) as connection:
        return await cluster_reading.read(connection, progress)
