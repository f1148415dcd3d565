"""The graph of all syncs: which syncs claim a ConfigMap, and which sync reads it as its source.

A sync claims a place (a ConfigMap by namespace and name) if its spec selects it. Most copies have one claimant and are no
source, so edges are not stored but looked up by the names that can match. The webhook asks about one sync here and gets an
answer after a bounded number of looks; `grants.py` decides about all syncs for the reconciler. Nothing here may recurse.
"""

from collections import defaultdict, deque
from collections.abc import Iterable, Iterator

from configmapsync.graph.allocation import Allocation, Node, Place
from configmapsync.graph.namespace_sets import NamespaceNumbers, NamespaceSet
from configmapsync.names import NamespacedName
from configmapsync.resource import ConfigMapSync
from configmapsync.selection import Namespace

MAX_CONTESTED = 32  # contested destinations that are reported for one sync
MAX_LOOKS = 10_000  # at other syncs, for one question of the webhook: some ten milliseconds
MAX_CLAIMANTS = (
    1_000  # that are compared for one question of the webhook: some ten milliseconds more
)

Path = tuple[Place, ...]
Nodes = dict[NamespacedName, Node]


class _Index:
    """Nodes by a ConfigMap: first by its name, then by its namespace."""

    def __init__(self) -> None:
        self._nodes: dict[str, dict[str, Nodes]] = {}

    def add(self, name: str, namespace: str, node: Node) -> None:
        self._nodes.setdefault(name, {}).setdefault(namespace, {})[node.key] = node

    def remove(self, name: str, namespace: str, node: Node) -> None:
        spaces = self._nodes[name]
        del spaces[namespace][node.key]
        if not spaces[namespace]:
            del spaces[namespace]
        if not spaces:
            del self._nodes[name]

    def named(self, name: str) -> dict[str, Nodes]:
        """Return the nodes by namespace for all ConfigMaps of that name."""
        return self._nodes.get(name, {})

    def at(self, place: Place) -> Nodes:
        return self.named(place.name).get(place.namespace, {})


