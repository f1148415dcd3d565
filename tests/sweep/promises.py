"""Check what the end of a story does not show: no gap, no harm, one leader.

A checker follows the store. It measures for how long each promised copy was missing,
and remembers the objects that no run may change.
"""

from collections.abc import Callable, Collection, Iterator

from devcluster.storage.store import Event, Store
from tests.randomized.cluster import CONFIGMAPS, InMemoryCluster
from tests.randomized.expected import Key

Alternatives = tuple[Key, ...]
OPERATOR = "reconciler"  # the agent of its requests


class Promises:
    """Follows the promised copies and the bystanders of one run."""

    def __init__(
        self,
        cluster: InMemoryCluster,
        seconds: Callable[[], float],
        *,
        promised: Collection[Alternatives],
        bystanders: Collection[Key],
        leaders: Callable[[], int],
    ) -> None:
        """Begin to follow.

        Args:
            cluster: with all objects of the run.
            seconds: the event loop's clock.
            promised: copies of which at least one exists, except while a fault is repaired.
            bystanders: ConfigMaps that nothing in this run may change.
            leaders: how many replicas hold the Lease for certain.
        """
        self._cluster = cluster
        self._seconds = seconds
        self._promised = frozenset(promised)
        self._versions = {key: self._version(key) for key in bystanders}
        self._leaders = leaders
        self._missing_since: dict[Alternatives, tuple[str, float]] = {}
        self.most_leaders = 0
        self.gaps: dict[str, float] = {}  # the longest one, by the client that deleted the copy
        store: Store = cluster.store
        store.subscribe(self._follow)

    def problems(self, longest: float, own: float) -> Iterator[str]:
        """Yield every broken promise.

        Args:
            longest: seconds for which a promised copy may have been missing.
            own: the same after a deletion by the operator.
        """
        for key, version in self._versions.items():
            if self._version(key) != version:
                yield f"{key} belongs to others and was changed or deleted"
        for alternatives in self._promised:
            if self._missing(alternatives):
                yield f"{' and '.join(map(str, alternatives))} is missing at the end"
        if self.most_leaders > 1:
            yield f"{self.most_leaders} replicas led at the same time"
        for agent, gap in self.gaps.items():
            allowed = own if agent == OPERATOR else longest
            if gap > allowed:
                yield f"{agent} deleted a copy; it was missing for {gap:.3f} s, not {allowed:g} s"

    def _follow(self, event: Event) -> None:
        key = event.new.place
        self.most_leaders = max(self.most_leaders, self._leaders())
        if event.key != CONFIGMAPS:
            return
        for alternatives in self._promised:
            if key in alternatives:
                self._measure(alternatives)

    def _measure(self, alternatives: Alternatives) -> None:
        """Measure a gap after one of these copies was created or deleted."""
        if self._missing(alternatives):
            self._missing_since.setdefault(alternatives, (self._cluster.agent, self._seconds()))
        elif (deleted := self._missing_since.pop(alternatives, None)) is not None:
            agent, since = deleted
            self.gaps[agent] = max(self.gaps.get(agent, 0.0), self._seconds() - since)

    def _missing(self, alternatives: Alternatives) -> bool:
        return all(self._version(key) is None for key in alternatives)

    def _version(self, key: Key) -> str | None:
        found = self._cluster.find(CONFIGMAPS, *key)
        return found["metadata"]["resourceVersion"] if found else None
