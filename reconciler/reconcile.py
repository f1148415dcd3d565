"""One reconcile, in five steps: fetch, observe, plan, apply, report.

A reconcile is given a name and nothing else; it reads the world as it is now and makes it right. Running it twice does no harm, and
running it on a world that is right writes nothing. `controller.py` decides when it runs; `observing.py` looks, and what to do is decided in
`configmapsync/planning.py`.
"""

import asyncio
from collections.abc import Callable, Collection, Coroutine
from dataclasses import dataclass
from functools import partial

from cluster.syncs import SyncRecord
from configmapsync.conditions import Report
from configmapsync.content import SourceObject
from configmapsync.contention import contested_leftovers, defer_contested, mark_contested
from configmapsync.names import FINALIZER, NamespacedName
from configmapsync.planning import Outcome, Plan, owns
from configmapsync.reasons import Reason
from configmapsync.resource import ConfigMapSync, ConfigMapSyncStatus
from kube.errors import Forbidden
from reconciler.known.caches import Caches
from reconciler.known.orphans import Orphans
from reconciler.known.service_accounts import Authorization
from reconciler.observe import Observer
from reconciler.reports.status import Reporter
from reconciler.writes.applier import Applier
from reconciler.writes.contention import Contention

Newer = Callable[[], Coroutine[None, None, None]]
ReportStep = Callable[[], Coroutine[None, None, None]]


@dataclass(frozen=True, slots=True)
class Result:
    """What a reconcile leaves behind.

    Attributes:
        requeue_after: seconds until the next look; None where only an event can bring news.
        report: the fifth step, which needs no worker; None where there is nobody to report to.
    """

    requeue_after: float | None = None
    report: ReportStep | None = None


@dataclass(frozen=True, slots=True)
class Applied:
    """What became of a plan's writes and removals."""

    written: tuple[Outcome, ...]
    removed: tuple[Outcome, ...]

    @property
    def leftovers(self) -> tuple[Outcome, ...]:
        """What should be gone and is not."""
        return tuple(outcome for outcome in self.removed if outcome.reason is not Reason.SYNCED)


