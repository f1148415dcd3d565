"""Reconcile one sync in five steps: fetch, observe, plan, apply, report.

`controller.py` calls it with the name of a sync and nothing else. It reads the cluster
as it is now and makes it match the sync. It must not write if the cluster matches.
"""

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass

from cluster.syncs import SyncRecord
from configmapsync.conditions import Report
from configmapsync.contention import mark_contested
from configmapsync.names import FINALIZER, NamespacedName
from configmapsync.planning import plan
from configmapsync.plans import Observed, ObservedInvalid, Outcome, Plan
from configmapsync.reasons import Reason
from reconciler.known.caches import Caches
from reconciler.known.orphans import Orphans
from reconciler.known.service_accounts import Authorization
from reconciler.observe import Observer
from reconciler.reports.status import Reporter
from reconciler.writes.applier import Applier
from reconciler.writes.contention import Contention

Newer = Callable[[], Coroutine[None, None, None]]


@dataclass(frozen=True, slots=True)
class Applied:
    """The outcomes of a plan's writes and removals."""

    written: tuple[Outcome, ...] = ()
    removed: tuple[Outcome, ...] = ()

    @property
    def leftovers(self) -> tuple[Outcome, ...]:
        """Return the copies that could not be removed."""
        return tuple(outcome for outcome in self.removed if outcome.reason is not Reason.SYNCED)


