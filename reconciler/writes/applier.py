"""Carry out planned writes in parallel, each destination on its own.

`reconcile.py` calls it. A reconcile waits two seconds for its writes; slower ones go on
without it and delay no other destination, and a failed one backs off alone. What to
write is decided by the planner, and `failures.py` turns errors into reasons.
"""

import asyncio
from collections.abc import Iterable
from functools import partial

import structlog

from configmapsync import reason_messages
from configmapsync.names import NamespacedName
from configmapsync.plans import Applied, Plan, Verb, Write, soonest
from configmapsync.reasons import Outcome, Reason
from kube.errors import ApiError, Conflict, Unreachable
from kube.workqueue import WorkQueue
from reconciler.known.caches import Caches
from reconciler.reports.events import Events
from reconciler.reports.metrics import DONE, FAILED, STALE, Metrics
from reconciler.writes.batch import Batch
from reconciler.writes.contention import Contention
from reconciler.writes.failures import is_stale, outcome_of
from reconciler.writes.retries import Retries
from reconciler.writes.slots import WriteSlots
from reconciler.writes.writer import Writer

# A reconcile waits this long for its writes. Then it reports the progress, and the writes go on.
WRITE_WAIT_SECONDS = 2.0
# The progress of writes that go on is reported again after this time, or when they end.
PROGRESS_SECONDS = 30.0
# A create without an answer may still happen: the API server ends a request after 60 s by default.
UNANSWERED_SECONDS = 60.0


