"""Carries writes out: every destination alone, many at once, none twice.

A destination that fails is held back, longer each time, while all others go on; one that hangs keeps its own lane and nobody
else's. The stalest copy goes first, so that a source edited faster than its copies can be written starves none of them. What is
written, and why, is the planner's; `failures.py` says what an error means.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Collection, Coroutine, Iterable
from dataclasses import dataclass, field
from typing import Any

import structlog

from configmapsync.names import NamespacedName
from configmapsync.plans import Outcome, Verb, Write
from configmapsync.reasons import Reason
from kube.backoff import Backoff
from kube.errors import ApiError, Conflict, Retry, Unreachable
from kube.workqueue import WorkQueue
from reconciler.known.caches import Blockers
from reconciler.reports.copy_events import CopyEvents
from reconciler.reports.metrics import DONE, FAILED, STALE, Metrics
from reconciler.writes.contention import Contention
from reconciler.writes.failures import is_stale, outcome_of
from reconciler.writes.slots import WriteSlots
from reconciler.writes.writer import Writer

MAX_BACKOFF_SECONDS = 300.0  # seconds; for what only an edit can mend
WRITE_WAIT_SECONDS = 2.0  # seconds a reconcile waits for its writes before it reports progress and looks at the world again
# A create without an answer may still be carried out: the API server gives up on a request after 60 s by default.
UNANSWERED_SECONDS = 60.0

SyncDestination = tuple[NamespacedName, NamespacedName]  # of a sync, to a ConfigMap


@dataclass(slots=True)
class BackoffEntry:
    """A destination that failed, and until when it is left alone."""

    until: float  # on the event loop's clock
    outcome: Outcome
    content_hash: int | None  # what was to be written; something else may succeed where this cannot
    final: bool  # only something else can succeed
    deferred: bool = False  # the current plan wants it, and it was too early

    def defers(self, write: Write, now: float) -> bool:
        """Whether `write` has to wait."""
        if (
            self.final
            and write.template is not None
            and write.template.content_hash != self.content_hash
        ):
            return False
        return now < self.until


@dataclass(slots=True)
class Batch:
    """The writes of one reconcile: what has not begun, and how each stands."""

    sync: NamespacedName
    waiting: deque[Write] = field(default_factory=deque)
    largest: int = 0  # bytes of the largest copy that it writes
    outcomes: dict[NamespacedName, Outcome] = field(default_factory=dict)
    closed: bool = False  # the reconcile has gone on: begin nothing more, and wake the sync when what is in flight has ended


class Applier:
    """Carries the writes of all syncs out, with one bound on how many are in flight."""

    def __init__(
        self,
        writer: Writer,
        backoff: Backoff[SyncDestination],
        metrics: Metrics,
        *,
        queue: WorkQueue[NamespacedName],
        contention: Contention,
        copy_events: CopyEvents,
        blockers: Blockers,
        parallel: int,
    ) -> None:
        """Create an applier.

        Args:
            writer: sends single writes.
            backoff: of destinations that fail.
            metrics: counts writes.
            queue: enqueues syncs for which a write is news.
            contention: remembers writes to each copy.
            copy_events: sends events of copies.
            blockers: knows which syncs wait for a destination.
            parallel: the number of writes in flight at most.
        """
        self._writer = writer
        self._backoff = backoff
        self._metrics = metrics
        self._queue = queue
        self._contention = contention
        self._copy_events = copy_events
        self._blockers = blockers
        self._parallel = parallel
        self._slots = WriteSlots(parallel)
        self._in_flight: dict[
            NamespacedName, NamespacedName
        ] = {}  # by place, the sync that writes it
        self._unanswered: dict[
            NamespacedName, dict[NamespacedName, float]
        ] = {}  # creates, until when they may happen
        self._waiting_syncs: dict[
            NamespacedName, set[NamespacedName]
        ] = {}  # by place, the syncs that found it in flight
        self._runners: set[asyncio.Task[None]] = set()
        self._backoff_entries: dict[NamespacedName, dict[NamespacedName, BackoffEntry]] = {}
        self._written: set[NamespacedName] = set()
        self._log = structlog.get_logger("applier")

    async def apply(
        self,
        sync: NamespacedName,
        writes: Iterable[Write],
        newer: Callable[[], Coroutine[None, None, None]],
    ) -> tuple[Outcome, ...]:
        """Carry out what may be carried out now; one outcome for each write.

        Args:
            sync: on whose behalf.
            writes: what to do, in no particular order.
            newer: returns when there is newer work for this sync: what has not begun by then is left to the next plan.

        Returns:
            `Synced` for what is done, `Progressing` for what is not done yet, else what went wrong.
        """
        batch = Batch(sync)
        for write in sorted(writes, key=_staleness):
            self._admit(batch, write)
        if batch.waiting:
            await self._run(batch, newer)
        return tuple(batch.outcomes.values())

    def begin(self, sync: NamespacedName, destinations: Collection[NamespacedName]) -> None:
        """Start a new plan of `sync`: forget what is known of destinations that it does not write."""
        lanes = self._backoff_entries.get(sync, {})
        for key in [key for key in lanes if key not in destinations]:
            self.release(sync, key)
        for held in lanes.values():
            held.deferred = False
        if unanswered := self._unanswered.pop(sync, {}):
            now = asyncio.get_running_loop().time()
            if waiting := {key: until for key, until in unanswered.items() if until > now}:
                self._unanswered[sync] = waiting

    def next_retry(self, sync: NamespacedName) -> float | None:
        """Seconds until the first held destination of `sync` may be tried again; None where none waits for its time.

        One whose time has come since the current plan was applied is due at once.
        """
        now = asyncio.get_running_loop().time()
        waits = (
            held
            for held in self._backoff_entries.get(sync, {}).values()
            if held.deferred or held.until > now
        )
        return min((max(held.until - now, 0.0) for held in waits), default=None)

    def settled_in(self, sync: NamespacedName) -> float | None:
        """Seconds until no write of `sync` can make a copy any more; 0 where none can, None while one is in flight."""
        if sync in self._in_flight.values():
            return None
        now = asyncio.get_running_loop().time()
        return max(
            (until - now for until in self._unanswered.get(sync, {}).values() if until > now),
            default=0.0,
        )

    def release(self, sync: NamespacedName, destination: NamespacedName | None = None) -> None:
        """Stop holding one destination back, or all of a sync: what kept them may have changed."""
        lanes = self._backoff_entries.get(sync, {})
        for key in [destination] if destination else list(lanes):
            lanes.pop(key, None)
            self._backoff.forget((sync, key))
        if not lanes:
            self._backoff_entries.pop(sync, None)

    def forget(self, sync: NamespacedName) -> None:
        """Forget a sync that does not exist any more."""
        self.release(sync)
        self._written.discard(sync)
        self._unanswered.pop(sync, None)

    def held(self) -> int:
        """How many destinations failed and wait for their next try."""
        return sum(len(lanes) for lanes in self._backoff_entries.values())

    def has_written(self, sync: NamespacedName) -> bool:
        """Whether a copy of `sync` was written since it was last reported; a slow write may end in a later reconcile than it began."""
        return sync in self._written

    def reported(self, sync: NamespacedName) -> None:
        """What was written so far stands in the status."""
        self._written.discard(sync)

    async def drain(self) -> None:
        """Wait for the writes in flight: a stop leaves none half-way."""
        await asyncio.gather(*self._runners, return_exceptions=True)

    def _admit(self, batch: Batch, write: Write) -> None:
        """Let a write wait for its turn, unless its destination is held back or has one in flight."""
        held = self._backoff_entries.get(batch.sync, {}).get(write.key)
        if held is not None and held.defers(write, asyncio.get_running_loop().time()):
            held.deferred = True
            batch.outcomes[write.key] = held.outcome
            return
        batch.outcomes[write.key] = Outcome(
            write.key.namespace, Reason.PROGRESSING, f"to {write.verb}: {write.cause}"
        )
        if write.key in self._in_flight:
            self._waiting_syncs.setdefault(write.key, set()).add(batch.sync)
        else:
            batch.waiting.append(write)
            if write.template is not None:
                batch.largest = max(batch.largest, write.template.size)

    async def _run(self, batch: Batch, newer: Callable[[], Coroutine[None, None, None]]) -> None:
        runners = [
            asyncio.create_task(self._work(batch))
            for _ in range(min(self._parallel, len(batch.waiting)))
        ]
        for runner in runners:
            self._runners.add(runner)
            runner.add_done_callback(self._runners.discard)
        everything: asyncio.Future[Any] = asyncio.gather(*runners)
        interruption: asyncio.Future[Any] = asyncio.ensure_future(newer())
        try:
            await asyncio.wait(
                {everything, interruption},
                timeout=WRITE_WAIT_SECONDS,
                return_when=asyncio.FIRST_COMPLETED,
            )
            if everything.done():
                everything.result()
        finally:
            batch.closed = True
            interruption.cancel()
            if batch.waiting:
                self._queue.add(batch.sync)

    async def _work(self, batch: Batch) -> None:
        """Take writes until none waits. One that hangs keeps this runner and no other."""
        while batch.waiting and not batch.closed:
            async with self._slots.slot(batch.sync.namespace, batch.largest):
                if batch.waiting and not batch.closed:
                    await self._carry_out(batch, batch.waiting.popleft())

    async def _carry_out(self, batch: Batch, write: Write) -> None:
        self._in_flight[write.key] = batch.sync
        try:
            stands = await self._writer.write(batch.sync, write)
        except ApiError as error:
            batch.outcomes[write.key] = self._defer(batch.sync, write, error)
        else:
            batch.outcomes[write.key] = self._done(batch.sync, write, stands=stands)
        finally:
            self._in_flight.pop(write.key, None)
            turned_away = self._waiting_syncs.pop(write.key, set())
            for sync in turned_away | {batch.sync} if batch.closed else turned_away:
                self._queue.add(sync)

    def _done(self, sync: NamespacedName, write: Write, *, stands: bool) -> Outcome:
        self.release(sync, write.key)
        self._unanswered.get(sync, {}).pop(write.key, None)
        repaired = self._contention.wrote(sync, write)
        self._copy_events.wrote(sync, write, repaired=repaired)
        previous = write.record.synced_by if write.record else None
        for other in {*self._blockers.waiting(write.key), *([previous] if previous else [])} - {
            sync
        }:
            self._queue.add(
                other
            )  # our own writes make no events for us, but they may be news for another sync
        self._metrics.wrote(write.verb, DONE)
        self._log.debug("wrote", verb=write.verb, why=write.cause, **_names(sync, write))
        if not stands:  # no event tells of it; how often it is worth trying is for `configmapsync/contention.py` to say
            self._queue.add(sync)
            message = f"{write.verb} {write.key}: something else was stored"
            return Outcome(write.key.namespace, Reason.PROGRESSING, message)
        if write.template is not None:
            self._written.add(sync)
        return Outcome(write.key.namespace, Reason.SYNCED)

    def _defer(self, sync: NamespacedName, write: Write, error: ApiError) -> Outcome:
        outcome = outcome_of(write, error)
        stale, final = is_stale(write, error), error.retry is Retry.NEVER
        delay = self._backoff.next(
            (sync, write.key), MAX_BACKOFF_SECONDS if final and not stale else error.retry_after
        )
        content_hash = write.template.content_hash if write.template else None
        held = BackoffEntry(asyncio.get_running_loop().time() + delay, outcome, content_hash, final)
        self._backoff_entries.setdefault(sync, {})[write.key] = held
        if isinstance(error, Unreachable) and write.verb in {Verb.CREATE, Verb.RECREATE}:
            until = asyncio.get_running_loop().time() + UNANSWERED_SECONDS
            self._unanswered.setdefault(sync, {})[write.key] = until
        self._metrics.wrote(write.verb, STALE if stale else FAILED)
        if isinstance(error, Conflict):
            self._contention.lost_race(sync, write)
        if stale:
            self._queue.add(sync)  # the world was not as planned; the caches know better now
        self._log.warning(
            "write failed",
            verb=write.verb,
            reason=outcome.reason,
            error=outcome.message,
            retry_in=delay,
            **_names(sync, write),
        )
        return outcome


def _names(sync: NamespacedName, write: Write) -> dict[str, str]:
    return {"sync": str(sync), "namespace": write.key.namespace, "name": write.key.name}


def _staleness(write: Write) -> tuple[int, NamespacedName]:
    """Versions rise cluster-wide, so the lowest is the copy that was not written for longest; one that is not there is stalest."""
    return (int(write.record.resource_version) if write.record else 0, write.key)
