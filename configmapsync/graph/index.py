"""Index all syncs: which of them claim a ConfigMap, and which read it as their source.

A sync claims a ConfigMap if its spec selects it. Most copies have one claimant and
are no source, so edges are not stored; a lookup by names finds them. The webhook asks
about one sync and gets an answer after a bounded number of lookups. `decisions.py`
decides about all syncs for the reconciler. No function here may recurse: a tenant
chooses the length of a chain.
"""

from collections import defaultdict, deque
from collections.abc import Iterable, Iterator
from itertools import chain

from configmapsync.graph.allocation import Allocation, Node
from configmapsync.graph.namespace_sets import NamespaceNumbers, NamespaceSet
from configmapsync.graph.node_index import NodeIndex
from configmapsync.names import NamespacedName
from configmapsync.namespace_index import NamespaceIndex, namespace_keys, selector_keys
from configmapsync.resource import ConfigMapSync
from configmapsync.selection import Namespace, Selector

MAX_CONTESTED = 32  # the contested destinations that are reported for one sync
MAX_LOOKUPS = 10_000  # of other syncs for one review of the webhook: some ten milliseconds
MAX_CLAIMANTS = 1_000  # compared for one review of the webhook: some ten milliseconds more

Path = tuple[NamespacedName, ...]
Nodes = dict[NamespacedName, Node]


