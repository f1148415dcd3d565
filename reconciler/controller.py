"""The loop: names from the queue, one reconcile each, and the one place that decides what an error of a whole reconcile costs.

Errors of single destinations never come here; `applier.py` keeps them. Whatever does come here is retried with backoff, and nothing, not
even a mistake of ours, stops the work on other syncs.
"""

import asyncio
import itertools

import structlog

from configmapsync.names import NamespacedName
from kube.backoff import Backoff
from kube.errors import ApiError, Conflict
from kube.workqueue import WorkQueue
from reconciler.metrics import Metrics
from reconciler.reconcile import Reconciler


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
        self._log = structlog.get_logger("controller")
        metrics.working(workers)

    def failing(self) -> int:
        """How many syncs could not be reconciled and wait for their next try."""
        return len(self._backoff)

    async def run(self) -> None:
        """Work until the queue is shut down."""
        async with asyncio.TaskGroup() as workers:
            for _ in range(self._workers):
                workers.create_task(self._work())

    async def _work(self) -> None:
        while (key := await self._queue.get()) is not None:
            try:
                await self._reconcile(key)
            finally:
                self._queue.done(key)

    async def _reconcile(self, key: NamespacedName) -> None:
        """One reconcile, under a number that all of its log lines carry, also those of the writes that it begins."""
        started = asyncio.get_running_loop().time()
        with structlog.contextvars.bound_contextvars(reconcile=next(self._numbers), sync=str(key)):
            result = await self._reconcile_guarded(key)
            seconds = asyncio.get_running_loop().time() - started
            self._log.debug("reconciled", result=result, seconds=round(seconds, 6))
        self._metrics.reconciled(result, seconds)

    async def _reconcile_guarded(self, key: NamespacedName) -> str:
        """One reconcile; returns the word for the metric."""
        try:
            result = await self._reconciler.reconcile(key, lambda: self._queue.wait_dirty(key))
        except Conflict:
            self._retry(key)  # someone changed the sync meanwhile; its event is on the way
            return "requeue"
        except ApiError as error:
            self._log.warning(
                "reconcile failed", sync=str(key), error=str(error), retry_in=self._retry(key, error.retry_after)
            )
            return "error"
        except Exception:  # noqa: BLE001 - a mistake of ours on one object must not stop the others; it is logged whole and retried
            self._metrics.panicked()
            self._log.exception("reconcile failed unexpectedly", sync=str(key), retry_in=self._retry(key))
            return "error"
        self._backoff.forget(key)
        if result.requeue_after is None:
            return "success"
        self._queue.add_after(key, result.requeue_after)
        return "requeue_after"

    def _retry(self, key: NamespacedName, retry_after: float | None = None) -> float:
        delay = self._backoff.next(key, retry_after)
        self._queue.add_after(key, delay)
        return delay
