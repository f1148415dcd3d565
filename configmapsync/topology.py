"""The graph of all syncs: loops, and destinations that two syncs claim. Exact, and never rebuilt.

A node is a ConfigMap, an edge leads from a source to a copy. Most copies are nobody's source, so edges are not stored: they are asked for, by the names
that can match. The webhook asks for a new sync; the reconciler asks for every sync again, for a loop can come about by a label on a namespace.
"""

from collections import defaultdict, deque
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from configmapsync.names import NamespacedName
from configmapsync.planning import Refusal
from configmapsync.reasons import Reason
from configmapsync.resource import ConfigMapSync
from configmapsync.selection import Namespace, Selector

MOST_CONTESTED = 32  # destinations that are named for one sync; nobody reads more
NOT_CREATED_YET = datetime.max.replace(tzinfo=UTC)  # what is only asked about is the youngest

Age = tuple[datetime, NamespacedName]


@dataclass(frozen=True, slots=True)
class Node:
    """A sync, as far as the graph goes."""

    key: NamespacedName
    source: NamespacedName
    destination_name: str
    selector: Selector
    age: Age

    @classmethod
    def of(cls, sync: ConfigMapSync, protected: frozenset[str]) -> "Node":
        """The node of a sync whose defaults are filled in."""
        age = (sync.metadata.creation_timestamp or NOT_CREATED_YET, sync.key)
        return cls(sync.key, sync.source, sync.destination_name, Selector.of(sync, protected), age)

    @property
    def open_ended(self) -> bool:
        """Whether it may select namespaces that it does not name."""
        return bool(self.selector.globs) or self.selector.labels is not None


Nodes = dict[NamespacedName, Node]
Index = defaultdict[str, defaultdict[str, Nodes]]  # name of a ConfigMap -> namespace -> syncs


