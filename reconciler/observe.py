"""Observe and plan: one look at the world from the side of one sync, and what follows from it.

`reconcile.py` carries out what comes out here; `python -m reconciler plan` only tells it. Both ask this module, so that what is told is what
would be done. Nothing here may write.
"""

from collections.abc import Awaitable, Callable
from typing import Protocol

from cluster.syncs import SyncRecord
from configmapsync.content import SourceObject
from configmapsync.names import NamespacedName
from configmapsync.planning import Observed, Outcome, Plan, plan, plan_orphans
from configmapsync.reasons import Reason
from configmapsync.resource import ConfigMapSync
from reconciler.known.caches import Caches
from reconciler.known.sources import Sources


class Denials(Protocol):
    """Who knows what a named service account may not do."""

    async def denial(self, sync: ConfigMapSync) -> str | None:
        """Say what it lacks; None where it lacks nothing, or none is named."""


class Observer:
    """Looks at the caches, and reads what they do not hold."""

    def __init__(
        self,
        caches: Caches,
        sources: Sources,
        authorization: Denials,
        decided: Callable[[NamespacedName], Awaitable[None]],
        served: frozenset[str] | None = None,
    ) -> None:
        """Put the parts together.

        Args:
            caches: what is known of the cluster.
            sources: the content of sources.
            authorization: what named service accounts lack.
            decided: returns when the graph knows which claims of a sync count.
            served: the only namespaces that may be written to; None where every namespace may.
        """
        self._caches = caches
        self._sources = sources
        self._authorization = authorization
        self._decided = decided
        self._served = served

    async def plan(self, record: SyncRecord) -> tuple[SourceObject | None, Plan]:
        """Look, and decide: the source as it was read, and everything that is to be done.

        Raises:
            ApiError: the source, or the right to it, could not be read.
        """
        if record.sync is None:
            return None, self._plan_unreadable(record)
        denied, source = await self._read(record.sync)
        await self._decided(record.key)
        observed = Observed(  # no await from here on: this is one moment
            sync=record.sync,
            source=source,
            copies=self._caches.copies_naming(record),
            copy_at=self._caches.copy_at,
            namespaces=self._caches.namespaces_by_name,
            is_living=self._caches.is_living,
            blocker_at=self._caches.blockers.at,
            denied=denied,
            refused=self._caches.decisions.refusals(record.key),
            must_release=self._caches.must_release,
            protected=self._caches.protected,
            served=self._served,
        )
        return source, plan(observed)

    def plan_orphans(self, sync: NamespacedName) -> Plan:
        """What becomes of the copies of a sync that is not there any more."""
        orphans = self._caches.orphans_of(sync)
        return Plan(
            removals=plan_orphans(
                orphans, self._caches.namespaces_by_name, "its sync is gone", self._served
            )
        )

    async def _read(self, sync: ConfigMapSync) -> tuple[str | None, SourceObject | None]:
        """What a named service account lacks, and the source; each where the plan depends on it."""
        if sync.deleting or sync.spec.suspend:
            return None, None
        denied = await self._authorization.denial(sync)
        return denied, None if denied else await self._sources.read(sync.source)

    def _plan_unreadable(self, record: SyncRecord) -> Plan:
        """A spec nobody can read: its copies stay, unless it is being deleted; then each goes as its own mark says."""
        copies = self._caches.copies_naming(record)
        own = [copy for copy in copies if copy.sync_uid == record.metadata.uid and not copy.cloned]
        if record.deleting:
            removals = plan_orphans(
                own, self._caches.namespaces_by_name, "the sync is being deleted", self._served
            )
            return Plan(removals=removals, finalizer=bool(removals))
        errors = "; ".join(str(error) for error in record.errors)
        return Plan(verdict=Outcome("", Reason.INVALID_SPEC, errors), finalizer=bool(own))
