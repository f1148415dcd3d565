"""Describe the replica that serves the page: whether it leads, and how its watches are.

`handlers.py` calls it. A standby replica has the same caches as the leader, but emits
no events.
"""

from collections.abc import Callable
from enum import StrEnum

import msgspec

from kube.leader_election import Elector
from reconciler.known.caches import Caches


class Role(StrEnum):
    """What the replica does."""

    STARTING = "starting"  # a cache has not synced
    LEADING = "leading"
    STANDBY = "standby"


class Watch(msgspec.Struct, frozen=True, rename="camel"):
    """One watch.

    Attributes:
        name: what is watched.
        objects: number of cached objects.
        synced: whether the first list is complete.
        silent_seconds: time since the API server was last heard; None before that.
        problem: why the watch fails now; None if it works.
    """

    name: str
    objects: int
    synced: bool
    silent_seconds: int | None
    problem: str | None


class ReplicaState(msgspec.Struct, frozen=True, rename="camel"):
    """The replica.

    Attributes:
        role: what it does.
        leader: name of the pod or host that holds the Lease; empty if it is not known.
        lease_problem: why the Lease cannot be read or written; None if it can.
        watches: all watches.
    """

    role: Role
    leader: str
    lease_problem: str | None
    watches: tuple[Watch, ...]


class Replica:
    """Reads the state of this replica."""

    def __init__(self, caches: Caches, elector: Elector | None, now: Callable[[], float]) -> None:
        """Create a reader.

        Args:
            caches: of the reconciler.
            elector: None if this is the only replica.
            now: the event loop's clock, in seconds.
        """
        self._caches = caches
        self._elector = elector
        self._now = now

    @property
    def synced(self) -> bool:
        """Return whether every cache has synced."""
        return all(informer.synced.is_set() for informer in self._caches.all.values())

    def state(self) -> ReplicaState:
        """Return the state now."""
        elector = self._elector
        problem = elector.problem if elector else None
        return ReplicaState(
            role=self._role(),
            leader=elector.holder.rpartition("_")[0] if elector else "",
            lease_problem=str(problem) if problem else None,
            watches=self._watches(),
        )

    def _role(self) -> Role:
        if not self.synced:
            return Role.STARTING
        leads = self._elector is None or self._elector.leading
        return Role.LEADING if leads else Role.STANDBY

    def _watches(self) -> tuple[Watch, ...]:
        now = self._now()
        return tuple(
            Watch(
                name=name,
                objects=len(informer),
                synced=informer.synced.is_set(),
                silent_seconds=int(now - informer.state.last_heard)
                if informer.state.lists
                else None,
                problem=str(informer.state.problem) if informer.state.problem else None,
            )
            for name, informer in self._caches.all.items()
        )
