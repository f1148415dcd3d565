"""The graph of all syncs: loops, and destinations that two syncs claim. Exact, and never rebuilt.

A node is a ConfigMap, an edge leads from a source to a copy. Most copies are nobody's source, so edges are not stored: they are asked for, by the
names that can match. The webhook asks for a new sync; the reconciler asks for every sync again, for a loop can come about by a label on a namespace.

Who may write what is decided from the oldest sync to the youngest. A claim is granted where no older one was granted that place, and where
it closes no loop over what older ones were granted: what nobody carries out stands in nobody's way.
"""

from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping

from configmapsync.claims import Age, Claims, Index, Node, Nodes, found, new_index, take_out
from configmapsync.names import NamespacedName
from configmapsync.planning import Refusal
from configmapsync.reasons import Reason
from configmapsync.resource import ConfigMapSync
from configmapsync.selection import Namespace

MOST_CONTESTED = 32  # destinations that are named for one sync; nobody reads more
MOST_LOOKS = 10_000  # at other syncs, for one answer of `contested`: some ten milliseconds

Place = NamespacedName
Way = tuple[Place, ...]
Excluded = NamespacedName | None  # a sync that is looked away from: what would be without it


class Graph:
    """All living syncs and namespaces."""

    def __init__(self, protected: frozenset[str]) -> None:
        self._protected = protected
        self._nodes: Nodes = {}
        self._claims = Claims()
        self._from: Index = new_index()
        self._sound: dict[tuple[Excluded, NamespacedName, Place], bool] = {}  # answers, until anything changes

    def put(self, sync: ConfigMapSync) -> None:
        """Add a sync, or take notice of its change; one that is being deleted writes no more and counts as gone."""
        self.remove(sync.key)
        if sync.deleting:
            return
        node = self._nodes[sync.key] = Node.of(sync, self._protected)
        self._from[node.source.name][node.source.namespace][node.key] = node
        self._claims.put(node)

    def remove(self, key: NamespacedName) -> None:
        """Forget a sync."""
        self._sound.clear()
        node = self._nodes.pop(key, None)
        if node is not None:
            take_out(self._from, node.source, key)
            self._claims.remove(node)

    def put_namespace(self, namespace: Namespace) -> None:
        """Add a namespace, or take notice of its labels."""
        self._sound.clear()
        self._claims.put_namespace(namespace)

    def remove_namespace(self, name: str) -> None:
        """Forget a namespace."""
        self._sound.clear()
        self._claims.remove_namespace(name)

    def cycle_through(self, sync: ConfigMapSync) -> Way | None:
        """The loop that `sync` closes: from its source, step by step, back to it; None where there is none.

        What the graph holds under its name is ignored: the question is what would be. So are refusals: what only they break is still a loop.
        """
        node = Node.of(sync, self._protected)
        return self._way_back(node, self._leading_on(node, node.source), lambda _other, _step: True)

    def contested(self, sync: ConfigMapSync, most: int = MOST_CONTESTED) -> Iterator[tuple[Place, NamespacedName]]:
        """Destinations of `sync` that another sync writes, each with that sync; what the graph holds under its own name is ignored.

        The answer to a webhook must come soon: where thousands of syncs with globs want ConfigMaps of one name, it tells what it has found after
        so many looks. The reconciler asks for `refusals`, which are always complete.
        """
        node = Node.of(sync, self._protected)
        if not self._claims.have_rivals(node):
            return
        told, began = 0, self._claims.looks
        for namespace in sorted(self._claims.namespaces_of(node)):
            place = Place(namespace, node.destination_name)
            writer = self._writer(place, besides=node.key)
            if writer is not None:
                yield place, writer.key
                told += 1
            if told == most or self._claims.looks - began > MOST_LOOKS:
                return

    def refusals(self, sync: ConfigMapSync) -> dict[Place, Refusal]:
        """The destinations of `sync` that are not to be written for the cluster's sake, each with its reason."""
        node = Node.of(sync, self._protected)
        refused: dict[Place, Refusal] = {}
        if self._claims.have_rivals(node):
            for namespace in self._claims.namespaces_of(node):
                place = Place(namespace, node.destination_name)
                if (winner := self._writer(place, before=node.age)) is not None:
                    message = f'ConfigMap "{place}" is written by the older ConfigMapSync "{winner.key}"'
                    refused[place] = Refusal(Reason.DESTINATION_CONTESTED, message)
        for place in self._leading_on(node, node.source):
            if place not in refused and (way := self._loop(node, place, None)):
                refused[place] = Refusal(Reason.LOOP_DETECTED, f"would close a loop: {' -> '.join(map(str, way))}")
        return refused

    def entangled_with(self, sync: ConfigMapSync) -> frozenset[NamespacedName]:
        """The syncs whose refusals may depend on `sync`, or its own on theirs: they claim a place of it, or a loop leads over them."""
        node = Node.of(sync, self._protected)
        return frozenset(self._rivals(node) | self._ring(node))

    def yields(self, other: NamespacedName, place: Place) -> bool:
        """Whether the sync `other`, whose copy stands at `place`, has to leave it: it does not want it any more, or may not have it."""
        rival = self._nodes.get(other)
        if rival is None:
            return False  # nobody knows what it wants: its spec cannot be read, or it is just being deleted
        return not self._granted(rival, place, None)

    def _writer(self, place: Place, besides: Excluded = None, before: Age | None = None) -> Node | None:
        """The sync whose copy `place` is: the oldest that closes no loop with it; of those before an age, where one is given."""
        for node in self._claims.at(place):
            if before is not None and node.age >= before:
                return None
            if node.key != besides and self._is_sound(node, place, besides):
                return node
        return None

    def _granted(self, node: Node, place: Place, besides: Excluded) -> bool:
        """Whether a sync may write a place. Asks about older syncs only, so that the question ends."""
        for claimant in self._claims.at(place):
            if claimant.key == node.key:
                return self._is_sound(node, place, besides)
            if claimant.key != besides and self._is_sound(claimant, place, besides):
                return False
        return False

    def _is_sound(self, node: Node, place: Place, besides: Excluded) -> bool:
        """Whether a claim closes no loop over what older syncs were granted."""
        question = (besides, node.key, place)
        if question not in self._sound:
            self._sound[question] = self._loop(node, place, besides) is None
        return self._sound[question]

    def _loop(self, node: Node, place: Place, besides: Excluded) -> Way | None:
        """The loop that a claim closes over what older syncs were granted."""

        def older(other: Node, _step: Place) -> bool:
            return other.age < node.age and other.key != besides

        if self._way_back(node, (place,), older) is None:
            return None  # not even over all that was claimed, which is quickly told
        return self._way_back(
            node, (place,), lambda other, step: older(other, step) and self._granted(other, step, besides)
        )

    def _rivals(self, node: Node) -> set[NamespacedName]:
        """The other syncs that claim a place of `node`."""
        if not self._claims.have_rivals(node):
            return set()
        possible, rivals = self._claims.everyone_of(node.destination_name) - {node.key}, set[NamespacedName]()
        for namespace in self._claims.namespaces_of(node):
            rivals.update(other.key for other in self._claims.everyone_at(Place(namespace, node.destination_name)))
            if possible <= rivals:
                break
        return rivals - {node.key}

    def _ring(self, node: Node) -> set[NamespacedName]:
        """The syncs that are met on every way round from `node` to itself; none where no way leads back."""
        met: set[NamespacedName] = set()

        def noting(other: Node, _step: Place) -> bool:
            met.add(other.key)
            return True

        return met if self._way_back(node, self._leading_on(node, node.source), noting, to_the_end=True) else set()

    def _leading_on(self, node: Node, target: Place) -> Iterator[Place]:
        """The copies of a sync that lead on: the target of the search first, then those that are sources themselves."""
        spaces: Collection[str] = self._from.get(node.destination_name, {}).keys()
        candidates = sorted(set(spaces) if node.selector.open_ended else node.selector.exact_names & set(spaces))
        if node.destination_name == target.name:
            candidates.insert(0, target.namespace)
        for name in dict.fromkeys(candidates):
            if self._claims.reaches(node, name):
                yield Place(name, node.destination_name)

    def _way_back(
        self,
        node: Node,
        steps: Iterable[Place],
        may_go: Callable[[Node, Place], bool],
        *,
        to_the_end: bool = False,
    ) -> Way | None:
        """The shortest way from the source of `node` over one of `steps` back to it, along the steps of others that `may_go`.

        Args:
            node: whose source it is; what the graph holds under its name leads nowhere.
            steps: where to begin.
            may_go: whether a sync's step counts.
            to_the_end: go on when the way is found, so that every step is asked about.
        """
        came_from: dict[Place, Place] = dict.fromkeys(steps, node.source)
        waiting = deque(came_from)
        while waiting and (to_the_end or node.source not in came_from):
            here = waiting.popleft()
            for other, step in self._steps_from(here, node):
                if may_go(other, step) and step not in came_from:
                    came_from[step] = here
                    waiting.append(step)
                    if step == node.source and not to_the_end:
                        break
        return _spelled(came_from, node.source) if node.source in came_from else None

    def _steps_from(self, here: Place, node: Node) -> Iterator[tuple[Node, Place]]:
        """Every step of another sync than `node` from a ConfigMap on; from the source of `node`, the way is at its end."""
        if here == node.source:
            return
        for other in found(self._from, here).values():
            if other.key != node.key:
                for step in self._leading_on(other, node.source):
                    yield other, step


def _spelled(came_from: Mapping[Place, Place], source: Place) -> Way:
    way = [source]
    while (before := came_from[way[-1]]) != source:
        way.append(before)
    return (source, *reversed(way[1:]), source)
