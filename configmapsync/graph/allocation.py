"""Decide which sync may write which ConfigMap, from the oldest sync to the youngest.

A claim is granted if no older sync was granted that ConfigMap, and if it closes no
loop with the claims of older syncs. `decisions.py` and `review.py` choose the syncs to
decide together. The cost must stay linear in their number.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import groupby
from operator import itemgetter

from configmapsync.graph.namespace_sets import NamespaceNumbers, NamespaceSet
from configmapsync.names import NamespacedName
from configmapsync.reasons import Outcome, Reason
from configmapsync.resource import ConfigMapSync
from configmapsync.selection import Selector

NOT_CREATED_YET = datetime.max.replace(tzinfo=UTC)  # a sync under admission is the youngest
MAX_LOOP_STEPS = 16  # longer loops are not spelled out in a message

Age = tuple[datetime, NamespacedName]


@dataclass(frozen=True, slots=True)
class Node:
    """The part of a sync that matters to other syncs; equal nodes claim the same ConfigMaps."""

    key: NamespacedName
    source: NamespacedName
    destination_name: str
    selector: Selector
    age: Age

    @classmethod
    def of(cls, sync: ConfigMapSync, selector: Selector) -> "Node":
        """Return the node of a sync that has its defaults, with its compiled selection."""
        key = sync.key
        age = (sync.metadata.creation_timestamp or NOT_CREATED_YET, key)
        return cls(key, sync.source, sync.destination_name, selector, age)


@dataclass(frozen=True, slots=True)
class Decision:
    """The decision about the claims of one sync.

    Attributes:
        granted: the namespaces where the sync may write its copy.
        contested: the namespaces where an older sync writes the ConfigMap.
        loop: the refusal of the destination that would close a loop; None without one. There is
            at most one: the root of the source.
    """

    granted: NamespaceSet
    contested: NamespaceSet
    loop: Outcome | None = None


class Allocation:
    """Decide about the claims of one sync at a time.

    Each ConfigMap has at most one writer, so the granted claims form a forest: from a ConfigMap the
    path to its source, to the source of that source and so on ends at one root. A new claim closes
    a loop exactly if its destination is the root of its own source. A disjoint-set forest with path
    compression finds roots in near-constant time.

    Args:
        numbers: the namespace numbers of all sets.
        nodes: the syncs to be decided.
    """

    def __init__(self, numbers: NamespaceNumbers, nodes: Iterable[Node]) -> None:
        self._numbers = numbers
        # By ConfigMap name. Only a copy that is a source can be part of a loop.
        self._sources: defaultdict[str, NamespaceSet] = defaultdict(int)
        for node in nodes:
            self._sources[node.source.name] |= numbers.single(node.source.namespace)
        self._taken: defaultdict[str, NamespaceSet] = defaultdict(int)
        self._writers: dict[NamespacedName, Node] = {}  # by copy
        # By copy: its source or, after path compression, a ConfigMap further up.
        self._above: dict[NamespacedName, NamespacedName] = {}

    def grant(self, node: Node, wanted: NamespaceSet) -> Decision:
        """Decide about the claims of a sync in the `wanted` namespaces, after all older syncs."""
        name = node.destination_name
        contested = wanted & self._taken[name]
        granted = wanted & ~contested
        loop = None
        root = self._root(node.source)
        if root.name == name and (closing := granted & self._numbers.single(root.namespace)):
            granted &= ~closing
            message = self._describe_loop(node, root)
            loop = Outcome(root.namespace, Reason.LOOP_DETECTED, message)
        self._taken[name] |= granted
        for namespace in self._numbers.names(granted & self._sources[name]):
            copy = NamespacedName(namespace, name)
            self._writers[copy] = node
            self._above[copy] = node.source
        return Decision(granted, contested, loop)

    def _root(self, key: NamespacedName) -> NamespacedName:
        above = self._above
        root = key
        while root in above:
            root = above[root]
        while key != root:  # path compression
            above[key], key = root, above[key]
        return root

    def _describe_loop(self, node: Node, root: NamespacedName) -> str:
        """Describe a loop without the ConfigMaps that only syncs of other namespaces name.

        The reader of a status may lack the right to read those syncs.
        """
        # The path goes from the source up to the root, which the refused claim would write.
        path = [node.source]
        shown = [True]
        while path[-1] != root and len(path) <= MAX_LOOP_STEPS:
            writer = self._writers[path[-1]]
            own = writer.key.namespace == node.key.namespace
            shown[-1] |= own
            path.append(writer.source)
            shown.append(own)
        if path[-1] != root:
            return (
                f"would close a loop: {node.source} -> {root}"
                f" -> (at least {MAX_LOOP_STEPS} more) -> {node.source}"
            )
        shown[-1] = True
        loop = format_path([node.source, *reversed(path)], [True, *reversed(shown)])
        return f"would close a loop: {loop}"


def format_path(path: Sequence[NamespacedName], shown: Sequence[bool]) -> str:
    """Join the steps of a loop with arrows; a run of hidden steps becomes their number."""
    words: list[str] = []
    for visible, run in groupby(zip(shown, path, strict=True), key=itemgetter(0)):
        steps = [str(step) for _, step in run]
        words += steps if visible else [_hidden_steps(len(steps))]
    return " -> ".join(words)


def _hidden_steps(count: int) -> str:
    return "(a ConfigMap of another sync)" if count == 1 else f"({count} ConfigMaps of other syncs)"
