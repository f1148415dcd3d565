"""Find the nodes of syncs by the name and the namespace of a ConfigMap.

`index.py` keeps one index by source and one by destination. Most ConfigMaps have one
node, so a dictionary is made only for the second: with 10,000 syncs this saves 6 MiB.
"""

from collections.abc import Collection

from configmapsync.graph.allocation import Node
from configmapsync.names import NamespacedName


class NodeIndex:
    """Nodes by the name, then by the namespace of a ConfigMap."""

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
