"""Write the statuses and finalizers of syncs.

`reconcile.py` calls it. A status is written only if it changed, and after the copies
of other syncs. What a status says is decided in `configmapsync/conditions.py`.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from typing import NamedTuple

import structlog

from cluster.syncs import CONFIGMAPSYNCS, SyncRecord, read_sync
from configmapsync.conditions import Report, status
from configmapsync.content import SourceObject
from configmapsync.names import FINALIZER, GROUP, PLURAL, NamespacedName
from configmapsync.plans import Applied, Plan
from configmapsync.status import ConfigMapSyncStatus
from kube.backoff import Backoff
from kube.client import Client
from kube.errors import ApiError, NotFound, Retry
from kube.informer import Informer
from kube.rbac import Rule
from kube.workqueue import WorkQueue
from reconciler.reports.events import Events
from reconciler.reports.metrics import Metrics
from reconciler.reports.state_metrics import StateMetrics

RULES = (
    Rule(PLURAL, ("patch",), group=GROUP, why="adds and removes the finalizer"),
    Rule(f"{PLURAL}/status", ("patch",), group=GROUP),
)
# Few beside the writes of copies, and enough when those are done.
REPORT_WORKERS = 4
# The longest that a status waits for the copies of other syncs.
REPORT_WAIT_SECONDS = 5.0


class _Pending(NamedTuple):
    """A status to be written.

    Attributes:
        status: the newest one.
        since: when the first one was queued, in seconds on the event loop's clock.
    """

    status: ConfigMapSyncStatus
    since: float


class Reporter:
    """Writes statuses, events and finalizers of syncs.

    `report` queues a status. `run` writes it when no sync waits for its copies, at the latest after
    `REPORT_WAIT_SECONDS`. Of several statuses of one sync only the newest is written.
    """

    def __init__(
        self,
        client: Client,
        syncs: Informer[SyncRecord],
        queue: WorkQueue[NamespacedName],
        *,
        backoff: Backoff[NamespacedName],
        events: Events,
        metrics: Metrics,
        state_metrics: StateMetrics,
        clock: Callable[[], datetime],
    ) -> None:
        """Create a reporter; no status is written before `run` or `drain`.

        Args:
            client: of the API server.
            syncs: their cache.
            queue: of syncs; a sync whose status cannot be written is enqueued again.
            backoff: of statuses that could not be written.
            events: emits events on syncs and on copies that fail.
            metrics: counts status writes.
            state_metrics: counts syncs, copies and failures.
            clock: the time of day.
        """
        self._client = client
        self._syncs = syncs
        self._queue = queue
        self._backoff = backoff
        self._events = events
        self._metrics = metrics
        self._state_metrics = state_metrics
        self._clock = clock
        self._pending: dict[NamespacedName, _Pending] = {}
        self._writing: dict[NamespacedName, asyncio.Event] = {}
        self._wrote: set[NamespacedName] = set()  # syncs with copies written since their status
        self._status_queued = asyncio.Event()
        self._log = structlog.get_logger("reporter")

    def report(
        self, record: SyncRecord, source: SourceObject | None, planned: Plan, applied: Applied
    ) -> None:
        """Queue the status that follows from a reconcile, and count it.

        An older status may have been written while the sync was reconciled. So the status is
        compared with the cached one, not with the one at the beginning of the reconcile.

        Args:
            record: the sync as it was reconciled.
            source: its source; None if it does not exist or was not read.
            planned: the plan.
            applied: what became of the plan.
        """
        newest = self._syncs.get(*record.key) or record
        if applied.wrote:
            self._wrote.add(record.key)
        report = Report(
            generation=record.metadata.generation,
            previous=newest.status,
            source=source,
            digest=planned.digest,
            outcomes=(*planned.settled, *applied.outcomes),
            leftovers=(*planned.leftovers, *applied.leftovers),
            verdict=planned.verdict,
            wrote=record.key in self._wrote,
            keys=record.sync.spec.keys if record.sync else (),
            remaining=planned.remaining,
        )
        new = status(report, self._clock())
        self._state_metrics.note(record.key, report, new)
        if new == report.previous and record.key not in self._writing:
            self._pending.pop(record.key, None)
            self._wrote.discard(record.key)
            return
        pending = self._pending.get(record.key)
        since = pending.since if pending else asyncio.get_running_loop().time()
        self._pending[record.key] = _Pending(new, since)
        self._status_queued.set()

    def forget(self, sync: NamespacedName) -> None:
        """Forget a sync that does not exist."""
        self._pending.pop(sync, None)
        self._wrote.discard(sync)
        self._backoff.forget(sync)
        self._state_metrics.forget(sync)

    def failing(self) -> tuple[NamespacedName, ...]:
        """Return the syncs whose last status write failed."""
        return self._backoff.keys()

    async def run(self) -> None:
        """Write queued statuses until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            for _ in range(REPORT_WORKERS):
                tasks.create_task(self._work())

    async def drain(self) -> None:
        """Write every queued status; the caller bounds the time."""
        while self._pending or self._writing:
            await self._write_next()

    async def _work(self) -> None:
        while True:
            await self._status_queued.wait()
            if not self._pending:
                self._status_queued.clear()
                continue
            await self._wait_for_copies()
            await self._write_next()

    async def _wait_for_copies(self) -> None:
        """Wait while syncs wait for their copies, at most until a status is late."""
        oldest = next(iter(self._pending.values()))  # a replaced status keeps its place
        late = oldest.since + REPORT_WAIT_SECONDS - asyncio.get_running_loop().time()
        with suppress(TimeoutError):
            async with asyncio.timeout(max(late, 0.0)):
                await self._queue.wait_empty()

    async def _write_next(self) -> None:
        """Write the status that has waited longest, of syncs that are not being written already.

        Without such a status, wait for the end of a write.
        """
        key = next((key for key in self._pending if key not in self._writing), None)
        if key is None:
            for writing in list(self._writing.values())[:1]:
                await writing.wait()
            return
        new = self._pending.pop(key).status
        done = self._writing[key] = asyncio.Event()
        try:
            await self._write(key, new)
        finally:
            del self._writing[key]
            done.set()

    async def _write(self, key: NamespacedName, new: ConfigMapSyncStatus) -> None:
        record = self._syncs.get(*key)
        if record is None or (previous := record.status) == new:
            self._note_included(key)
            return
        try:
            await self._write_status(record, new)
        except ApiError as error:
            retry_in = self._backoff.failed(key, error.retry_after)
            self._queue.add_after(key, retry_in)
            if error.retry is not Retry.SOON:
                self._log.warning(
                    "cannot write the status", sync=str(key), error=str(error), retry_in=retry_in
                )
        except Exception:  # noqa: BLE001 - a defect that one object meets must not stop the others
            self._metrics.panics.inc()
            retry_in = self._backoff.failed(key)
            self._queue.add_after(key, retry_in)
            self._log.exception("status failed unexpectedly", sync=str(key), retry_in=retry_in)
        else:
            self._backoff.forget(key)
            self._note_included(key)
            self._events.status_changed(record, previous, new)

    def _note_included(self, key: NamespacedName) -> None:
        """Record that the stored status includes every write, unless a newer one is queued."""
        if key not in self._pending:
            self._wrote.discard(key)

    async def set_finalizer(self, record: SyncRecord, *, present: bool) -> SyncRecord | None:
        """Add or remove the finalizer of the operator, and keep all others.

        A queued status is dropped, because the reconcile reports a new one. One that is being
        written is awaited.

        Returns:
            The new record; None if the sync is gone.

        Raises:
            ApiError: the sync could not be written; `Conflict` if another client changed it.
        """
        self._pending.pop(record.key, None)
        if (writing := self._writing.get(record.key)) is not None:
            await writing.wait()
        record = self._syncs.get(*record.key) or record
        others = [finalizer for finalizer in record.metadata.finalizers if finalizer != FINALIZER]
        metadata = {
            **_precondition(record),
            "finalizers": [*others, FINALIZER] if present else others,
        }
        with self._syncs.writing(*record.key, record.metadata.generation):
            try:
                answer = await self._client.patch(
                    CONFIGMAPSYNCS, *record.key, {"metadata": metadata}
                )
            except NotFound:
                return None
            new = read_sync(answer, record.protected, lambda _key: record)
            self._syncs.record(new)
            return new

    async def _write_status(self, record: SyncRecord, new: ConfigMapSyncStatus) -> None:
        """Write a status, and put it into the cache, so that its event enqueues nothing.

        The precondition excludes every other change, so only the version is read from the answer.
        """
        with self._syncs.writing(*record.key, record.metadata.generation):
            try:
                answer = await self._client.patch(
                    CONFIGMAPSYNCS,
                    *record.key,
                    # The unset fields of the struct become nulls, which a merge patch removes.
                    {"metadata": _precondition(record), "status": new},
                    subresource="status",
                    metadata_only=True,
                )
            except NotFound:
                return  # the sync was deleted
            self._metrics.status_writes.inc()
            self._syncs.record(record.with_status(answer, new))


def _precondition(record: SyncRecord) -> dict[str, str]:
    """Return metadata that limits a patch to the version that was read.

    A change of another client must arrive as an event, not inside the answer to the patch.
    """
    return {"uid": record.metadata.uid, "resourceVersion": record.resource_version}
