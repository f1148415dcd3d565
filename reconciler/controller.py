"""The loop: names from the queue, one reconcile each, and the one place that decides what an error of a whole reconcile costs.

Errors of single destinations never come here; `applier.py` keeps them. Whatever does come here is retried with backoff, and nothing, not
even a mistake of ours, stops the work on other syncs.
"""

import asyncio
import contextlib
import itertools
from collections.abc import Coroutine
from functools import partial

import structlog

from configmapsync.names import NamespacedName
from kube.backoff import Backoff
from kube.errors import ApiError, Conflict
from kube.workqueue import WorkQueue
from reconciler.reconcile import Reconciler, ReportStep, Result
from reconciler.reports.metrics import Metrics

REPORT_LANES = 4  # statuses written at the same time: few beside the copies, more than enough once those are written
REPORT_PATIENCE = (
    5.0  # seconds that a report waits, at most, while other syncs wait for their copies
)

ResultLabel = str  # what became of a reconcile, for the metric


class Controller:
    """Workers over a queue."""

    def __init__(
        self,
        queue: WorkQueue[NamespacedName],
        reconciler: Reconciler,
        backoff: Backoff[NamespacedName],
        metrics: Metrics,
        workers: int,
    ) -> None:
        self._queue = queue
        self._reconciler = reconciler
        self._backoff = backoff
        self._metrics = metrics
        self._workers = workers
        self._numbers = itertools.count(1)
        self._report_lanes = asyncio.Semaphore(REPORT_LANES)
        self._log = structlog.get_logger("controller")
        metrics.working(workers)

    def failing(self) -> int:
        """How many syncs could not be reconciled and wait for their next try."""
        return len(self._backoff)

    async def run(self) -> None:
        """Work until the queue is shut down."""
        async with asyncio.TaskGroup() as tasks:
            for _ in range(self._workers):
                tasks.create_task(self._work(tasks))

    async def _work(self, tasks: asyncio.TaskGroup) -> None:
        """Reconcile one sync after the other; none is in two hands, for each stays taken until it is reported.

        Every reconcile has a number that all of its log lines carry, also those of the writes that it begins.
        """
        while (key := await self._queue.get()) is not None:
            with structlog.contextvars.bound_contextvars(
                reconcile=next(self._numbers), sync=str(key)
            ):
                started = asyncio.get_running_loop().time()
                with self._metrics.worker_active():
                    newer = partial(self._queue.wait_dirty, key)
                    done = await self._run_step(key, self._reconciler.reconcile(key, newer))
                tasks.create_task(self._finish(key, done, started))

    async def _finish(
        self, key: NamespacedName, done: Result | ResultLabel, started: float
    ) -> None:
        """Report beside the work: the copies of other syncs come before what is said about this one."""
        try:
            if isinstance(done, Result) and done.report is not None:
                done = await self._run_step(key, self._report(key, done, done.report))
            word = self._succeeded(key, done) if isinstance(done, Result) else done
            seconds = asyncio.get_running_loop().time() - started
            self._log.debug("reconciled", result=word, seconds=round(seconds, 6))
            self._metrics.reconciled(word, seconds)
        finally:
            self._queue.done(key)

    async def _report(self, key: NamespacedName, result: Result, report: ReportStep) -> Result:
        if await self._report_lane(key):
            try:
                await report()
            finally:
                self._report_lanes.release()
        return result

    async def _report_lane(self, key: NamespacedName) -> bool:
        """Wait for a lane; False where there is newer work for the same sync first, whose report will say it all."""
        lane = asyncio.create_task(self._calm_lane())
        newer = asyncio.create_task(self._queue.wait_dirty(key))
        try:
            await asyncio.wait({lane, newer}, return_when=asyncio.FIRST_COMPLETED)
            return lane.done()
        finally:
            newer.cancel()
            lane.cancel()

    async def _calm_lane(self) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(REPORT_PATIENCE):
                await self._queue.wait_empty()
        await self._report_lanes.acquire()

    async def _run_step(
        self, key: NamespacedName, step: Coroutine[None, None, Result]
    ) -> Result | ResultLabel:
        """Carry out a step of one reconcile; where it fails, see to the retry and return the word for the metric."""
        try:
            return await step
        except Conflict:
            self._retry(key)  # someone changed the sync meanwhile; its event is on the way
            return "requeue"
        except ApiError as error:
            self._log.warning(
                "reconcile failed",
                sync=str(key),
                error=str(error),
                retry_in=self._retry(key, error.retry_after),
            )
            return "error"
        except Exception:  # noqa: BLE001 - a mistake of ours on one object must not stop the others; it is logged whole and retried
            self._metrics.panicked()
            self._log.exception(
                "reconcile failed unexpectedly", sync=str(key), retry_in=self._retry(key)
            )
            return "error"

    def _succeeded(self, key: NamespacedName, result: Result) -> ResultLabel:
        self._backoff.forget(key)
        if result.requeue_after is None:
            return "success"
        self._queue.add_after(key, result.requeue_after)
        return "requeue_after"

    def _retry(self, key: NamespacedName, retry_after: float | None = None) -> float:
        delay = self._backoff.next(key, retry_after)
        self._queue.add_after(key, delay)
        return delay