class Reconciler:
    """Makes the copies of one sync right."""

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

    async def reconcile(self, key: NamespacedName, newer: Newer) -> Result:
        """Bring one sync to rest, or as near to it as the world allows; the last step, the report, is handed back to be taken.

        Args:
            key: the sync.
            newer: returns when there is newer work for the same sync.

        Raises:
            ApiError: the API server did not let us read or report; nothing is lost, come back later.
        """
        record = self._caches.syncs.get(*key)
        if record is None:
            return await self._clean_up_after(key, newer)
        self._orphans.forget(key)
        source, planned = await self._observe_and_plan(record)
        guarded = await self._add_finalizer(record, planned)
        if guarded is None:
            return Result()
        applied = await self._mark_contested(
            record, planned, await self._apply(key, planned, newer)
        )
        released = await self._remove_finalizer(guarded, planned)
        # Planning and reporting may each take 30 ms, for the largest spec and source.
        await asyncio.sleep(0)
        report = self._report(released, source, planned, applied) if released is not None else None
        return Result(self._requeue_after(record, planned, applied), report)

    async def _clean_up_after(self, key: NamespacedName, newer: Newer) -> Result:
        """The sync is gone. Its finalizer has seen to its copies; where that was removed by force, they are handled in time."""
        self._reporter.forget(key)
        self._caches.blockers.retain(key, ())
        if not self._caches.orphans_of(key):
            self._applier.forget(key)
            self._contention.forget(key)
            self._orphans.forget(key)
            return Result()
        if wait := await self._orphans.wait(key):
            return Result(wait)
        contested = await self._contention.contested(key)
        planned = defer_contested(self._observer.plan_orphans(key), "", contested)
        self._applier.begin(key, {removal.key for removal in planned.removals})
        removed = await self._applier.apply(key, planned.removals, newer)
        if any(outcome.reason is Reason.SYNCED for outcome in removed):
            return Result(requeue_after=0.0)
        return Result(_soonest(self._applier.next_retry(key), self._contention.next_write_in(key)))

    async def _observe_and_plan(self, record: SyncRecord) -> tuple[SourceObject | None, Plan]:
        if record.sync is None:
            source, planned = await self._observer.plan(record)
            self._forget_unplanned(record.key, planned, ())
            return source, planned
        name, contested = record.sync.destination_name, await self._contention.contested(record.key)
        try:
            source, planned = await self._observer.plan(record)
        except Forbidden as error:  # nobody can tell what the copies should be: they stay
            message = f'source ConfigMap "{record.sync.source}" or the right to it may not be read: {error}'
            verdict = Outcome("", Reason.NOT_AUTHORIZED, message)
            copies = self._caches.copies_naming(record)
            ours = any(owns(record.sync, copy, self._caches.is_living) for copy in copies)
            return None, Plan(verdict=verdict, finalizer=ours)
        planned = defer_contested(planned, name, contested)
        taken = {
            NamespacedName(outcome.namespace, name)
            for outcome in planned.settled
            if outcome.reason.taken
        }
        self._forget_unplanned(record.key, planned, taken)
        for place in taken:
            self._caches.blockers.expect(place, record.key)
        return source, planned

    def _forget_unplanned(
        self, key: NamespacedName, planned: Plan, taken: Collection[NamespacedName]
    ) -> None:
        """Forget failures and obstacles at places that this plan has nothing to do with, or memory would only grow."""
        writes = {write.key for write in (*planned.writes, *planned.removals)}
        self._applier.begin(key, writes)
        self._caches.blockers.retain(key, writes | set(taken))

    async def _add_finalizer(self, record: SyncRecord, planned: Plan) -> SyncRecord | None:
        """Our finalizer stands before the first copy does: a crash in between leaves no orphan. None where the sync is gone."""
        if not planned.finalizer or record.deleting or FINALIZER in record.metadata.finalizers:
            return record
        return await self._reporter.set_finalizer(record, present=True)

    async def _remove_finalizer(self, record: SyncRecord, planned: Plan) -> SyncRecord | None:
        """Nothing of ours is out there or on its way: the finalizer goes, and perhaps the sync with it (None)."""
        if planned.finalizer or FINALIZER not in record.metadata.finalizers:
            return record
        if self._applier.settled_in(record.key) != 0.0:
            return record  # a create that is in flight may still make a copy
        return await self._reporter.set_finalizer(record, present=False)

    async def _apply(self, key: NamespacedName, planned: Plan, newer: Newer) -> Applied:
        """Write first, remove afterwards: what replaces a copy stands before the copy goes."""
        written = await self._applier.apply(key, planned.writes, newer)
        if any(outcome.reason is Reason.PROGRESSING for outcome in written):
            return Applied(written, ())
        return Applied(written, await self._applier.apply(key, planned.removals, newer))

    async def _mark_contested(self, record: SyncRecord, planned: Plan, applied: Applied) -> Applied:
        """Call nothing right where something else keeps undoing it: what was written just now may not stay."""
        contested = await self._contention.contested(record.key)
        if record.sync is None or not contested:
            return applied
        name = record.sync.destination_name
        destinations = {outcome.namespace for outcome in (*planned.settled, *applied.written)}
        return Applied(
            mark_contested(applied.written, name, contested),
            (*applied.removed, *contested_leftovers(contested, name, destinations)),
        )

    def _report(
        self, record: SyncRecord, source: SourceObject | None, planned: Plan, applied: Applied
    ) -> ReportStep | None:
        """Decide what is to be said; None where the status says it already."""
        if record.deleting and not applied.leftovers:
            return None  # nobody reads the status of what is about to go, unless it cannot go
        previous = record.status
        report = Report(
            generation=record.metadata.generation,
            previous=previous,
            source=source,
            digest=planned.digest,
            outcomes=(*planned.settled, *applied.written),
            leftovers=applied.leftovers,
            verdict=planned.verdict,
            wrote=self._applier.has_written(record.key),
            keys=record.sync.spec.keys if record.sync else (),
        )
        new = self._reporter.compose(record, report)
        return None if new == previous else partial(self._say, record, new)

    async def _say(self, record: SyncRecord, new: ConfigMapSyncStatus) -> None:
        await self._reporter.report(record, new)
        self._applier.reported(record.key)

    def _requeue_after(self, record: SyncRecord, planned: Plan, applied: Applied) -> float | None:
        """Look again at once where this was the first half; otherwise the first held destination sets the time.

        The second half removes what the copies just written replace, or takes the finalizer off once everything is removed.
        """
        succeeded = any(outcome.reason is Reason.SYNCED for outcome in applied.written)
        cleared = planned.removals and applied.removed and not applied.leftovers
        if cleared or (planned.staged and succeeded):
            return 0.0
        return _soonest(
            self._applier.next_retry(record.key),
            self._applier.settled_in(record.key) or None,
            self._contention.next_write_in(record.key),
            self._next_authorization(record.sync, planned),
        )

    def _next_authorization(self, sync: ConfigMapSync | None, planned: Plan) -> float | None:
        """No event tells of a right that comes or goes: whoever lives by one, or waits for one, is looked at again and again."""
        if sync is None or sync.deleting or sync.spec.suspend:
            return None
        waiting = planned.verdict is not None and planned.verdict.reason is Reason.NOT_AUTHORIZED
        return (
            self._authorization.ask_again_after
            if waiting or sync.spec.service_account_name
            else None
        )


def _soonest(*waits: float | None) -> float | None:
    """The shortest of several waits; None where nothing is waited for."""
    return min((wait for wait in waits if wait is not None), default=None)
