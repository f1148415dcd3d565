"""Find the loop and the contested destinations of one sync under review.

The webhook and the plugin ask before the sync is stored. Each answer ends after a
bounded number of lookups: a tenant chooses how many syncs there are, and the length of
a chain. Only `decisions.py` decides exactly, for the reconciler.
"""

from collections import deque
from collections.abc import Iterable, Iterator

from configmapsync.graph.allocation import Allocation, Node
from configmapsync.graph.index import Graph
from configmapsync.graph.namespace_sets import NamespaceNumbers
from configmapsync.names import NamespacedName
from configmapsync.resource import ConfigMapSync
from configmapsync.selection import Selector

MAX_CONTESTED = 32  # the contested destinations that are reported for one sync
MAX_LOOKUPS = 10_000  # of other syncs for one answer: some ten milliseconds
MAX_CLAIMANTS = 1_000  # compared for one answer: some ten milliseconds more

Path = tuple[NamespacedName, ...]
Claim = tuple[Node, list[NamespacedName]]  # a sync, and the ConfigMaps that it claims


class ReviewSearch:
    """Searches the graph for one sync; the previous version of the sync is ignored."""

    def __init__(self, graph: Graph, sync: ConfigMapSync, selector: Selector) -> None:
        """Prepare a search.

        Args:
            graph: all other syncs; it may hold the previous version of the sync.
            sync: the sync under review.
            selector: its compiled selection.
        """
        self.lookups = 0  # of syncs and namespaces so far: the cost of the answers
        self._graph = graph
        self._node = Node.of(sync, selector)

    def cycle(self) -> Path | None:
        """Return the loop that the sync would close, from its source back to it, or None.

        Refusals are ignored: a loop that only a refusal breaks is still a loop. The search goes
        from copies to sources, because most ConfigMaps are a copy of at most one source. It returns
        None after MAX_LOOKUPS: the reconciler finds loops of any length and does not write them.
        """
        node = self._node
        # By source: its copy, which is one step nearer to the source of the sync.
        leads_to: dict[NamespacedName, NamespacedName] = {}
        waiting, limit = deque((node.source,)), self.lookups + MAX_LOOKUPS
        while waiting:
            here = waiting.popleft()
            for writer in self._claimants(here, limit):
                if writer.source in leads_to or writer.source == node.source:
                    continue
                leads_to[writer.source] = here
                self.lookups += 1
                if self._graph.claims(node, writer.source):
                    return _path(node.source, writer.source, leads_to)
                waiting.append(writer.source)
        return None

    def contested(self) -> list[tuple[NamespacedName, NamespacedName]]:
        """Return destinations that another sync is entitled to write, each with that sync.

        At most MAX_CONTESTED; exactly named ones come first. The sync itself takes no part, so a
        younger sync counts, too. The answer is exact up to MAX_LOOKUPS and
        MAX_CLAIMANTS, and an estimate beyond.
        """
        limit = self.lookups + MAX_LOOKUPS
        wanted = list(self._wanted(limit))
        if not wanted:
            return []
        writers = _writers(self._claims_behind(wanted, limit))
        return [(key, writers[key]) for key in wanted if key in writers][:MAX_CONTESTED]

    def _claimants(self, key: NamespacedName, limit: int) -> Iterator[Node]:
        """Yield the other claimants of a ConfigMap, in no order, until the limit of lookups."""
        for node in self._graph.possible_claimants(key):
            if self.lookups > limit:
                return
            self.lookups += 1
            if node.key != self._node.key and self._graph.reaches(node, key.namespace):
                yield node

    def _wanted(self, limit: int) -> Iterator[NamespacedName]:
        """Yield the destinations that another sync may claim, by name."""
        graph, node = self._graph, self._node
        name, exact = node.destination_name, node.selector.exact_names
        rivals = graph.open_ended.get(name, {}).keys() - {node.key}
        if not rivals and not graph.exact.namespaces(name):
            return
        others: Iterable[str] = ()
        if node.selector.open_ended:
            # Without open-ended rivals, only namespaces that rivals name can be contested.
            others = {
                *(graph.namespaces if rivals else ()),
                *graph.exact.namespaces(name),
                *(named for key in rivals for named in graph.nodes[key].selector.exact_names),
            } - exact
        for namespace in (*sorted(exact), *sorted(others)):
            if self.lookups > limit - MAX_LOOKUPS // 2:
                return
            self.lookups += 1
            if graph.reaches(node, namespace):
                yield NamespacedName(namespace, name)

    def _claims_behind(self, wanted: Iterable[NamespacedName], limit: int) -> list[Claim]:
        """Return all claims that matter for some ConfigMaps, oldest sync first.

        These are the claims on them, on the sources of their claimants, and so on.
        """
        claims: dict[NamespacedName, Claim] = {}
        waiting = deque(wanted)
        seen = set(waiting)
        while waiting and self.lookups <= limit and len(claims) < MAX_CLAIMANTS:
            key = waiting.popleft()
            for claimant in self._claimants(key, limit):
                claims.setdefault(claimant.key, (claimant, []))[1].append(key)
                if claimant.source not in seen:
                    seen.add(claimant.source)
                    waiting.append(claimant.source)
        return sorted(claims.values(), key=lambda claim: claim[0].age)


def _writers(claims: list[Claim]) -> dict[NamespacedName, NamespacedName]:
    """Decide about claims, oldest sync first; return the sync that may write each ConfigMap."""
    numbers = NamespaceNumbers({key.namespace for _, keys in claims for key in keys})
    allocation = Allocation(numbers, (claimant for claimant, _ in claims))
    writers: dict[NamespacedName, NamespacedName] = {}
    for claimant, keys in claims:
        decision = allocation.grant(claimant, numbers.of(key.namespace for key in keys))
        for namespace in numbers.names(decision.granted):
            writers[NamespacedName(namespace, claimant.destination_name)] = claimant.key
    return writers


def _path(
    source: NamespacedName, start: NamespacedName, leads_to: dict[NamespacedName, NamespacedName]
) -> Path:
    path = [source, start]
    while path[-1] != source:
        path.append(leads_to[path[-1]])
    return tuple(path)