class Reconciler:
    """Makes the copies of one sync match its spec and its source."""

    def __init__(
        self,
        *,
        caches: Caches,
        observer: Observer,
        authorization: Authorization,
        contention: Contention,
        orphans: Orphans,
        applier: Applier,
        reporter: Reporter,
    ) -> None:
        self._caches = caches
        self._observer = observer
        self._authorization = authorization
        self._contention = contention
        self._orphans = orphans
        self._applier = applier
        self._reporter = reporter

    async def reconcile(self, key: NamespacedName, newer: Newer) -> float | None:
        """Reconcile one sync as far as the cluster allows now.

        Args:
            key: the sync.
            newer: returns when the same sync was enqueued again.

        Returns:
            Seconds until the sync has to be reconciled again; None if only an event can
            change its plan.

        Raises:
            ApiError: the API server refused a read or the finalizer. Nothing is lost; retry.
        """
        record = self._caches.syncs.get(*key)  # 1. fetch
        if record is None:
            return await self._remove_orphans(key, newer)
        self._orphans.forget(key)
        contested = await self._contention.observe(key)
        observed = await self._observer.observe(record, contested)  # 2. observe
        planned = plan(observed)  # 3. plan
        applied = await self._apply(record, planned, newer)  # 4. apply
        if applied is None:
            return None  # the sync is gone: its finalizer was removed
        await asyncio.sleep(0)  # planning and reporting take up to 30 ms each, for the largest spec
        self._report(record, observed, planned, applied)  # 5. report
        return self._requeue_after(record, planned, applied)

    async def _remove_orphans(self, key: NamespacedName, newer: Newer) -> float | None:
        """Handle the copies of a sync that is gone.

        Its finalizer has removed them, unless the finalizer was removed by force.
        """
        self._reporter.forget(key)
        self._caches.blockers.retain(key, ())
        if not self._caches.orphans_of(key):
            self._applier.forget(key)
            self._contention.forget(key)
            self._orphans.forget(key)
            return None
        if wait := await self._orphans.wait(key):
            return wait
        contested = await self._contention.observe(key)
        removals = [
            removal
            for removal in self._observer.plan_orphans(key).removals
            if removal.key not in contested or not contested[removal.key].deferred
        ]
        self._applier.begin(key, {removal.key for removal in removals})
        removed = await self._applier.apply(key, removals, newer)
        if any(outcome.reason is Reason.SYNCED for outcome in removed):
            return 0.0
        return _soonest(self._applier.next_retry(key), self._contention.next_write_in(key))

    async def _apply(self, record: SyncRecord, planned: Plan, newer: Newer) -> Applied | None:
        """Carry a plan out: the finalizer, then writes, then removals, then the finalizer again.

        The finalizer is added before the first copy, so that a crash in between leaves no orphan. A
        copy that replaces another one is written before the other one is removed.

        Returns:
            The outcomes; None if the sync is gone.
        """
        self._forget_unplanned(record, planned)
        current = await self._add_finalizer(record, planned)
        if current is None:
            return None
        written = await self._applier.apply(record.key, planned.writes, newer)
        under_way = any(outcome.reason is Reason.PROGRESSING for outcome in written)
        removals = () if under_way else planned.removals
        removed = await self._applier.apply(record.key, removals, newer)
        if await self._remove_finalizer(current, planned) is None:
            return None
        return Applied(written, removed)

    def _forget_unplanned(self, record: SyncRecord, planned: Plan) -> None:
        """Forget failures and blockers at destinations that the plan does not touch."""
        writes = {write.key for write in (*planned.writes, *planned.removals)}
        name = record.sync.destination_name if record.sync else ""
        taken = {
            NamespacedName(outcome.namespace, name)
            for outcome in planned.settled
            if outcome.reason.taken
        }
        self._applier.begin(record.key, writes)
        self._caches.blockers.retain(record.key, writes | taken)
        for destination in taken:
            self._caches.blockers.expect(destination, record.key)

    async def _add_finalizer(self, record: SyncRecord, planned: Plan) -> SyncRecord | None:
        if not planned.finalizer or record.deleting or FINALIZER in record.metadata.finalizers:
            return record
        return await self._reporter.set_finalizer(record, present=True)

    async def _remove_finalizer(self, record: SyncRecord, planned: Plan) -> SyncRecord | None:
        """Remove the finalizer of a deleted sync without copies.

        A create in flight can still make a copy. Before the deletion the finalizer stays, so that
        the next copy needs no write to the sync.
        """
        held = FINALIZER in record.metadata.finalizers
        if planned.finalizer or not record.deleting or not held:
            return record
        if self._applier.settled_in(record.key) != 0.0:
            return record
        return await self._reporter.set_finalizer(record, present=False)

    def _report(
        self,
        record: SyncRecord,
        observed: Observed | ObservedInvalid,
        planned: Plan,
        applied: Applied,
    ) -> None:
        """Queue the status. It is written after the copies of other syncs."""
        leftovers = (*planned.leftovers, *applied.leftovers)
        if record.deleting and not leftovers:
            return  # nothing keeps the sync, so that its status is gone before it is read
        sync, written = record.sync, applied.written
        if sync is not None:
            written = mark_contested(written, sync.destination_name, planned.contested)
        report = Report(
            generation=record.metadata.generation,
            previous=record.status,
            source=observed.source if isinstance(observed, Observed) else None,
            digest=planned.digest,
            outcomes=(*planned.settled, *written),
            leftovers=leftovers,
            verdict=planned.verdict,
            wrote=self._applier.has_written(record.key),
            keys=sync.spec.keys if sync else (),
            remaining=planned.remaining,
        )
        self._reporter.report(record, report)

    def _requeue_after(self, record: SyncRecord, planned: Plan, applied: Applied) -> float | None:
        """Return the seconds until the next reconcile: 0 after a first half, else the first wait.

        The second half removes the copies that were just replaced, or the finalizer after the last
        removal.
        """
        succeeded = any(outcome.reason is Reason.SYNCED for outcome in applied.written)
        cleared = planned.removals and applied.removed and not applied.leftovers
        if cleared or (planned.staged and succeeded):
            return 0.0
        return _soonest(
            self._applier.next_retry(record.key),
            self._applier.settled_in(record.key) or None,
            self._contention.next_write_in(record.key),
            self._next_authorization(record, planned),
        )

    def _next_authorization(self, record: SyncRecord, planned: Plan) -> float | None:
        """RBAC changes emit no events, so syncs that depend on a permission are requeued."""
        sync = record.sync
        if sync is None or sync.deleting or sync.spec.suspend:
            return None
        waiting = planned.verdict is not None and planned.verdict.reason is Reason.NOT_AUTHORIZED
        depends = waiting or sync.spec.service_account_name is not None
        return self._authorization.ask_again_after if depends else None


def _soonest(*waits: float | None) -> float | None:
    return min((wait for wait in waits if wait is not None), default=None)
