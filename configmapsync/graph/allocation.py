"""Who may write which ConfigMap: claims are granted from the oldest sync to the youngest.

A claim is granted if no older sync was granted that place, and if it closes no loop over what older syncs were granted.
So every place has at most one granted writer, and the granted claims form a forest: following a ConfigMap to its source,
to that one's source and so on ends at one root. A new claim closes a loop exactly if it wants to write the root of its own
source. A disjoint-set forest with path compression finds roots in near-constant time, so the cost of deciding is linear in
the number of syncs. `grants.py` and `graph.py` choose which syncs are decided together. Pure.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from configmapsync.graph.namespace_sets import NamespaceNumbers, NamespaceSet
from configmapsync.names import NamespacedName
from configmapsync.resource import ConfigMapSync
from configmapsync.selection import Selector

NOT_CREATED_YET = datetime.max.replace(tzinfo=UTC)  # a sync under admission is the youngest
MAX_LOOP_STEPS = 16  # longer loops are not spelled out in a message

Place = NamespacedName
Age = tuple[datetime, NamespacedName]


@dataclass(frozen=True, slots=True)
class Node:
    """The part of a sync that concerns other syncs. Two nodes are equal if they claim the same."""

    key: NamespacedName
    source: Place
    destination_name: str
    selection: object
    selector: Selector = field(compare=False)
    age: Age

    @classmethod
    def of(cls, sync: ConfigMapSync, protected: frozenset[str]) -> "Node":
        """Return the node of a sync whose defaults are filled in."""
        age = (sync.metadata.creation_timestamp or NOT_CREATED_YET, sync.key)
        selector = Selector.of(sync, protected)
        selection = (
            selector.exact_names,
            selector.globs.patterns,
            selector.labels,
            selector.excluded.patterns,
        )
        return cls(sync.key, sync.source, sync.destination_name, selection, selector, age)


@dataclass(frozen=True, slots=True)
class Loop:
    """A claim that is refused because it closes a loop.

    Attributes:
        place: the destination that is refused.
        message: the loop, spelled out as far as a reader of the sync may know it.
    """

    place: Place
    message: str


@dataclass(frozen=True, slots=True)
class Decision:
    """What became of the claims of one sync.

    Attributes:
        granted: the namespaces in which it may write its copy.
        contested: the namespaces in which an older sync writes that ConfigMap.
        loop: the one destination that would close a loop; a sync has at most one, the root of its source.
    """

    granted: NamespaceSet
    contested: NamespaceSet
    loop: Loop | None = None


@dataclass(frozen=True, slots=True)
class _Origin:
    """The granted claim that makes a ConfigMap a copy."""

    source: Place
    writer: Node


class Allocation:
    """Grants the claims of one sync at a time.

    Args:
        numbers: the numbers that the namespace sets are written in.
        sources: for each ConfigMap name, the namespaces in which a ConfigMap of that name is the source of a member.
    """

    def __init__(self, numbers: NamespaceNumbers, sources: Mapping[str, NamespaceSet]) -> None:
        self._numbers = numbers
        self._sources = sources
        self._taken: defaultdict[str, NamespaceSet] = defaultdict(int)
        self._origins: dict[Place, _Origin] = {}
        self._above: dict[Place, Place] = {}  # the source of a copy, or a ConfigMap further up

    def grant(self, node: Node, wanted: NamespaceSet) -> Decision:
        """Decide about a sync. Callers go from the oldest sync to the youngest."""
        name = node.destination_name
        contested = wanted & self._taken[name]
        granted = wanted & ~contested
        loop = None
        root = self._root(node.source)
        if root.name == name and (closing := granted & self._numbers.single(root.namespace)):
            granted &= ~closing
            loop = Loop(root, self._spelled(node, root))
        self._taken[name] |= granted
        for namespace in self._numbers.names(granted & self._sources.get(name, 0)):
            copy = Place(namespace, name)
            self._origins[copy] = _Origin(node.source, node)
            self._above[copy] = node.source
        return Decision(granted, contested, loop)

    def _root(self, place: Place) -> Place:
        above = self._above
        root = place
        while root in above:
            root = above[root]
        while place != root:  # path compression
            above[place], place = root, above[place]
        return root

    def _spelled(self, node: Node, root: Place) -> str:
        """Spell a loop out without the ConfigMaps that only syncs of other namespaces name.

        A status is read by everybody who may read the sync, and that person need not be allowed to see the others.
        """
        way = [node.source]  # from the source up to the root, which the refused claim would write
        shown = [True]
        while way[-1] != root and len(way) <= MAX_LOOP_STEPS:
            origin = self._origins[way[-1]]
            own = origin.writer.key.namespace == node.key.namespace
            shown[-1] |= own
            way.append(origin.source)
            shown.append(own)
        if way[-1] != root:
            return f"would close a loop: {node.source} -> {root} -> (at least {MAX_LOOP_STEPS} more) -> {node.source}"
        shown[-1] = True
        return f"would close a loop: {spelled_path([node.source, *reversed(way)], [True, *reversed(shown)])}"


def spelled_path(way: Sequence[Place], shown: Sequence[bool]) -> str:
    """Join the steps of a loop with arrows; steps in a row that are not shown are counted."""
    words: list[str] = []
    hidden = 0
    for place, visible in zip(way, shown, strict=True):
        if not visible:
            hidden += 1
            continue
        if hidden:
            words.append(_hidden_steps(hidden))
            hidden = 0
        words.append(str(place))
    return " -> ".join(words)


def _hidden_steps(count: int) -> str:
    return "(a ConfigMap of another sync)" if count == 1 else f"({count} ConfigMaps of other syncs)"