class Applier:
    """Carries out the writes of all syncs, with a bound on the writes in flight."""

    def __init__(
        self,
        writer: Writer,
        retries: Retries,
        metrics: Metrics,
        *,
        queue: WorkQueue[NamespacedName],
        contention: Contention,
        events: Events,
        caches: Caches,
        parallel: int,
    ) -> None:
        """Create an applier.

        Args:
            writer: sends single writes.
            retries: has the destinations that fail.
            metrics: counts writes.
            queue: of syncs; a write enqueues other syncs that it affects.
            contention: records the writes to each copy.
            events: emits events on copies.
            caches: have the syncs that a write affects.
            parallel: the most writes in flight.
        """
        self._writer = writer
        self._retries = retries
        self._metrics = metrics
        self._queue = queue
        self._contention = contention
        self._events = events
        self._caches = caches
        self._parallel = parallel
        self._slots = WriteSlots(parallel)
        self._batches: dict[NamespacedName, Batch] = {}
        # By destination with a write in flight, the other syncs that wait for its end.
        self._in_flight: dict[NamespacedName, set[NamespacedName]] = {}
        self._runners: set[asyncio.Task[None]] = set()
        self._log = structlog.get_logger("applier")
        metrics.retries_held.labels("destination").set_function(retries.__len__)

    async def apply(self, sync: NamespacedName, planned: Plan) -> Applied:
        """Carry out a plan in place of the previous plan of the sync.

        A copy that replaces another one is written before the other one is removed: removals begin
        in a reconcile in which every write has ended, well or not. When the sync is enqueued again,
        writes that have not started are left to the next plan. Writes that take longer than
        `WRITE_WAIT_SECONDS` go on after the return, and the sync is enqueued when they end.

        Raises:
            Exception: a defect in a write. An `ApiError` is not raised: it becomes an outcome.
        """
        keys = {write.key for write in (*planned.writes, *planned.removals)}
        self._retries.retain(sync, keys)
        self._caches.blockers.retain(sync, keys | planned.taken)
        for destination in planned.taken:
            self._caches.blockers.expect(destination, sync)
        batch = self._batches.setdefault(sync, Batch(sync))
        written = await self._carry_out(batch, planned.writes)
        removed: tuple[Outcome, ...] = ()
        if planned.removals and Reason.PROGRESSING not in _reasons(written):
            removed = await self._carry_out(batch, planned.removals)
        return self._finish(batch, planned, written, removed)

    async def drain(self) -> None:
        """Start no further write and wait for those in flight, before the process stops."""
        for batch in self._batches.values():
            batch.waiting.clear()
        await asyncio.gather(*self._runners, return_exceptions=True)

    async def _carry_out(self, batch: Batch, writes: Iterable[Write]) -> tuple[Outcome, ...]:
        batch.begin_plan()
        for write in sorted(writes, key=_by_age):
            self._admit(batch, write)
        if batch.waiting:
            self._start_runners(batch)
            await self._wait(batch)
        if batch.defect is not None:
            raise batch.defect
        return tuple(batch.outcomes.values())

    def _admit(self, batch: Batch, write: Write) -> None:
        """Add a write to the batch, unless its destination backs off or has a write in flight."""
        if (outcome := self._retries.deferred(batch.sync, write)) is not None:
            batch.outcomes[write.key] = outcome
            return
        message = reason_messages.to_be_written(write.verb, write.cause)
        batch.outcomes[write.key] = Outcome(write.key.namespace, Reason.PROGRESSING, message)
        if write.key in batch.in_flight:
            batch.joined[write.key] = write
        elif write.key in self._in_flight:
            self._in_flight[write.key].add(batch.sync)
        else:
            batch.add(write)

    def _start_runners(self, batch: Batch) -> None:
        """Start a task for each waiting write; those with a write in flight may hang."""
        free = batch.runners - len(batch.in_flight)
        for _ in range(min(self._parallel, len(batch.waiting)) - free):
            batch.runners += 1
            runner = asyncio.create_task(self._work(batch))
            self._runners.add(runner)
            runner.add_done_callback(self._runners.discard)

    async def _wait(self, batch: Batch) -> None:
        """Wait until every write has ended, the sync is enqueued again, or the time is up."""
        loop = asyncio.get_running_loop()
        batch.waiter = loop.create_future()
        timer = loop.call_later(WRITE_WAIT_SECONDS, batch.wake)
        self._queue.when_dirty(batch.sync, partial(batch.wake, again=True))
        stop = True
        try:
            stop = await batch.waiter
        finally:
            timer.cancel()
            batch.waiter = None
            if stop:
                batch.waiting.clear()
            if batch.outdated:
                self._queue.add(batch.sync)

    def _finish(
        self,
        batch: Batch,
        planned: Plan,
        written: tuple[Outcome, ...],
        removed: tuple[Outcome, ...],
    ) -> Applied:
        """End a plan; return what became of it, and when the sync needs the next one.

        The next plan comes at once after a first half: the second half removes the copies that were
        just replaced, or the finalizer after the last removal.
        """
        leftovers = tuple(outcome for outcome in removed if outcome.reason is not Reason.SYNCED)
        all_removed = bool(removed) and not leftovers
        replaced = planned.staged and _reasons(written) & {Reason.SYNCED, Reason.CONTESTED}
        busy = batch.in_flight | {write.key for write in batch.waiting}
        unanswered_for = batch.unanswered_for(asyncio.get_running_loop().time())
        requeue_after = soonest(
            planned.requeue_after,
            self._retries.next_in(batch.sync, busy),
            unanswered_for or None,
            None if batch.idle else PROGRESS_SECONDS,
        )
        settled = batch.idle and not unanswered_for
        wrote, batch.wrote = batch.wrote, False
        if settled:
            self._batches.pop(batch.sync, None)
        return Applied(
            outcomes=written,
            leftovers=leftovers,
            wrote=wrote,
            settled=settled,
            requeue_after=0.0 if all_removed or replaced else requeue_after,
        )

    async def _work(self, batch: Batch) -> None:
        """Carry out writes until none waits; a slow write holds up only this runner."""
        try:
            while batch.waiting:
                async with self._slots.slot(batch.sync.namespace, batch.largest):
                    if batch.waiting:
                        await self._send(batch, batch.waiting.popleft())
        finally:
            batch.runners -= 1

    async def _send(self, batch: Batch, write: Write) -> None:
        if write.key in self._in_flight:
            self._in_flight[write.key].add(batch.sync)
            return
        self._in_flight[write.key] = set()
        batch.begin(write)
        outcome = None
        try:
            as_planned = await self._writer.write(batch.sync, write)
            outcome = self._done(batch, write, as_planned=as_planned)
        except ApiError as error:
            outcome = self._failed(batch, write, error)
        except Exception as error:  # noqa: BLE001 - the reconcile raises it
            batch.defect = error
        finally:
            self._end(batch, write, outcome)

    def _end(self, batch: Batch, write: Write, outcome: Outcome | None) -> None:
        """Record the outcome, and wake up the syncs that wait for the end of the write."""
        batch.end(write, outcome)
        for sync in self._in_flight.pop(write.key):
            self._queue.add(sync)
        if batch.waiter is None and (batch.idle or batch.outdated):
            self._queue.add(batch.sync)
        elif batch.done:
            batch.wake()

    def _done(self, batch: Batch, write: Write, *, as_planned: bool) -> Outcome:
        sync = batch.sync
        self._retries.release(sync, write.key)
        batch.unanswered.pop(write.key, None)
        repaired = self._contention.wrote(sync, write)
        self._events.wrote(sync, write, repaired=repaired)
        # A write of this process enqueues nothing by its event, but it can affect other syncs.
        affected = {*self._caches.blockers.waiting(write.key)}
        affected |= {other.key for other in self._caches.syncs_of_source(write.key)}
        if write.record and (previous := write.record.synced_by):
            affected.add(previous)
        for other in affected - {sync}:
            self._queue.add(other)
        self._metrics.writes.labels(write.verb, DONE).inc()
        names = {"sync": str(sync), **write.key._asdict()}
        self._log.debug("wrote", verb=write.verb, why=write.cause, **names)
        if not as_planned:
            # No event follows. `configmapsync/contention.py` limits the retries.
            batch.outdated = True
            message = reason_messages.changed_by_admission(write.key, write.verb)
            return Outcome(write.key.namespace, Reason.PROGRESSING, message)
        batch.wrote = batch.wrote or write.template is not None
        reason = Reason.CONTESTED if write.contested else Reason.SYNCED
        return Outcome(write.key.namespace, reason, write.contested)

    def _failed(self, batch: Batch, write: Write, error: ApiError) -> Outcome:
        sync = batch.sync
        outcome, stale = outcome_of(write, error), is_stale(write, error)
        delay = self._retries.failed(sync, write, outcome, error)
        if isinstance(error, Unreachable) and write.verb in {Verb.CREATE, Verb.RECREATE}:
            now = asyncio.get_running_loop().time()
            batch.unanswered[write.key] = now + UNANSWERED_SECONDS
        self._metrics.writes.labels(write.verb, STALE if stale else FAILED).inc()
        if isinstance(error, Conflict):
            self._contention.lost_race(sync, write)
        if stale:
            batch.outdated = True  # the caches hold the live object now
        self._log.warning(
            "write failed",
            verb=write.verb,
            reason=outcome.reason,
            error=outcome.message,
            retry_in=delay,
            sync=str(sync),
            **write.key._asdict(),
        )
        return outcome


def _reasons(outcomes: Iterable[Outcome]) -> set[Reason]:
    return {outcome.reason for outcome in outcomes}


def _by_age(write: Write) -> tuple[int, NamespacedName]:
    """Order missing copies first, then the copies that were written longest ago.

    Versions rise over the whole cluster, so that the lowest one is the oldest write.
    """
    return (int(write.record.resource_version) if write.record else 0, write.key)