class Graph:
    """All living syncs and namespaces."""

    def __init__(self, protected: frozenset[str]) -> None:
        self._protected = protected
        self._nodes: Nodes = {}
        self._namespaces: dict[str, Namespace] = {}
        self._from: Index = defaultdict(lambda: defaultdict(dict))
        self._to: Index = defaultdict(lambda: defaultdict(dict))
        self._to_anywhere: defaultdict[str, Nodes] = defaultdict(dict)

    def put(self, sync: ConfigMapSync) -> None:
        """Add a sync, or take notice of its change; one that is being deleted writes no more and counts as gone."""
        self.remove(sync.key)
        if sync.deleting:
            return
        node = self._nodes[sync.key] = Node.of(sync, self._protected)
        self._from[node.source.name][node.source.namespace][node.key] = node
        for name in node.selector.exact_names:
            self._to[node.destination_name][name][node.key] = node
        if node.open_ended:
            self._to_anywhere[node.destination_name][node.key] = node

    def remove(self, key: NamespacedName) -> None:
        """Forget a sync."""
        node = self._nodes.pop(key, None)
        if node is None:
            return
        _take_out(self._from, node.source.name, node.source.namespace, key)
        for name in node.selector.exact_names:
            _take_out(self._to, node.destination_name, name, key)
        self._to_anywhere[node.destination_name].pop(key, None)
        if not self._to_anywhere[node.destination_name]:
            del self._to_anywhere[node.destination_name]

    def put_namespace(self, namespace: Namespace) -> None:
        """Add a namespace, or take notice of its labels."""
        self._namespaces[namespace.name] = namespace

    def remove_namespace(self, name: str) -> None:
        """Forget a namespace."""
        self._namespaces.pop(name, None)

    def cycle_through(self, sync: ConfigMapSync) -> tuple[NamespacedName, ...] | None:
        """The loop that `sync` closes: from its source, step by step, back to it; None where there is none.

        What the graph holds under its name is ignored: the question is what would be.
        """
        node = Node.of(sync, self._protected)
        return self._way_back(node, self._destinations(node, node.source), lambda _other: True)

    def contested(
        self, sync: ConfigMapSync, most: int = MOST_CONTESTED
    ) -> Iterator[tuple[NamespacedName, NamespacedName]]:
        """Destinations of `sync` that other syncs write too, each with one of those others: the oldest."""
        node = Node.of(sync, self._protected)
        if not self._has_rivals(node):
            return
        found = 0
        for namespace in sorted(self._selected(node)):
            rivals = self._writers(NamespacedName(namespace, node.destination_name), besides=node.key)
            if rivals:
                yield NamespacedName(namespace, node.destination_name), min(rivals, key=lambda rival: rival.age).key
                found += 1
                if found == most:
                    return

    def refusals(self, sync: ConfigMapSync) -> dict[NamespacedName, Refusal]:
        """The destinations of `sync` that are not to be written for the cluster's sake: the older sync wins.

        A loop is cut at its youngest sync, so only ways back over older ones count; a contested destination is its oldest writer's.
        """
        node = Node.of(sync, self._protected)
        refused = dict(self._lost(node))
        for destination in self._destinations(node, node.source):
            way = self._way_back(node, iter((destination,)), lambda other: other.age < node.age)
            if way:
                refused[destination] = Refusal(
                    Reason.LOOP_DETECTED, f"would close a loop: {' -> '.join(map(str, way))}"
                )
        return refused

    def yields(self, other: NamespacedName, place: NamespacedName, sync: ConfigMapSync) -> bool:
        """Whether the sync `other`, whose copy stands at `place`, has to leave it to `sync`: it does not want it any more, or is younger."""
        rival = self._nodes.get(other)
        if rival is None:
            return False
        wants = rival.destination_name == place.name and self._reaches(rival, place.namespace)
        return not wants or Node.of(sync, self._protected).age < rival.age

    def _lost(self, node: Node) -> Iterator[tuple[NamespacedName, Refusal]]:
        if not self._has_rivals(node):
            return
        for namespace in self._selected(node):
            destination = NamespacedName(namespace, node.destination_name)
            older = [rival for rival in self._writers(destination, besides=node.key) if rival.age < node.age]
            if older:
                winner = min(older, key=lambda rival: rival.age).key
                message = f'ConfigMap "{destination}" is written by the older ConfigMapSync "{winner}"'
                yield destination, Refusal(Reason.DESTINATION_CONTESTED, message)

    def _has_rivals(self, node: Node) -> bool:
        """Whether any other sync writes ConfigMaps of that name at all: most have a name of their own."""
        if self._to_anywhere.get(node.destination_name, {}).keys() - {node.key}:
            return True
        return any(nodes.keys() - {node.key} for nodes in self._to.get(node.destination_name, {}).values())

    def _writers(self, destination: NamespacedName, besides: NamespacedName) -> list[Node]:
        nodes = {**_found(self._to, destination), **self._to_anywhere.get(destination.name, {})}
        return [node for node in nodes.values() if node.key != besides and self._reaches(node, destination.namespace)]

    def _selected(self, node: Node) -> Iterator[str]:
        """The namespaces a sync reaches: those it names, there or not yet, and what it matches of those that are there or others name."""
        names = set(node.selector.exact_names)
        if node.open_ended:
            names |= self._namespaces.keys() | self._to.get(node.destination_name, {}).keys()
        return (name for name in names if self._reaches(node, name))

    def _reaches(self, node: Node, name: str) -> bool:
        namespace = self._namespaces.get(name) or Namespace(name)
        return not namespace.terminating and not namespace.disabled and node.selector.matches(namespace)

    def _destinations(self, node: Node, target: NamespacedName) -> Iterator[NamespacedName]:
        """The copies of a sync that lead on: those that are sources themselves, or the target of the search."""
        spaces: Collection[str] = self._from.get(node.destination_name, {}).keys()
        candidates = set(spaces) if node.open_ended else node.selector.exact_names & set(spaces)
        if node.destination_name == target.name:
            candidates = {*candidates, target.namespace}
        for name in sorted(candidates):
            if self._reaches(node, name):
                yield NamespacedName(name, node.destination_name)

    def _way_back(
        self, node: Node, steps: Iterator[NamespacedName], may_pass: Callable[[Node], bool]
    ) -> tuple[NamespacedName, ...] | None:
        """The shortest way from the source of `node` over one of `steps` back to it, along syncs that `may_pass`."""
        came_from: dict[NamespacedName, NamespacedName] = dict.fromkeys(steps, node.source)
        waiting = deque(came_from)
        while waiting:
            here = waiting.popleft()
            if here == node.source:
                return _spelled(came_from, node.source)
            for other in _found(self._from, here).values():
                if other.key == node.key or not may_pass(other):
                    continue
                for step in self._destinations(other, node.source):
                    if step not in came_from:
                        came_from[step] = here
                        waiting.append(step)
        return None


def _spelled(came_from: Mapping[NamespacedName, NamespacedName], source: NamespacedName) -> tuple[NamespacedName, ...]:
    way = [source]
    while (before := came_from[way[-1]]) != source:
        way.append(before)
    return (source, *reversed(way[1:]), source)


def _found(index: Index, configmap: NamespacedName) -> Nodes:
    """What an index holds for a ConfigMap, without making an entry for it."""
    spaces = index.get(configmap.name)
    return spaces.get(configmap.namespace, {}) if spaces is not None else {}


def _take_out(index: Index, name: str, namespace: str, key: NamespacedName) -> None:
    """Remove an entry, and what becomes empty with it."""
    nodes = index[name][namespace]
    nodes.pop(key, None)
    if not nodes:
        del index[name][namespace]
    if not index[name]:
        del index[name]
