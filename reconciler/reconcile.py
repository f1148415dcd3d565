"""Reconcile one sync in five steps: fetch, observe, plan, apply, report.

`controller.py` calls it with the name of a sync and nothing else. It reads the cluster
as it is now and makes it match the sync. It must not write if the cluster matches.
"""

import asyncio

from cluster.syncs import SyncRecord
from configmapsync.conditions import Report
from configmapsync.contention import defer_contested, mark_contested
from configmapsync.names import FINALIZER, NamespacedName
from configmapsync.planning import plan
from configmapsync.plans import Observed, ObservedInvalid, Plan
from configmapsync.reasons import Reason
from reconciler.known.caches import Caches
from reconciler.known.orphans import Orphans
from reconciler.known.service_accounts import Authorization
from reconciler.observe import Observer
from reconciler.reports.status import Reporter
from reconciler.writes.applier import Applier
from reconciler.writes.batch import Applied
from reconciler.writes.contention import Contention


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

    async def reconcile(self, key: NamespacedName) -> float | None:
        """Reconcile one sync as far as the cluster allows now.

        Returns:
            Seconds until the sync has to be reconciled again; None if only an event can
            change its plan.

        Raises:
            ApiError: the API server refused a read or the finalizer. Nothing is lost; retry.
        """
        record = self._caches.syncs.get(*key)  # 1. fetch
        if record is None:
            return await self._remove_orphans(key)
        self._orphans.forget(key)
        contested = await self._contention.observe(key)  # 2. observe
        observed = await self._observer.observe(record, contested, trust_status=True)
        planned = plan(observed)  # 3. plan
        if planned.content_needed:
            observed = await self._observer.observe(record, contested)
            planned = plan(observed)
        applied = await self._apply(record, planned)  # 4. apply
        if applied is None:
            return None  # the sync is gone: its finalizer was removed
        await asyncio.sleep(0)  # planning and reporting take up to 30 ms each, for the largest spec
        if not _is_finished(record, planned, applied):
            self._reporter.report(record, _report(record, observed, planned, applied))  # 5. report
        return _requeue_after(planned, applied, self._next_authorization(record, planned))

    async def _remove_orphans(self, key: NamespacedName) -> float | None:
        """Handle the copies of a sync that is gone.

        Its finalizer has removed them, unless the finalizer was removed by force.
        """
        self._reporter.forget(key)
        self._applier.stop(key)
        self._caches.blockers.retain(key, ())
        if not self._caches.orphans_of(key):
            self._applier.forget(key)
            self._contention.forget(key)
            self._orphans.forget(key)
            return None
        if wait := await self._orphans.wait(key):
            return wait
        contested = await self._contention.observe(key)
        planned = defer_contested(self._observer.plan_orphans(key), "", contested)
        applied = await self._applier.apply(key, (), planned.removals)
        if any(outcome.reason is Reason.SYNCED for outcome in applied.removed):
            return 0.0
        return _soonest(applied.retry_in, planned.contested_for)

    async def _apply(self, record: SyncRecord, planned: Plan) -> Applied | None:
        """Carry a plan out: the finalizer, then writes, then removals, then the finalizer again.

        The finalizer is added before the first copy, so that a crash in between leaves no orphan.

        Returns:
            The outcomes; None if the sync is gone.
        """
        self._retain_blockers(record, planned)
        current: SyncRecord | None = record
        if planned.finalizer and not record.deleting and not _has_finalizer(record):
            current = await self._reporter.set_finalizer(record, present=True)
        if current is None:
            return None
        applied = await self._applier.apply(record.key, planned.writes, planned.removals)
        # Before the deletion the finalizer stays, so that the next copy needs no write to the sync.
        # A create in flight can still make a copy.
        done = record.deleting and not planned.finalizer and applied.settled
        if done and _has_finalizer(current):
            current = await self._reporter.set_finalizer(current, present=False)
        return applied if current is not None else None

    def _retain_blockers(self, record: SyncRecord, planned: Plan) -> None:
        """Watch the ConfigMaps at destinations that the plan needs, and no others."""
        writes = {write.key for write in (*planned.writes, *planned.removals)}
        name = record.sync.destination_name if record.sync else ""
        taken = {
            NamespacedName(outcome.namespace, name)
            for outcome in planned.settled
            if outcome.reason.taken
        }
        self._caches.blockers.retain(record.key, writes | taken)
        for destination in taken:
            self._caches.blockers.expect(destination, record.key)

    def _next_authorization(self, record: SyncRecord, planned: Plan) -> float | None:
        """RBAC changes emit no events, so syncs that depend on a permission are requeued."""
        sync = record.sync
        if sync is None or sync.deleting or sync.spec.suspend:
            return None
        waiting = planned.verdict is not None and planned.verdict.reason is Reason.NOT_AUTHORIZED
        depends = waiting or sync.spec.service_account_name is not None
        return self._authorization.ask_again_after if depends else None


def _has_finalizer(record: SyncRecord) -> bool:
    return FINALIZER in record.metadata.finalizers


def _is_finished(record: SyncRecord, planned: Plan, applied: Applied) -> bool:
    """Return whether nothing keeps a deleted sync: it is gone before a status could be read."""
    return record.deleting and not planned.leftovers and not applied.leftovers


def _report(
    record: SyncRecord, observed: Observed | ObservedInvalid, planned: Plan, applied: Applied
) -> Report:
    """Return what the status is computed from."""
    sync, written = record.sync, applied.written
    if sync is not None:
        written = mark_contested(written, sync.destination_name, planned.contested)
    return Report(
        generation=record.metadata.generation,
        previous=None,
        source=observed.source if isinstance(observed, Observed) else None,
        digest=planned.digest,
        outcomes=(*planned.settled, *written),
        leftovers=(*planned.leftovers, *applied.leftovers),
        verdict=planned.verdict,
        wrote=applied.wrote,
        keys=sync.spec.keys if sync else (),
        remaining=planned.remaining,
    )


def _requeue_after(
    planned: Plan, applied: Applied, next_authorization: float | None
) -> float | None:
    """Return the seconds until the next reconcile: 0 after a first half, else the first wait.

    The second half removes the copies that were just replaced, or the finalizer after the last
    removal.
    """
    if applied.all_removed or (planned.staged and applied.any_written):
        return 0.0
    return _soonest(applied.retry_in, planned.contested_for, next_authorization)


def _soonest(*waits: float | None) -> float | None:
    return min((wait for wait in waits if wait is not None), default=None)
