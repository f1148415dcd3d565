"""Carry out planned writes in parallel, each destination on its own.

`reconcile.py` calls it. A failed destination backs off, and a slow one delays only its
own retries. The oldest copies are written first, so that frequent edits of a source
starve no copy. What to write is decided by the planner, and `failures.py` turns errors
into reasons.
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

# The delay of an error that only an edit can heal.
MAX_BACKOFF_SECONDS = 300.0
# A reconcile waits this long for its writes, then reports progress and is requeued when they end.
WRITE_WAIT_SECONDS = 2.0
# A create without an answer may still happen: the API server ends a request after 60 s by default.
UNANSWERED_SECONDS = 60.0

SyncDestination = tuple[NamespacedName, NamespacedName]  # the sync and the copy


@dataclass(slots=True)
class BackoffEntry:
    """A destination that failed and waits for its next attempt.

    Attributes:
        until: when the wait ends, in seconds on the event loop's clock.
        outcome: of the failed write.
        content_hash: of what was written; None for a removal.
        final: whether only other content can succeed.
        transient: whether the server or the network failed.
        deferred: whether the current plan contains the destination and it had to wait.
    """

    until: float
    outcome: Outcome
    content_hash: int | None
    final: bool
    transient: bool = False
    deferred: bool = False

    def defers(self, write: Write, now: float) -> bool:
        """Return whether `write` must wait."""
        template = write.template
        if self.final and template is not None and template.content_hash != self.content_hash:
            return False
        return now < self.until


@dataclass(slots=True)
class Batch:
    """The writes of one reconcile.

    Attributes:
        sync: the sync.
        waiting: writes that have not started.
        largest: bytes of the largest copy among them.
        outcomes: of all writes so far, by copy.
        closed: whether the reconcile has ended. No further write starts then, and the end of a
            write in flight enqueues the sync.
    """

    sync: NamespacedName
    waiting: deque[Write] = field(default_factory=deque)
    largest: int = 0
    outcomes: dict[NamespacedName, Outcome] = field(default_factory=dict)
    closed: bool = False


class Applier:
    """Carries out the writes of all syncs, with a bound on the writes in flight."""

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
            queue: of syncs; a write enqueues other syncs that it affects.
            contention: records the writes to each copy.
            copy_events: emits events on copies.
            blockers: has the syncs that wait for a destination.
            parallel: the most writes in flight.
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
        # By destination, the sync that writes it.
        self._in_flight: dict[NamespacedName, NamespacedName] = {}
        # By destination, the syncs that found a write in flight there.
        self._waiting_syncs: dict[NamespacedName, set[NamespacedName]] = {}
        # By sync and destination, until when an unanswered create may still happen.
        self._unanswered: dict[NamespacedName, dict[NamespacedName, float]] = {}
        self._runners: set[asyncio.Task[None]] = set()
        self._backoff_entries: dict[NamespacedName, dict[NamespacedName, BackoffEntry]] = {}
        self._written: set[NamespacedName] = set()
        self._log = structlog.get_logger("applier")
        metrics.observe_retries("destination", self._count_entries)

    async def apply(
        self,
        sync: NamespacedName,
        writes: Iterable[Write],
        newer: Callable[[], Coroutine[None, None, None]],
    ) -> tuple[Outcome, ...]:
        """Carry out the writes that need not wait, and return one outcome for each write.

        Args:
            sync: the sync that the writes belong to.
            writes: in any order.
            newer: returns when the sync was enqueued again. Writes that have not started by then
                are left to the next plan.

        Returns:
            `Synced` for a finished write, `Progressing` for an unfinished one, else the failure.
        """
        batch = Batch(sync)
        for write in sorted(writes, key=_by_age):
            self._admit(batch, write)
        if batch.waiting:
            await self._run(batch, newer)
        return tuple(batch.outcomes.values())

    def begin(self, sync: NamespacedName, destinations: Collection[NamespacedName]) -> None:
        """Start a new plan of `sync`: drop the backoff of destinations that it does not write."""
        entries = self._backoff_entries.get(sync, {})
        for key in [key for key in entries if key not in destinations]:
            self.release(sync, key)
        for entry in entries.values():
            entry.deferred = False
        if unanswered := self._unanswered.pop(sync, {}):
            now = asyncio.get_running_loop().time()
            if waiting := {key: until for key, until in unanswered.items() if until > now}:
                self._unanswered[sync] = waiting

    def next_retry(self, sync: NamespacedName) -> float | None:
        """Return the seconds until a destination of `sync` may be tried again; None if none waits.

        A destination whose wait ended after the current plan was applied is due at once.
        """
        now = asyncio.get_running_loop().time()
        waits = (
            entry
            for entry in self._backoff_entries.get(sync, {}).values()
            if entry.deferred or entry.until > now
        )
        return min((max(entry.until - now, 0.0) for entry in waits), default=None)

    def settled_in(self, sync: NamespacedName) -> float | None:
        """Return the seconds until no earlier write of `sync` can create a copy.

        Returns:
            0 if none can; None while a write is in flight.
        """
        if sync in self._in_flight.values():
            return None
        now = asyncio.get_running_loop().time()
        return max(
            (until - now for until in self._unanswered.get(sync, {}).values() if until > now),
            default=0.0,
        )

    def release(self, sync: NamespacedName, destination: NamespacedName | None = None) -> None:
        """End the backoff of one destination, or of all destinations of a sync."""
        entries = self._backoff_entries.get(sync, {})
        for key in [destination] if destination else list(entries):
            entries.pop(key, None)
            self._backoff.forget((sync, key))
        if not entries:
            self._backoff_entries.pop(sync, None)

    def release_transient(self) -> set[NamespacedName]:
        """End the backoff of writes for which the server or the network failed.

        Returns:
            The syncs of these writes.
        """
        failed = [
            (sync, key)
            for sync, entries in self._backoff_entries.items()
            for key, entry in entries.items()
            if entry.transient
        ]
        for sync, key in failed:
            self.release(sync, key)
        return {sync for sync, _ in failed}

    def forget(self, sync: NamespacedName) -> None:
        """Forget a sync that does not exist."""
        self.release(sync)
        self._written.discard(sync)
        self._unanswered.pop(sync, None)

    def has_written(self, sync: NamespacedName) -> bool:
        """Return whether a copy of `sync` was written since its status was last written."""
        return sync in self._written

    def reported(self, sync: NamespacedName) -> None:
        """Record that the status includes every write so far."""
        self._written.discard(sync)

    async def drain(self) -> None:
        """Wait for the writes in flight, before the process stops."""
        await asyncio.gather(*self._runners, return_exceptions=True)

    def _count_entries(self) -> int:
        return sum(len(entries) for entries in self._backoff_entries.values())

    def _admit(self, batch: Batch, write: Write) -> None:
        """Add a write to the batch, unless its destination backs off or has a write in flight."""
        entry = self._backoff_entries.get(batch.sync, {}).get(write.key)
        if entry is not None and entry.defers(write, asyncio.get_running_loop().time()):
            entry.deferred = True
            batch.outcomes[write.key] = entry.outcome
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
        """Carry out writes until none waits; a slow write holds up only this runner."""
        while batch.waiting and not batch.closed:
            async with self._slots.slot(batch.sync.namespace, batch.largest):
                if batch.waiting and not batch.closed:
                    await self._carry_out(batch, batch.waiting.popleft())

    async def _carry_out(self, batch: Batch, write: Write) -> None:
        self._in_flight[write.key] = batch.sync
        try:
            as_planned = await self._writer.write(batch.sync, write)
        except ApiError as error:
            batch.outcomes[write.key] = self._defer(batch.sync, write, error)
        else:
            batch.outcomes[write.key] = self._done(batch.sync, write, as_planned=as_planned)
        finally:
            self._in_flight.pop(write.key, None)
            waiting = self._waiting_syncs.pop(write.key, set())
            for sync in waiting | {batch.sync} if batch.closed else waiting:
                self._queue.add(sync)

    def _done(self, sync: NamespacedName, write: Write, *, as_planned: bool) -> Outcome:
        self.release(sync, write.key)
        self._unanswered.get(sync, {}).pop(write.key, None)
        repaired = self._contention.wrote(sync, write)
        self._copy_events.wrote(sync, write, repaired=repaired)
        # A write of this process enqueues nothing by its event, but it can affect other syncs.
        affected = {*self._blockers.waiting(write.key)}
        if write.record and (previous := write.record.synced_by):
            affected.add(previous)
        for other in affected - {sync}:
            self._queue.add(other)
        self._metrics.wrote(write.verb, DONE)
        self._log.debug("wrote", verb=write.verb, why=write.cause, **_names(sync, write))
        if not as_planned:
            # No event follows. `configmapsync/contention.py` limits the retries.
            self._queue.add(sync)
            message = f"{write.verb} {write.key}: admission changed what was written"
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
        until = asyncio.get_running_loop().time() + delay
        transient = error.retry is Retry.TRANSIENT
        entry = BackoffEntry(until, outcome, content_hash, final, transient)
        self._backoff_entries.setdefault(sync, {})[write.key] = entry
        if isinstance(error, Unreachable) and write.verb in {Verb.CREATE, Verb.RECREATE}:
            possible_until = asyncio.get_running_loop().time() + UNANSWERED_SECONDS
            self._unanswered.setdefault(sync, {})[write.key] = possible_until
        self._metrics.wrote(write.verb, STALE if stale else FAILED)
        if isinstance(error, Conflict):
            self._contention.lost_race(sync, write)
        if stale:
            self._queue.add(sync)  # the caches hold the live object now
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


def _by_age(write: Write) -> tuple[int, NamespacedName]:
    """Order missing copies first, then the copies that were written longest ago.

    Versions rise over the whole cluster, so that the lowest one is the oldest write.
    """
    return (int(write.record.resource_version) if write.record else 0, write.key)
