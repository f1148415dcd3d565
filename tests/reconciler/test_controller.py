"""No sync is in two workers, and a failed reconcile is retried."""

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator

import pytest
from prometheus_client import CollectorRegistry

from configmapsync.names import NamespacedName
from kube.backoff import Backoff
from kube.errors import Conflict, ServerError
from kube.workqueue import WorkQueue
from reconciler.controller import Controller
from reconciler.reports.metrics import Metrics, WorkQueueMetrics

pytestmark = pytest.mark.looptime(start=0)
WORK_SECONDS = 0.1


class ScriptedReconciler:
    """Works for a while in place of the five steps, and fails as the test says."""

    def __init__(self) -> None:
        self.story: list[str] = []
        self.failures: list[Exception] = []
        self.requeue_after: float | None = None
        self.in_hand: set[NamespacedName] = set()

    async def reconcile(self, key: NamespacedName) -> float | None:
        assert key not in self.in_hand, "two workers have one sync"
        self.in_hand.add(key)
        await asyncio.sleep(WORK_SECONDS)
        self.in_hand.discard(key)
        self.story.append(key.name)
        if self.failures:
            raise self.failures.pop(0)
        return self.requeue_after


class Bench:
    """A controller and its queue."""

    def __init__(self, workers: int) -> None:
        self.registry = registry = CollectorRegistry()
        self.queue: WorkQueue[NamespacedName] = WorkQueue(WorkQueueMetrics(registry))
        self.reconciler = ScriptedReconciler()
        self.controller = Controller(
            self.queue,
            self.reconciler,  # type: ignore[arg-type]
            Backoff(random.Random(1)),  # noqa: S311
            Metrics(registry),
            workers,
        )

    def add(self, *names: str) -> None:
        for name in names:
            self.queue.add(NamespacedName("home", name))


@contextlib.asynccontextmanager
async def working(workers: int = 1) -> AsyncIterator[Bench]:
    bench = Bench(workers)
    task = asyncio.create_task(bench.controller.run())
    yield bench
    bench.queue.shutdown()
    await task


async def test_a_sync_that_is_enqueued_while_it_is_reconciled_is_reconciled_once_more() -> None:
    async with working(workers=4) as bench:
        bench.add("a")
        await asyncio.sleep(WORK_SECONDS / 2)
        bench.add("a")
        bench.add("a")
        await asyncio.sleep(1)
    assert bench.reconciler.story == ["a", "a"]


@pytest.mark.parametrize("failure", [ServerError("away"), Conflict("changed"), ValueError("bug")])
async def test_a_failed_reconcile_is_retried_and_stops_no_other(failure: Exception) -> None:
    async with working() as bench:
        bench.reconciler.failures = [failure]
        bench.add("a", "b")
        await asyncio.sleep(5)
    assert bench.reconciler.story == ["a", "b", "a"]
    assert bench.registry.get_sample_value("configmapsync_retries_held", {"what": "sync"}) == 0


async def test_a_sync_is_reconciled_again_when_its_reconcile_asks_for_it() -> None:
    async with working() as bench:
        bench.reconciler.requeue_after = 10.0
        bench.add("a")
        await asyncio.sleep(WORK_SECONDS * 3 + 10.0)
    assert bench.reconciler.story == ["a", "a"]


async def test_a_stop_finishes_the_reconcile_in_hand_and_begins_no_other() -> None:
    async with working() as bench:
        bench.add("a", "b")
        await asyncio.sleep(WORK_SECONDS / 2)
    assert bench.reconciler.story == ["a"]
