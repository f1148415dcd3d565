"""Collect the syncs that must be decided together.

`decisions.py` runs a search for each undecided sync and decides its component. The
search must find all rivals and all loops; it reads the index and changes nothing.
"""

from collections import Counter, defaultdict
from collections.abc import Generator, Iterator

from configmapsync.graph.allocation import Node
from configmapsync.graph.index import Graph, NodeIndex
from configmapsync.graph.namespace_sets import NamespaceSet
from configmapsync.names import NamespacedName

NAMESPACES_PER_STEP = 20  # the comparisons of a selector with a namespace that cost one step
# After so many scans of the open-ended syncs of one name, all of them join the component.
MAX_SCANS = 32

Steps = Generator[int]  # yields the cost of each step


class ComponentSearch:
    """Collect the component of a sync. A member too many costs time and changes no decision.

    Attributes:
        members: the syncs of the component; complete when `run` has ended.
        reach: by sync, the namespaces of its destinations; it may lack that of a lone member.
    """

    def __init__(self, graph: Graph) -> None:
        self.members: dict[NamespacedName, Node] = {}
        self.reach: dict[NamespacedName, NamespaceSet] = {}
        self._graph = graph
        self._waiting: list[Node] = []
        # By ConfigMap name: the namespaces whose claimants are all members.
        self._explored: defaultdict[str, NamespaceSet] = defaultdict(int)
        self._scans: Counter[str] = Counter()
        self._open_ended_reach: dict[str, NamespaceSet] = {}

    def run(self, start: Node) -> Steps:
        """Collect the component of `start`, and yield the cost of each step.

        The graph may change between steps; the caller must then search again.
        """
        self._add(start)
        while self._waiting:
            node = self._waiting.pop()
            rivals = self._has_rivals(node)
            leads_on = self._has_readers(node) and (yield from self._is_copied_to(node.source))
            if len(self.members) == 1 and not rivals and not leads_on:
                return  # the case of most syncs: no other sync uses the copies
            reach = self.reach[node.key] = yield from self._reach_of(node)
            yield 1
            if rivals:
                yield from self._add_claimants(node.destination_name, reach)
            if leads_on:
                yield from self._add_claimants(
                    node.source.name, self._graph.numbers.single(node.source.namespace)
                )
                yield from self._add_readers(node.destination_name, reach)

    def _add(self, node: Node) -> None:
        if node.key not in self.members:
            self.members[node.key] = node
            self._waiting.append(node)

    def _has_rivals(self, node: Node) -> bool:
        """Return whether the names allow that another sync claims a destination of `node`."""
        name = node.destination_name
        if len(self._graph.open_ended.get(name, {})) > node.selector.open_ended:
            return True
        exact = self._graph.exact
        if node.selector.open_ended:
            return bool(exact.namespaces(name))
        return any(
            len(exact.at(NamespacedName(namespace, name))) > 1
            for namespace in node.selector.exact_names
        )

    def _has_readers(self, node: Node) -> bool:
        """Return whether the names allow that a copy of `node` is a source."""
        spaces = self._graph.readers.namespaces(node.destination_name)
        if node.selector.open_ended:
            return bool(spaces)
        return any(namespace in spaces for namespace in node.selector.exact_names)

    def _add_claimants(self, name: str, namespaces: NamespaceSet) -> Steps:
        """Add each sync that claims the ConfigMap `name` in one of the namespaces."""
        new = namespaces & ~self._explored[name]
        if not new:
            return
        self._explored[name] |= new
        for node in self._nodes_in(self._graph.exact, name, new):
            yield 1
            if node.key not in self.members and (yield from self._reach_of(node)) & new:
                self._add(node)
        self._scans[name] += 1
        for node in list(self._graph.open_ended.get(name, {}).values()):
            if node.key not in self.members:
                yield 1
                if (yield from self._reach_of(node)) & new or self._scans[name] > MAX_SCANS:
                    self._add(node)

    def _add_readers(self, name: str, namespaces: NamespaceSet) -> Steps:
        """Add each sync that reads one of these ConfigMaps and whose copies may be sources."""
        for reader in self._nodes_in(self._graph.readers, name, namespaces):
            yield 1
            if self._has_readers(reader):
                self._add(reader)

    def _is_copied_to(self, key: NamespacedName) -> Generator[int, None, bool]:
        """Return whether any sync claims a ConfigMap."""
        single = self._graph.numbers.single(key.namespace)
        for node in list(self._graph.exact.at(key)):
            if (yield from self._reach_of(node)) & single:
                return True
        if key.name not in self._open_ended_reach:
            reach = 0
            for node in list(self._graph.open_ended.get(key.name, {}).values()):
                yield 1
                reach |= yield from self._reach_of(node)
            self._open_ended_reach[key.name] = reach
        return bool(self._open_ended_reach[key.name] & single)

    def _reach_of(self, node: Node) -> Generator[int, None, NamespaceSet]:
        if not self._graph.knows_reach(node):
            self._graph.reach(node)
            yield 1 + len(self._graph.namespaces) // NAMESPACES_PER_STEP
        return self._graph.reach(node)

    def _nodes_in(self, index: NodeIndex, name: str, namespaces: NamespaceSet) -> Iterator[Node]:
        """Yield the nodes of a name in some namespaces, at the cost of the smaller set."""
        spaces, numbers = index.namespaces(name), self._graph.numbers
        if len(spaces) < namespaces.bit_count():
            common = [space for space in spaces if numbers.single(space) & namespaces]
        else:
            common = [space for space in numbers.names(namespaces) if space in spaces]
        for space in common:  # the graph may change while the caller pauses
            yield from list(index.at(NamespacedName(space, name)))