class Graph:
    """All syncs that are not being deleted, and all namespaces."""

    def __init__(self, protected: frozenset[str]) -> None:
        self.protected = protected
        self.nodes: Nodes = {}
        self.numbers = NamespaceNumbers()
        self.readers = NodeIndex()  # by source
        self.exact = NodeIndex()  # by destination: syncs that name all their namespaces
        # By destination name: syncs with globs or selectors.
        self.open_ended: defaultdict[str, Nodes] = defaultdict(dict)
        self.lookups = 0  # of syncs and namespaces so far: the cost of all answers
        self._namespaces = NamespaceIndex()
        # By what selects a namespace: the syncs with globs or selectors.
        self._selecting: defaultdict[str, set[NamespacedName]] = defaultdict(set)
        # By namespace: the syncs in `exact` that name it.
        self._naming: defaultdict[str, set[NamespacedName]] = defaultdict(set)
        # Computed on the first request, then kept up to date.
        self._reach: dict[NamespacedName, NamespaceSet] = {}

    def put(self, sync: ConfigMapSync) -> None:
        """Add or replace a sync. Remove one that is being deleted: it writes no more copies."""
        node = Node.of(sync, self.protected)
        self.remove(node.key)
        if sync.deleting:
            return
        self.nodes[node.key] = node
        self.readers.add(*_index_key(node.source), node)
        if node.selector.open_ended:
            self.open_ended[node.destination_name][node.key] = node
            for selecting in selector_keys(node.selector):
                self._selecting[selecting].add(node.key)
            return
        for namespace in node.selector.exact_names:
            self.exact.add(node.destination_name, namespace, node)
            self._naming[namespace].add(node.key)

    def remove(self, key: NamespacedName) -> None:
        """Remove a sync."""
        node = self.nodes.pop(key, None)
        if node is None:
            return
        self._reach.pop(key, None)
        self.readers.remove(*_index_key(node.source), node)
        if node.selector.open_ended:
            del self.open_ended[node.destination_name][key]
            if not self.open_ended[node.destination_name]:
                del self.open_ended[node.destination_name]
            for selecting in selector_keys(node.selector):
                self._selecting[selecting].discard(key)
                if not self._selecting[selecting]:
                    del self._selecting[selecting]
            return
        for namespace in node.selector.exact_names:
            self.exact.remove(node.destination_name, namespace, node)
            self._naming[namespace].discard(key)
            if not self._naming[namespace]:
                del self._naming[namespace]

    def put_namespace(self, namespace: Namespace, *, reuse: bool = True) -> list[NamespacedName]:
        """Add a namespace or update its labels; return the syncs whose selection may differ."""
        previous = self._namespaces.get(namespace.name)
        self._namespaces.put(namespace)
        self.numbers.add(namespace.name, reuse=reuse)
        if (
            previous is not None
            and _accepts_copies(previous) == _accepts_copies(namespace)
            and previous.labels == namespace.labels
        ):
            return []
        came = previous is None or _accepts_copies(previous) != _accepts_copies(namespace)
        return self._namespace_changed(previous or namespace, namespace, came_or_went=came)

    def remove_namespace(self, name: str) -> list[NamespacedName]:
        """Remove a namespace; return the syncs whose selection may differ."""
        previous = self._namespaces.get(name)
        if previous is None:
            return []
        self._namespaces.remove(name)
        changed = self._namespace_changed(previous, previous, came_or_went=True)
        self.numbers.remove(name)
        return changed

    def reaches(self, node: Node, name: str) -> bool:
        """Return whether a sync selects a namespace, which need not exist yet."""
        self.lookups += 1
        namespace = self._namespaces.get(name) or Namespace(name)
        return _accepts_copies(namespace) and node.selector.matches(namespace)

    def claims(self, node: Node, key: NamespacedName) -> bool:
        """Return whether a sync claims a ConfigMap."""
        return node.destination_name == key.name and self.reaches(node, key.namespace)

    def claimants(self, key: NamespacedName, limit: int) -> Iterator[Node]:
        """Yield the claimants of a ConfigMap, in no order, until `lookups` exceeds the limit."""
        open_ended = self.open_ended.get(key.name, {}).values()
        for node in chain(self.exact.at(key.name, key.namespace), open_ended):
            if self.lookups > limit:
                return
            if self.reaches(node, key.namespace):
                yield node

    def knows_reach(self, node: Node) -> bool:
        """Return whether `reach` has its answer already."""
        return node.key in self._reach and self.nodes.get(node.key) is node

    def reach(self, node: Node) -> NamespaceSet:
        """Return the existing namespaces that a sync selects; the first call checks them all."""
        if self.knows_reach(node):
            return self._reach[node.key]
        self.lookups += (
            len(self._namespaces) if node.selector.open_ended else len(node.selector.exact_names)
        )
        selected = node.selector.among(self._namespaces)
        reach = self.numbers.of(
            namespace.name for namespace in selected if _accepts_copies(namespace)
        )
        if self.nodes.get(node.key) is node:
            self._reach[node.key] = reach
        return reach

    @property
    def namespace_count(self) -> int:
        """Return the number of namespaces."""
        return len(self._namespaces)

    def cycle_through(self, sync: ConfigMapSync, selector: Selector | None = None) -> Path | None:
        """Return the loop that `sync` would close, from its source back to it; None without a loop.

        The previous version of the sync is ignored. So are refusals: a loop that only a refusal
        breaks is still a loop. The search goes from copies to sources, because most ConfigMaps
        are a copy of at most one source. It returns None after MAX_LOOKUPS: the reconciler
        finds loops of any length and does not write them.

        Args:
            sync: under review.
            selector: the compiled selection of the sync; None to compile it again.
        """
        node = Node.of(sync, self.protected, selector)
        # By source: its copy, which is one step nearer to the source of `sync`.
        leads_to: dict[NamespacedName, NamespacedName] = {}
        waiting, limit = deque((node.source,)), self.lookups + MAX_LOOKUPS
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
        self, sync: ConfigMapSync, selector: Selector | None = None
    ) -> list[tuple[NamespacedName, NamespacedName]]:
        """Return destinations of `sync` that another sync may write, each with that sync.

        Exactly named destinations come first. The previous version of the sync is ignored. The
        answer is exact up to MAX_LOOKUPS and MAX_CLAIMANTS, and an estimate beyond: only the
        reconciler decides exactly.

        Args:
            sync: under review.
            selector: the compiled selection of the sync; None to compile it again.
        """
        node = Node.of(sync, self.protected, selector)
        limit = self.lookups + MAX_LOOKUPS
        writers: dict[NamespacedName, NamespacedName] = {}
        wanted = list(self._wanted(node, limit))
        if not wanted:
            return []
        claims = self._claims_behind(wanted, node.key, limit)
        numbers = NamespaceNumbers({key.namespace for _, keys in claims for key in keys})
        sources: defaultdict[str, NamespaceSet] = defaultdict(int)
        for claimant, _ in claims:
            sources[claimant.source.name] |= numbers.single(claimant.source.namespace)
        allocation = Allocation(numbers, sources)
        for claimant, keys in claims:
            decision = allocation.grant(claimant, numbers.of(key.namespace for key in keys))
            for namespace in numbers.names(decision.granted):
                writers[NamespacedName(namespace, claimant.destination_name)] = claimant.key
        return [(key, writers[key]) for key in wanted if key in writers][:MAX_CONTESTED]

    def _wanted(self, node: Node, limit: int) -> Iterator[NamespacedName]:
        """Yield the destinations of a sync under review that another sync may claim, by name."""
        name, exact = node.destination_name, node.selector.exact_names
        rivals = self.open_ended.get(name, {}).keys() - {node.key}
        if not rivals and not self.exact.namespaces(name):
            return
        others: Iterable[str] = ()
        if node.selector.open_ended:
            # Without open-ended rivals, only namespaces that rivals name can be contested.
            others = {
                *(self._namespaces if rivals else ()),
                *self.exact.namespaces(name),
                *self._exact_names(rivals),
            } - exact
        for namespace in (*sorted(exact), *sorted(others)):
            if self.lookups > limit - MAX_LOOKUPS // 2:
                return
            if self.reaches(node, namespace):
                yield NamespacedName(namespace, name)

    def _exact_names(self, keys: Iterable[NamespacedName]) -> Iterator[str]:
        for key in keys:
            yield from self.nodes[key].selector.exact_names

    def _claims_behind(
        self, wanted: Iterable[NamespacedName], ignored: NamespacedName, limit: int
    ) -> list[tuple[Node, list[NamespacedName]]]:
        """Return all claims that matter for some ConfigMaps, oldest sync first.

        These are the claims on them, on the sources of their claimants, and so on.
        """
        claims: dict[NamespacedName, tuple[Node, list[NamespacedName]]] = {}
        waiting = deque(wanted)
        seen = set(waiting)
        while waiting and self.lookups <= limit and len(claims) < MAX_CLAIMANTS:
            key = waiting.popleft()
            for claimant in self.claimants(key, limit):
                if claimant.key == ignored:
                    continue
                claims.setdefault(claimant.key, (claimant, []))[1].append(key)
                if claimant.source not in seen:
                    seen.add(claimant.source)
                    waiting.append(claimant.source)
        return sorted(claims.values(), key=lambda claim: claim[0].age)

    def _namespace_changed(
        self, before: Namespace, after: Namespace, *, came_or_went: bool
    ) -> list[NamespacedName]:
        """Update the sets that must contain a namespace; return the syncs whose set changed."""
        changed: list[NamespacedName] = []
        name = after.name
        single = self.numbers.single(name)
        if came_or_went:
            for key in self._naming.get(name, ()):
                self._reach.pop(key, None)  # a few names, which are looked up again quickly
                changed.append(key)
        exists = name in self._namespaces
        for key in self._selecting_any(before, after):
            node, reach = self.nodes[key], self._reach.get(key)
            if reach is None or not (came_or_went or node.selector.labels is not None):
                continue
            if (exists and self.reaches(node, name)) != bool(reach & single):
                self._reach[key] = reach ^ single
                changed.append(key)
        return changed

    def _selecting_any(self, *namespaces: Namespace) -> set[NamespacedName]:
        """Return the syncs with globs or selectors that may select one of these namespaces."""
        return {
            key
            for namespace in namespaces
            for selecting in namespace_keys(namespace)
            for key in self._selecting.get(selecting, ())
        }


def _index_key(key: NamespacedName) -> tuple[str, str]:
    return key.name, key.namespace


def _accepts_copies(namespace: Namespace) -> bool:
    """Return whether a namespace accepts copies."""
    return not namespace.terminating and not namespace.disabled


def _path(
    source: NamespacedName, start: NamespacedName, leads_to: dict[NamespacedName, NamespacedName]
) -> Path:
    path = [source, start]
    while path[-1] != source:
        path.append(leads_to[path[-1]])
    return tuple(path)
