"""Who wants to write which ConfigMap: asked for by place, oldest sync first.

A claim is what a spec selects, whether or not it is carried out; `topology.py` says whose claim counts. Most places have one claimant, and
a glob may have thousands of places, so claims are not listed as a whole: what was asked for is kept, and kept right with every change.
"""

from bisect import bisect_left, insort
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from heapq import merge

from configmapsync.names import NamespacedName
from configmapsync.resource import ConfigMapSync
from configmapsync.selection import Namespace, Selector

NOT_CREATED_YET = datetime.max.replace(tzinfo=UTC)  # what is only asked about is the youngest

Age = tuple[datetime, NamespacedName]


@dataclass(frozen=True, slots=True)
class Node:
    """A sync, as far as it concerns others."""

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


Nodes = dict[NamespacedName, Node]
Index = defaultdict[str, defaultdict[str, Nodes]]  # name of a ConfigMap -> namespace -> syncs


def new_index() -> Index:
    """An empty index."""
    return defaultdict(lambda: defaultdict(dict))


def found(index: Index, configmap: NamespacedName) -> Nodes:
    """What an index holds for a ConfigMap, without making an entry for it."""
    spaces = index.get(configmap.name)
    return spaces.get(configmap.namespace, {}) if spaces is not None else {}


def take_out(index: Index, configmap: NamespacedName, key: NamespacedName) -> None:
    """Remove an entry, and what becomes empty with it."""
    spaces = index[configmap.name]
    spaces[configmap.namespace].pop(key, None)
    if not spaces[configmap.namespace]:
        del spaces[configmap.namespace]
    if not spaces:
        del index[configmap.name]


class Claims:
    """The claims of all living syncs on the namespaces there are, and on those that somebody names."""

    def __init__(self) -> None:
        self.looks = 0  # at syncs, to find out who claims a place: what an answer has cost
        self._namespaces: dict[str, Namespace] = {}
        self._by_name: Index = new_index()
        self._anywhere: defaultdict[str, list[Node]] = defaultdict(
            list
        )  # name of a ConfigMap -> open-ended syncs by age
        self._known: dict[str, dict[str, list[Node]]] = {}  # name of a ConfigMap -> namespace -> claimants by age

    def put(self, node: Node) -> None:
        """Add a sync that is not there."""
        for name in node.selector.exact_names:
            self._by_name[node.destination_name][name][node.key] = node
        if node.selector.open_ended:
            insort(self._anywhere[node.destination_name], node, key=_age)
        for name, claimants in self._known.get(node.destination_name, {}).items():
            if self.reaches(node, name):
                insort(claimants, node, key=_age)

    def remove(self, node: Node) -> None:
        """Forget a sync that is there."""
        for name in node.selector.exact_names:
            take_out(self._by_name, NamespacedName(name, node.destination_name), node.key)
        name = node.destination_name
        if node.selector.open_ended:
            _take_from(self._anywhere[name], node)
            if not self._anywhere[name]:
                del self._anywhere[name]
        for claimants in self._known.get(name, {}).values():
            _take_from(claimants, node)
        if name not in self._anywhere and name not in self._by_name:
            self._known.pop(name, None)

    def put_namespace(self, namespace: Namespace) -> None:
        """Add a namespace, or take notice of its labels."""
        self._namespaces[namespace.name] = namespace
        self._forget(namespace.name)

    def remove_namespace(self, name: str) -> None:
        """Forget a namespace."""
        self._namespaces.pop(name, None)
        self._forget(name)

    def reaches(self, node: Node, name: str) -> bool:
        """Whether a sync copies to a namespace, there or not yet."""
        namespace = self._namespaces.get(name) or Namespace(name)
        return not namespace.terminating and not namespace.disabled and node.selector.matches(namespace)

    def namespaces_of(self, node: Node) -> Iterator[str]:
        """The namespaces a sync reaches: those it names, and what it matches of those that are there or others name."""
        names = set(node.selector.exact_names)
        if node.selector.open_ended:
            names |= self._namespaces.keys() | self._by_name.get(node.destination_name, {}).keys()
        return (name for name in names if self.reaches(node, name))

    def have_rivals(self, node: Node) -> bool:
        """Whether any other sync writes ConfigMaps of that name at all: most have a name of their own."""
        if any(other.key != node.key for other in self._anywhere.get(node.destination_name, [])[:2]):
            return True
        if node.destination_name not in self._by_name:
            return False
        return any(len(nodes) > (node.key in nodes) for nodes in self._by_name[node.destination_name].values())

    def at(self, place: NamespacedName) -> Iterator[Node]:
        """The syncs that claim a place, oldest first, found one by one: who asks for the oldest only does not wait for the rest."""
        known = self._known.get(place.name, {}).get(place.namespace)
        return iter(known) if known is not None else self._find(place)

    def everyone_at(self, place: NamespacedName) -> Sequence[Node]:
        """Every sync that claims a place, oldest first; known from now on."""
        known = self._known.setdefault(place.name, {})
        if place.namespace not in known:
            known[place.namespace] = list(self._find(place))
        return known[place.namespace]

    def everyone_of(self, name: str) -> set[NamespacedName]:
        """Every sync whose copies have that name, wherever they are."""
        by_name = self._by_name[name].values() if name in self._by_name else ()
        return {key for nodes in by_name for key in nodes} | {node.key for node in self._anywhere.get(name, [])}

    def _find(self, place: NamespacedName) -> Iterator[Node]:
        namespace = self._namespaces.get(place.namespace) or Namespace(place.namespace)
        if namespace.terminating or namespace.disabled:
            return
        named = (node for node in found(self._by_name, place).values() if not node.selector.open_ended)
        for node in merge(sorted(named, key=_age), self._anywhere.get(place.name, []), key=_age):
            self.looks += 1
            if node.selector.matches(namespace):
                yield node

    def _forget(self, namespace: str) -> None:
        for asked in self._known.values():
            asked.pop(namespace, None)


def _age(node: Node) -> Age:
    return node.age


def _take_from(nodes: list[Node], node: Node) -> None:
    """Remove a node from where its age puts it, if it is there."""
    position = bisect_left(nodes, node.age, key=_age)
    if position < len(nodes) and nodes[position] is node:
        del nodes[position]