class Graph:
    """All living syncs and all namespaces."""

    def __init__(self, protected: frozenset[str]) -> None:
        self.protected = protected
        self.nodes: Nodes = {}
        self.numbers = NamespaceNumbers()
        self.readers = _Index()  # by source
        self.exact = _Index()  # by destination: syncs that name all their namespaces
        self.open_ended: defaultdict[str, Nodes] = defaultdict(
            dict
        )  # by destination name: syncs with globs or selectors
        self.looks = 0  # at syncs and namespaces: the cost of the answers so far
        self._namespaces: dict[str, Namespace] = {}
        self._naming: defaultdict[str, set[NamespacedName]] = defaultdict(
            set
        )  # a namespace -> `exact` syncs that name it
        self._reach: dict[
            NamespacedName, NamespaceSet
        ] = {}  # computed when first asked for, then kept right

    def put(self, sync: ConfigMapSync) -> None:
        """Add or replace a sync. A sync that is being deleted writes no more and counts as gone."""
        self.remove(sync.key)
        if sync.deleting:
            return
        node = self.nodes[sync.key] = Node.of(sync, self.protected)
        self.readers.add(*_by_name(node.source), node)
        if node.selector.open_ended:
            self.open_ended[node.destination_name][node.key] = node
            return
        for namespace in node.selector.exact_names:
            self.exact.add(node.destination_name, namespace, node)
            self._naming[namespace].add(node.key)

    def remove(self, key: NamespacedName) -> None:
        """Forget a sync."""
        node = self.nodes.pop(key, None)
        if node is None:
            return
        self._reach.pop(key, None)
        self.readers.remove(*_by_name(node.source), node)
        if node.selector.open_ended:
            del self.open_ended[node.destination_name][key]
            if not self.open_ended[node.destination_name]:
                del self.open_ended[node.destination_name]
            return
        for namespace in node.selector.exact_names:
            self.exact.remove(node.destination_name, namespace, node)
            self._naming[namespace].discard(key)
            if not self._naming[namespace]:
                del self._naming[namespace]

    def put_namespace(self, namespace: Namespace, *, reuse: bool = True) -> list[NamespacedName]:
        """Add a namespace or take over its new labels; returns the syncs whose selection may have changed."""
        previous = self._namespaces.get(namespace.name)
        self._namespaces[namespace.name] = namespace
        self.numbers.add(namespace.name, reuse=reuse)
        if (
            previous is not None
            and _able(previous) == _able(namespace)
            and previous.labels == namespace.labels
        ):
            return []
        return self._namespace_changed(
            namespace.name, came_or_went=previous is None or _able(previous) != _able(namespace)
        )

    def remove_namespace(self, name: str) -> list[NamespacedName]:
        """Forget a namespace; returns the syncs whose selection may have changed."""
        if self._namespaces.pop(name, None) is None:
            return []
        changed = self._namespace_changed(name, came_or_went=True)
        self.numbers.remove(name)
        return changed

    def reaches(self, node: Node, name: str) -> bool:
        """Return whether a sync copies to a namespace, whether the namespace exists yet or not."""
        self.looks += 1
        namespace = self._namespaces.get(name) or Namespace(name)
        return _able(namespace) and node.selector.matches(namespace)

    def claims(self, node: Node, place: Place) -> bool:
        """Return whether a sync claims a place."""
        return node.destination_name == place.name and self.reaches(node, place.namespace)

    def claimants(self, place: Place, limit: int) -> Iterator[Node]:
        """Yield the syncs that claim a place, in no order, until `looks` exceeds the limit."""
        for nodes in (self.exact.at(place), self.open_ended.get(place.name, {})):
            for node in nodes.values():
                if self.looks > limit:
                    return
                if self.reaches(node, place.namespace):
                    yield node

    def knows_reach(self, node: Node) -> bool:
        """Return whether the answer of `reach` costs nothing."""
        return node.key in self._reach and self.nodes.get(node.key) is node

    def reach(self, node: Node) -> NamespaceSet:
        """Return the existing namespaces that a sync copies to. The first answer costs a look at each of them."""
        if self.knows_reach(node):
            return self._reach[node.key]
        self.looks += (
            len(self._namespaces) if node.selector.open_ended else len(node.selector.exact_names)
        )
        selected = node.selector.among(self._namespaces)
        reach = self.numbers.of(namespace.name for namespace in selected if _able(namespace))
        if self.nodes.get(node.key) is node:
            self._reach[node.key] = reach
        return reach

    @property
    def namespace_count(self) -> int:
        """How many namespaces there are."""
        return len(self._namespaces)

    def cycle_through(self, sync: ConfigMapSync) -> Path | None:
        """Return the loop that `sync` would close: from its source, step by step, back to it; None if there is none.

        The former version of the sync is ignored, and refusals are too: a loop that only a refusal breaks is still a loop.
        The search goes backwards, from copies to sources, because most ConfigMaps are the copy of one source at most. It
        gives up after MAX_LOOKS and returns None: the reconciler does not carry loops out, however long they are.
        """
        node = Node.of(sync, self.protected)
        leads_to: dict[
            Place, Place
        ] = {}  # a source -> its copy, one step nearer to the source of `sync`
        waiting, limit = deque((node.source,)), self.looks + MAX_LOOKS
        while waiting:
            here = waiting.popleft()
            for writer in self.claimants(here, limit):
                if (
                    writer.key == node.key
                    or writer.source in leads_to
                    or writer.source == node.source
                ):
                    continue
                leads_to[writer.source] = here
                if self.claims(node, writer.source):
                    return _path(node.source, writer.source, leads_to)
                waiting.append(writer.source)
        return None

    def contested(
        self, sync: ConfigMapSync, most: int = MAX_CONTESTED
    ) -> list[tuple[Place, NamespacedName]]:
        """Return destinations of `sync` that another sync may write, each with that sync; those named exactly come first.

        The former version of the sync is ignored. The answer is exact up to MAX_LOOKS and MAX_CLAIMANTS. Beyond them it is
        an estimate from the nearest syncs; the reconciler decides exactly.
        """
        node = Node.of(sync, self.protected)
        limit = self.looks + MAX_LOOKS
        writers: dict[Place, NamespacedName] = {}
        wanted = list(self._wanted(node, limit))
        claims = self._claims_behind(wanted, node.key, limit)
        numbers = NamespaceNumbers({place.namespace for _, places in claims for place in places})
        sources: defaultdict[str, NamespaceSet] = defaultdict(int)
        for claimant, _ in claims:
            sources[claimant.source.name] |= numbers.single(claimant.source.namespace)
        allocation = Allocation(numbers, sources)
        for claimant, places in claims:
            decision = allocation.grant(claimant, numbers.of(place.namespace for place in places))
            for namespace in numbers.names(decision.granted):
                writers[Place(namespace, claimant.destination_name)] = claimant.key
        return [(place, writers[place]) for place in wanted if place in writers][:most]

    def _wanted(self, node: Node, limit: int) -> Iterator[Place]:
        """Yield the destinations of a sync that is under admission, if any other sync makes copies of that name."""
        name, exact = node.destination_name, node.selector.exact_names
        rivals = self.open_ended.get(name, {}).keys() - {node.key}
        if not rivals and not self.exact.named(name):
            return
        others: Iterable[str] = ()
        if (
            node.selector.open_ended
        ):  # without open-ended rivals, only namespaces that rivals name can be contested
            others = {
                *(self._namespaces if rivals else ()),
                *self.exact.named(name),
                *self._exact_names(rivals),
            } - exact
        for namespace in (*sorted(exact), *sorted(others)):
            if self.looks > limit - MAX_LOOKS // 2:
                return
            if self.reaches(node, namespace):
                yield Place(namespace, name)

    def _exact_names(self, keys: Iterable[NamespacedName]) -> Iterator[str]:
        for key in keys:
            yield from self.nodes[key].selector.exact_names

    def _claims_behind(
        self, places: Iterable[Place], ignored: NamespacedName, limit: int
    ) -> list[tuple[Node, list[Place]]]:
        """Return all claims that decide about some places, oldest sync first: on them, on the sources of their claimants, and so on."""
        claims: dict[NamespacedName, tuple[Node, list[Place]]] = {}
        waiting = deque(places)
        seen = set(waiting)
        while waiting and self.looks <= limit and len(claims) < MAX_CLAIMANTS:
            place = waiting.popleft()
            for claimant in self.claimants(place, limit):
                if claimant.key == ignored:
                    continue
                claims.setdefault(claimant.key, (claimant, []))[1].append(place)
                if claimant.source not in seen:
                    seen.add(claimant.source)
                    waiting.append(claimant.source)
        return sorted(claims.values(), key=lambda claim: claim[0].age)

    def _namespace_changed(self, name: str, *, came_or_went: bool) -> list[NamespacedName]:
        """Put a namespace into the sets that hold it now, and take it out of the others; returns the syncs concerned."""
        changed: list[NamespacedName] = []
        single = self.numbers.single(name)
        if came_or_went:
            for key in self._naming.get(name, ()):
                self._reach.pop(key, None)  # a few names, quickly looked up again
                changed.append(key)
        exists = name in self._namespaces
        for key, reach in self._reach.items():
            node = self.nodes[key]
            if not node.selector.open_ended or not (
                came_or_went or node.selector.labels is not None
            ):
                continue
            if (exists and self.reaches(node, name)) != bool(reach & single):
                self._reach[key] = reach ^ single
                changed.append(key)
        return changed


def _by_name(place: Place) -> tuple[str, str]:
    return place.name, place.namespace


def _able(namespace: Namespace) -> bool:
    """Return whether a namespace can take copies at all."""
    return not namespace.terminating and not namespace.disabled


def _path(source: Place, start: Place, leads_to: dict[Place, Place]) -> Path:
    path = [source, start]
    while path[-1] != source:
        path.append(leads_to[path[-1]])
    return tuple(path)
