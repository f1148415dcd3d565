"""Build the tree of a ConfigMap: where it comes from, and where its copies go.

`commands/tree.py` prints it. Its size is bounded: a chain by its depth, a sync by the
number of its copies, the whole tree by the number of its nodes, and a loop by showing
each ConfigMap once.
"""

from dataclasses import dataclass, field

from cluster.syncs import SyncRecord
from configmapsync.names import NamespacedName
from configmapsync.reasons import Reason
from plugin.network import Network

MOST_DEPTH = 40  # ConfigMaps in a chain
MOST_NODES = 5000
DEFAULT_COPIES = 20  # of one sync


@dataclass(slots=True)
class Node:
    """A ConfigMap or a sync in the tree, in the form of `-o json`.

    Attributes:
        kind: `ConfigMap` or `ConfigMapSync`.
        namespace: of the object.
        name: of the object.
        state: a reason word, `Source` or `Orphaned`.
        note: a remark behind the state; empty without one.
        children: syncs below a ConfigMap, ConfigMaps below a sync.
        more: further children that are not shown.
    """

    kind: str
    namespace: str
    name: str
    state: str
    note: str = ""
    children: list["Node"] = field(default_factory=list)
    more: int = 0

    @property
    def key(self) -> NamespacedName:
        """Return the namespace and name of the object."""
        return NamespacedName(self.namespace, self.name)


class TreeBuilder:
    """Builds the tree of one ConfigMap."""

    def __init__(self, network: Network, most_copies: int = DEFAULT_COPIES) -> None:
        """Build nothing yet.

        Args:
            network: all syncs and copies.
            most_copies: how many copies of one sync are shown. Those that are not up to date,
                or are the source of another sync, are always shown.
        """
        self._network = network
        self._most_copies = most_copies
        self._shown: set[NamespacedName] = set()
        self._nodes = 0

    def build(self, key: NamespacedName) -> Node | None:
        """Return the tree that begins at the first source of `key`; None if no sync knows `key`."""
        if key not in self._network.states:
            return None
        chain = self._network.origin(key)
        cut = max(0, len(chain) - MOST_DEPTH)
        root = top = self._configmap(chain[cut], self._network.states[chain[cut]])
        if cut:
            root.note = f"comes from {chain[0]} over {cut} more"
        for step in chain[cut + 1 :]:
            self._shown.add(top.key)
            below = self._configmap(step, self._network.states[step])
            top.children.append(self._sync(self._network.owners[step], [below]))
            top = below
        if len(chain) > 1:
            top.note = "this ConfigMap"
        self._expand(top, MOST_DEPTH)
        return root

    def _expand(self, node: Node, depth: int) -> None:
        """Add the syncs that read a ConfigMap, and their copies."""
        readers = self._network.readers.get(node.key, ())
        if not readers:
            return
        if node.key in self._shown:
            node.note = "shown above"
        elif depth == 0:
            node.note = f"goes on: kubectl configmapsync tree {node.key}"
        else:
            self._shown.add(node.key)
            for reader in readers:
                self._add_reader(node, reader, depth)

    def _add_reader(self, node: Node, reader: SyncRecord, depth: int) -> None:
        """Add a sync, and of its copies what leads on or failed, and the first of the others."""
        if self._nodes >= MOST_NODES:
            node.more += 1
            return
        sync = self._sync(reader, [])
        node.children.append(sync)
        destinations = self._network.destinations[reader.key]
        left = self._most_copies
        for key, state in destinations.items():
            notable = key in self._network.readers or state != Reason.SYNCED
            if self._nodes < MOST_NODES and (notable or left > 0):
                left -= 1
                below = self._configmap(key, state)
                sync.children.append(below)
                self._expand(below, depth - 1)
        sync.more = len(destinations) - len(sync.children)

    def _configmap(self, key: NamespacedName, state: str) -> Node:
        self._nodes += 1
        return Node("ConfigMap", *key, state)

    def _sync(self, record: SyncRecord, children: list[Node]) -> Node:
        self._nodes += 1
        row = self._network.rows[record.key]
        return Node("ConfigMapSync", *record.key, row.state, str(row.copies), children)
