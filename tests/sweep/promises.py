"""Check what the end of a story does not show: no gap, no harm, one leader.

A checker follows the store. It measures for how long each promised copy was missing,
and remembers the objects that no run may change.
"""

from collections.abc import Callable, Collection, Iterator

from devcluster.storage.store import Event, Store
from tests.randomized.cluster import CONFIGMAPS, InMemoryCluster
from tests.randomized.expected import Key

OPERATOR = "reconciler"  # the agent of its requests


class Promises:
    """Follows the promised copies and the bystanders of one run."""

    def __init__(
        self,
        cluster: InMemoryCluster,
        seconds: Callable[[], float],
        *,
        promised: Collection[Key],
        bystanders: Collection[Key],
        leaders: Callable[[], int],
    ) -> None:
        """Begin to follow.

        Args:
            cluster: with all objects of the run.
            seconds: the event loop's clock.
            promised: copies that may be missing only while a fault is repaired.
            bystanders: ConfigMaps that nothing in this run may change.
            leaders: how many replicas hold the Lease for certain.
        """
        self._cluster = cluster
        self._seconds = seconds
        self._promised = frozenset(promised)
        self._versions = {key: self._version(key) for key in bystanders}
        self._leaders = leaders
        self._missing_since: dict[Key, tuple[str, float]] = {}
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
        for key in self._promised:
            if self._version(key) is None:
                yield f"{key} is missing at the end"
        if self.most_leaders > 1:
            yield f"{self.most_leaders} replicas led at the same time"
        for agent, gap in self.gaps.items():
            allowed = own if agent == OPERATOR else longest
            if gap > allowed:
                yield f"{agent} deleted a copy; it was missing for {gap:.3f} s, not {allowed:g} s"

    def _follow(self, event: Event) -> None:
        key = event.new.place
        self.most_leaders = max(self.most_leaders, self._leaders())
        if event.key != CONFIGMAPS or key not in self._promised:
            return
        if event.kind == "DELETED":
            self._missing_since[key] = self._cluster.agent, self._seconds()
        elif (deleted := self._missing_since.pop(key, None)) is not None:
            agent, since = deleted
            self.gaps[agent] = max(self.gaps.get(agent, 0.0), self._seconds() - since)

    def _version(self, key: Key) -> str | None:
        found = self._cluster.find(CONFIGMAPS, *key)
        return found["metadata"]["resourceVersion"] if found else None
