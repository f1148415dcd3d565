"""The command `tree`: where a ConfigMap comes from and where its copies go.

`plugin/trees.py` builds the tree. This module reads the cluster and prints.
"""

from collections.abc import Iterator

import click

from configmapsync.names import NamespacedName
from kube.connection import ConnectionSettings
from plugin.cluster import run
from plugin.network import SOURCE
from plugin.options import Name, cluster_options, output_option
from plugin.reading import Reader
from plugin.terminal import painted, printable, show
from plugin.trees import DEFAULT_COPIES, MOST_NODES, Node, TreeBuilder

BRANCH, LAST, BAR, SPACE = "├── ", "└── ", "│   ", "    "
COLUMN_GAP = "  "


@click.command()
@click.argument("name", type=Name(), metavar="NAMESPACE/NAME")
@click.option("--all", "everything", is_flag=True, help="show every copy, not the first 20")
@output_option("text", "json", "yaml", default="text")
@cluster_options
def command(
    cluster: ConnectionSettings, name: NamespacedName, output: str, *, everything: bool
) -> None:
    """Show where a ConfigMap comes from and where its copies go.

    The tree follows chains, in which a copy is the source of another sync.

    The name is that of a ConfigMap. The states are those that the reconciler reported.
    """
    network = run(cluster, Reader.network)
    tree = TreeBuilder(network, MOST_NODES if everything else DEFAULT_COPIES).build(name)
    if tree is None:
        raise click.ClickException(
            f"ConfigMap {name} is no source and no copy of any ConfigMapSync\n"
            f"Run kubectl configmapsync explain {name}"
        )
    show(tree, _aligned(list(_lines(tree, "", ""))), output)


def _lines(node: Node, first: str, rest: str) -> Iterator[tuple[str, str]]:
    """Yield the name and the state of each line below a node.

    Args:
        node: the top of a subtree.
        first: the box-drawing characters before its name.
        rest: those before the names below it.
    """
    prefix = "sync " if node.kind == "ConfigMapSync" else ""
    state = "" if node.state == SOURCE else painted(printable(node.state), node.state)
    note = f"({printable(node.note)})" if node.note else ""
    yield f"{first}{prefix}{printable(str(node.key))}", " ".join(filter(None, (state, note)))
    count = len(node.children) + bool(node.more)
    for number, child in enumerate(node.children, start=1):
        is_last = number == count
        yield from _lines(
            child, rest + (LAST if is_last else BRANCH), rest + (SPACE if is_last else BAR)
        )
    if node.more:
        yield f"{rest}{LAST}{node.more:,} more, --all shows them", ""


def _aligned(lines: list[tuple[str, str]]) -> list[str]:
    width = max(len(name) for name, state in lines if state or len(lines) == 1)
    return [f"{name:<{width}}{COLUMN_GAP}{state}".rstrip() for name, state in lines]
