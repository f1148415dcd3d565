"""Build the tree of a ConfigMap: where it comes from, and where its copies go.

`commands/tree.py` prints it. Its size is bounded: a chain by its depth, a sync by the
number of its copies, the whole tree by the number of its nodes, and a loop by showing
each ConfigMap once.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from cluster.syncs import SyncRecord
from configmapsync.names import NamespacedName
from configmapsync.reasons import Reason
from plugin.network import ORPHANED, SOURCE, Destination, Network

MOST_DEPTH = 40  # ConfigMaps in a chain
MOST_NODES = 5000
DEFAULT_COPIES = 20  # of one sync


@dataclass(slots=True)
class Node:
    """A ConfigMap or a sync in the tree.

    Attributes:
        kind: `ConfigMap` or `ConfigMapSync`.
        key: the object.
        state: a reason word, `Source` or `Orphaned`.
        note: a remark behind the state; empty without one.
        children: syncs below a ConfigMap, ConfigMaps below a sync.
        more: further children that are not shown.
    """

    kind: str
    key: NamespacedName
    state: str
    note: str = ""
    children: list["Node"] = field(default_factory=list)
    more: int = 0

    def document(self) -> dict[str, Any]:
        """Return the node and everything below it for `-o json` and `-o yaml`."""
        return {
            "kind": self.kind,
            **self.key._asdict(),
            "state": self.state,
            "note": self.note,
            "children": [child.document() for child in self.children],
            "more": self.more,
        }


class TreeBuilder:
    """Builds the tree of one ConfigMap."""

    def __init__(self, network: Network, most_copies: int = DEFAULT_COPIES) -> None:
        """Prepare.

        Args:
            network: all syncs and copies.
            most_copies: of one sync that are shown; those that lead on are always shown.
        """
        self._network = network
        self._most_copies = most_copies
        self._shown: set[NamespacedName] = set()
        self._nodes = 0

    def build(self, key: NamespacedName) -> Node | None:
        """Return the tree that begins at the first source of `key`; None if no sync knows `key`."""
        if not self._network.knows(key):
            return None
        chain = self._network.origin(key)
        cut = max(0, len(chain) - MOST_DEPTH)
        root = top = self._configmap(chain[cut], self._state_of(chain[cut]))
        if cut:
            root.note = f"comes from {chain[0]} over {cut} more"
        for step in chain[cut + 1 :]:
            self._shown.add(top.key)
            owner = self._network.owner(step)
            assert owner is not None  # noqa: S101 - `origin` follows owners
            below = self._configmap(step, self._state_of(step))
            top.children.append(self._sync(owner, [below]))
            top = below
        top.note = "this ConfigMap" if len(chain) > 1 else top.note
        self._expand(top, MOST_DEPTH)
        return root

    def _expand(self, node: Node, depth: int) -> None:
        """Add the syncs that read a ConfigMap, and their copies."""
        readers = self._network.readers(node.key)
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
        if self._nodes >= MOST_NODES:
            node.more += 1
            return
        sync = self._sync(reader, [])
        node.children.append(sync)
        destinations = self._network.destinations(reader)
        for destination in self._chosen(destinations):
            below = self._configmap(destination.key, destination.state)
            sync.children.append(below)
            self._expand(below, depth - 1)
        sync.more = len(destinations) - len(sync.children)

    def _chosen(self, destinations: list[Destination]) -> Iterator[Destination]:
        """Yield what leads on or failed, and the first of the others."""
        left = self._most_copies
        for destination in destinations:
            notable = bool(self._network.readers(destination.key))
            notable = notable or destination.state != Reason.SYNCED
            if self._nodes >= MOST_NODES or not (notable or left > 0):
                continue
            left -= 1
            yield destination

    def _configmap(self, key: NamespacedName, state: str) -> Node:
        self._nodes += 1
        return Node("ConfigMap", key, state)

    def _sync(self, record: SyncRecord, children: list[Node]) -> Node:
        self._nodes += 1
        row = self._network.row(record)
        return Node("ConfigMapSync", record.key, row.state, row.copies, children)

    def _state_of(self, key: NamespacedName) -> str:
        """Return the state of a ConfigMap at or above the one that was asked for."""
        state = self._network.copy_state(key)
        if state is not None:
            return state
        if any(copy.key == key for copy in self._network.orphans):
            return ORPHANED
        if self._network.is_missing(key):
            return str(Reason.SOURCE_NOT_FOUND)
        if self._network.readers(key):
            return SOURCE
        return self._state_of_blocked(key)

    def _state_of_blocked(self, key: NamespacedName) -> str:
        """Return why no sync has written a destination."""
        return next(
            destination.state
            for record in self._network.syncs.values()
            for destination in self._network.destinations(record)
            if destination.key == key
        )
