"""Take names from the queue, reconcile them, and requeue those that fail.

`app.py` runs it. Errors of single destinations stay in `writes/applier.py`; an error
that arrives here concerns a whole sync and is retried with backoff. No error may stop
the work on other syncs.
"""

import asyncio
import itertools

import structlog

from configmapsync.names import NamespacedName
from kube.backoff import Backoff
from kube.errors import ApiError, Retry
from kube.workqueue import WorkQueue
from reconciler.reconcile import Reconciler
from reconciler.reports.metrics import Metrics


class Controller:
    """Runs reconciles, as many at a time as it has workers."""

    def __init__(
        self,
        queue: WorkQueue[NamespacedName],
        reconciler: Reconciler,
        backoff: Backoff[NamespacedName],
        metrics: Metrics,
        workers: int,
    ) -> None:
        """Create a controller.

        Args:
            queue: names of syncs.
            reconciler: reconciles one of them.
            backoff: of syncs that failed as a whole.
            metrics: counts reconciles.
            workers: the most syncs that are reconciled at the same time.
        """
        self._queue = queue
        self._reconciler = reconciler
        self._backoff = backoff
        self._metrics = metrics
        self._workers = workers
        self._numbers = itertools.count(1)
        self._log = structlog.get_logger("controller")
        metrics.max_workers.set(workers)
        metrics.retries_held.labels("sync").set_function(backoff.__len__)

    def failing(self) -> tuple[NamespacedName, ...]:
        """Return the syncs whose last reconcile failed."""
        return self._backoff.keys()

    async def run(self) -> None:
        """Work until the queue is shut down."""
        async with asyncio.TaskGroup() as tasks:
            for _ in range(self._workers):
                tasks.create_task(self._work())

    async def _work(self) -> None:
        """Reconcile one sync after the other; the queue gives no sync to two workers.

        Every reconcile has a number that all of its log lines carry, also those of its writes.
        """
        loop = asyncio.get_running_loop()
        while (key := await self._queue.get()) is not None:
            started = loop.time()
            try:
                with (
                    structlog.contextvars.bound_contextvars(
                        reconcile=next(self._numbers), sync=str(key)
                    ),
                    self._metrics.active_workers.track_inprogress(),
                ):
                    result, requeue_after = await self._attempt(key)
                    if requeue_after is not None:
                        self._queue.add_after(key, requeue_after)
                    seconds = loop.time() - started
                    self._log.debug("reconciled", result=result, seconds=round(seconds, 6))
                    self._metrics.reconciled(result, seconds)
            finally:
                self._queue.done(key)

    async def _attempt(self, key: NamespacedName) -> tuple[str, float | None]:
        """Reconcile once.

        Returns:
            The result as the metric's label, and the seconds until the next reconcile; None if only
            an event can make one necessary.
        """
        try:
            requeue_after = await self._reconciler.reconcile(key)
        except ApiError as error:
            retry_in = self._backoff.failed(key, error.retry_after)
            if error.retry is Retry.SOON:
                return "requeue", retry_in  # another client changed the sync; its event will come
            self._log.warning("reconcile failed", error=str(error), retry_in=retry_in)
            return "error", retry_in
        except Exception:  # noqa: BLE001 - a defect that one object meets must not stop the others
            retry_in = self._backoff.failed(key)
            self._metrics.panics.inc()
            self._log.exception("reconcile failed unexpectedly", retry_in=retry_in)
            return "error", retry_in
        self._backoff.forget(key)
        return "success" if requeue_after is None else "requeue_after", requeue_after
