"""Index all syncs: which of them claim a ConfigMap, and which read it as their source.

A sync claims a ConfigMap if its spec selects it. Most copies have one claimant and
are no source, so edges are not stored; a lookup by names finds them. `decisions.py`
decides about all syncs for the reconciler, and `review.py` checks one sync for the
webhook.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator

from configmapsync.graph.allocation import Node
from configmapsync.graph.namespace_sets import NamespaceNumbers, NamespaceSet
from configmapsync.names import NamespacedName
from configmapsync.namespace_index import NamespaceIndex, namespace_keys, selector_keys
from configmapsync.resource import ConfigMapSync
from configmapsync.selection import Namespace, Selector

Nodes = dict[NamespacedName, Node]


class NodeIndex:
    """Nodes by the name, then by the namespace of a ConfigMap.

    Most ConfigMaps have one node, so a dictionary is made only for the second: with 10,000 syncs
    this saves 6 MiB.
    """

    def __init__(self) -> None:
        self._nodes: dict[str, dict[str, Node | dict[NamespacedName, Node]]] = {}

    def add(self, key: NamespacedName, node: Node) -> None:
        """Add a node of a ConfigMap, or replace the node of the same sync."""
        namespace, name = key
        spaces = self._nodes.setdefault(name, {})
        present = spaces.get(namespace)
        if isinstance(present, dict):
            present[node.key] = node
        elif present is None or present.key == node.key:
            spaces[namespace] = node
        else:
            spaces[namespace] = {present.key: present, node.key: node}

    def remove(self, key: NamespacedName, node: Node) -> None:
        """Remove the node of a sync, which must be present."""
        namespace, name = key
        spaces = self._nodes[name]
        present = spaces[namespace]
        if isinstance(present, dict):
            del present[node.key]
            if len(present) == 1:
                [spaces[namespace]] = present.values()
            return
        del spaces[namespace]
        if not spaces:
            del self._nodes[name]

    def namespaces(self, name: str) -> Collection[str]:
        """Return the namespaces in which a ConfigMap of this name has a node."""
        return self._nodes.get(name, {}).keys()

    def at(self, key: NamespacedName) -> Collection[Node]:
        """Return the nodes of one ConfigMap."""
        present = self._nodes.get(key.name, {}).get(key.namespace)
        if isinstance(present, dict):
            return present.values()
        return () if present is None else (present,)


class Graph:
    """All syncs that are not being deleted, and all namespaces.

    Attributes:
        nodes: the syncs by key.
        numbers: of the namespaces, for sets of them.
        readers: the syncs by source.
        exact: by destination, the syncs that name all their namespaces.
        open_ended: by destination name, the syncs with globs or a selector.
        namespaces: all namespaces.
    """

    def __init__(self) -> None:
        self.nodes: Nodes = {}
        self.numbers = NamespaceNumbers()
        self.readers = NodeIndex()
        self.exact = NodeIndex()
        self.open_ended: defaultdict[str, Nodes] = defaultdict(dict)
        self.namespaces = NamespaceIndex()
        # By what selects a namespace (see `selector_keys`).
        self._selecting: defaultdict[str, set[NamespacedName]] = defaultdict(set)
        # Computed on the first request, then kept up to date.
        self._reach: dict[NamespacedName, NamespaceSet] = {}

    def put(self, sync: ConfigMapSync, selector: Selector) -> None:
        """Add or replace a sync. Remove one that is being deleted: it writes no more copies."""
        node = Node.of(sync, selector)
        self.remove(node.key)
        if sync.deleting:
            return
        self.nodes[node.key] = node
        self.readers.add(node.source, node)
        for selecting in selector_keys(selector):
            self._selecting[selecting].add(node.key)
        if selector.open_ended:
            self.open_ended[node.destination_name][node.key] = node
            return
        for namespace in selector.exact_names:
            self.exact.add(NamespacedName(namespace, node.destination_name), node)

    def remove(self, key: NamespacedName) -> None:
        """Remove a sync; a missing one is no error."""
        node = self.nodes.pop(key, None)
        if node is None:
            return
        self._reach.pop(key, None)
        self.readers.remove(node.source, node)
        for selecting in selector_keys(node.selector):
            self._selecting[selecting].discard(key)
            if not self._selecting[selecting]:
                del self._selecting[selecting]
        name = node.destination_name
        if not node.selector.open_ended:
            for namespace in node.selector.exact_names:
                self.exact.remove(NamespacedName(namespace, name), node)
            return
        del self.open_ended[name][key]
        if not self.open_ended[name]:
            del self.open_ended[name]

    def put_namespace(self, namespace: Namespace, *, reuse: bool = True) -> list[NamespacedName]:
        """Add or replace a namespace; return the syncs whose answer of `reach` changes.

        Args:
            namespace: the new version.
            reuse: as in `NamespaceNumbers.add`.
        """
        previous = self.namespaces.get(namespace.name)
        self.namespaces.put(namespace)
        self.numbers.add(namespace.name, reuse=reuse)
        return self._namespace_changed(previous, namespace)

    def remove_namespace(self, name: str) -> list[NamespacedName]:
        """Remove a namespace; return the syncs whose answer of `reach` changes."""
        previous = self.namespaces.get(name)
        self.namespaces.remove(name)
        changed = self._namespace_changed(previous, None)
        self.numbers.remove(name)
        return changed

    def reaches(self, node: Node, name: str) -> bool:
        """Return whether a sync selects a namespace that accepts copies or does not exist yet."""
        namespace = self.namespaces.get(name) or Namespace(name)
        return namespace.accepts_copies and node.selector.matches(namespace)

    def claims(self, node: Node, key: NamespacedName) -> bool:
        """Return whether a sync claims a ConfigMap."""
        return node.destination_name == key.name and self.reaches(node, key.namespace)

    def possible_claimants(self, key: NamespacedName) -> Iterator[Node]:
        """Yield every sync whose names allow that it claims a ConfigMap; `reaches` decides."""
        yield from self.exact.at(key)
        yield from self.open_ended.get(key.name, {}).values()

    def knows_reach(self, node: Node) -> bool:
        """Return whether `reach` has its answer already."""
        return node.key in self._reach and self.nodes.get(node.key) is node

    def reach(self, node: Node) -> NamespaceSet:
        """Return the namespaces that a sync selects and that accept copies.

        The first call for a sync checks all namespaces.
        """
        if self.knows_reach(node):
            return self._reach[node.key]
        reach = self.numbers.of(node.selector.destinations(self.namespaces))
        if self.nodes.get(node.key) is node:
            self._reach[node.key] = reach
        return reach

    def _namespace_changed(self, *versions: Namespace | None) -> list[NamespacedName]:
        """Update the sets that must contain a namespace; return the syncs whose set changed.

        Args:
            versions: the namespace before and after; None where it does not exist.
        """
        accepting = [each for each in versions if each is not None and each.accepts_copies]
        came_or_went = len(accepting) == 1
        if not accepting or (not came_or_went and accepting[0].labels == accepting[1].labels):
            return []
        changed: list[NamespacedName] = []
        name = accepting[0].name
        single = self.numbers.single(name)
        exists = name in self.namespaces
        for key in self._selecting_any(accepting):
            node, reach = self.nodes[key], self._reach.get(key)
            if reach is None or not (came_or_went or node.selector.labels is not None):
                continue
            if (exists and self.reaches(node, name)) != bool(reach & single):
                self._reach[key] = reach ^ single
                changed.append(key)
        return changed

    def _selecting_any(self, namespaces: Iterable[Namespace]) -> set[NamespacedName]:
        """Return the syncs that may select one of these namespaces."""
        return {
            key
            for namespace in namespaces
            for selecting in namespace_keys(namespace)
            for key in self._selecting.get(selecting, ())
        }
