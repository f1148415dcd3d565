"""The loop over the queue: copies before reports, nothing lost where either fails, and no sync in two hands."""

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator, Callable, Coroutine

import pytest
from prometheus_client import CollectorRegistry

from configmapsync.names import NamespacedName
from kube.backoff import Backoff
from kube.errors import ApiError, Conflict, ServerError
from kube.workqueue import WorkQueue
from reconciler.controller import REPORT_LANES, REPORT_PATIENCE, Controller
from reconciler.reconcile import Result
from reconciler.reports.metrics import Metrics, WorkQueueMetrics

pytestmark = pytest.mark.looptime(start=0)
WRITING, REPORTING = 0.1, 0.01  # seconds


class ScriptedReconciler:
    """Stands where the five steps are: writes for a while, then hands back a report that takes a while."""

    def __init__(self) -> None:
        self.story: list[str] = []
        self.failures: dict[str, list[Exception]] = {}
        self.in_hand: set[NamespacedName] = set()

    async def reconcile(
        self, key: NamespacedName, _newer: Callable[[], Coroutine[None, None, None]]
    ) -> Result:
        assert key not in self.in_hand, "two hands have one sync"
        self.in_hand.add(key)
        await asyncio.sleep(WRITING)
        self.story.append(f"copies of {key.name}")
        self.in_hand.discard(key)
        self.fail(f"copies of {key.name}")

        async def report() -> None:
            assert key not in self.in_hand, "reported while the next reconcile is under way"
            await asyncio.sleep(REPORTING)
            self.story.append(f"report of {key.name}")
            self.fail(f"report of {key.name}")

        return Result(report=report)

    def fail(self, step: str) -> None:
        if self.failures.get(step):
            raise self.failures[step].pop(0)


class Bench:
    """A controller with its queue."""

    def __init__(self, workers: int) -> None:
        registry = CollectorRegistry()
        self.queue: WorkQueue[NamespacedName] = WorkQueue(WorkQueueMetrics(registry))
        self.reconciler = ScriptedReconciler()
        backoff: Backoff[NamespacedName] = Backoff(random.Random(1))  # noqa: S311
        self.controller = Controller(
            self.queue, self.reconciler, backoff, Metrics(registry), workers
        )  # type: ignore[arg-type]

    def add(self, *names: str) -> None:
        for name in names:
            self.queue.add(NamespacedName("home", name))

    @property
    def story(self) -> list[str]:
        return self.reconciler.story


@contextlib.asynccontextmanager
async def working(workers: int = 1) -> AsyncIterator[Bench]:
    bench = Bench(workers)
    task = asyncio.create_task(bench.controller.run())
    yield bench
    bench.queue.shutdown()
    await task


async def test_a_sync_alone_is_reported_at_once() -> None:
    async with working() as bench:
        bench.add("a")
        await asyncio.sleep(WRITING + REPORTING + 0.001)
        assert bench.story == ["copies of a", "report of a"]


async def test_copies_of_all_come_before_the_report_of_any() -> None:
    async with working() as bench:
        bench.add("a", "b", "c")
        await asyncio.sleep(1)
    assert bench.story[:2] == ["copies of a", "copies of b"]
    assert sorted(bench.story) == sorted(
        f"{what} of {name}" for what in ("copies", "report") for name in "abc"
    )


async def test_a_report_does_not_wait_for_ever_where_the_work_never_ends() -> None:
    async with working() as bench:
        bench.add(*(f"sync-{number}" for number in range(100)))
        await asyncio.sleep(WRITING + REPORT_PATIENCE + REPORTING + 0.001)
        assert "report of sync-0" in bench.story
        assert len(bench.queue) > 0


async def test_reports_have_few_slots_and_crowd_out_no_write() -> None:
    async with working(workers=50) as bench:
        bench.add(*(f"sync-{number}" for number in range(50)))
        await asyncio.sleep(WRITING + REPORTING + 0.001)
        assert sum(step.startswith("report") for step in bench.story) == REPORT_LANES


async def test_newer_work_does_not_wait_for_a_report_in_line() -> None:
    async with working() as bench:
        bench.add("a", *(f"sync-{number}" for number in range(20)))
        await asyncio.sleep(WRITING + 0.001)
        bench.add("a")
        await asyncio.sleep(WRITING * 21 + REPORTING + REPORT_PATIENCE)
        assert bench.story.count("copies of a") == 2
        assert bench.story.count("report of a") == 1, "the second report says it all"
        assert bench.story.index("report of a") > len(bench.story) - 1 - bench.story[::-1].index(
            "copies of a"
        )


@pytest.mark.parametrize("failure", [ServerError("away"), Conflict("changed"), ValueError("ours")])
@pytest.mark.parametrize("step", ["copies of a", "report of a"])
async def test_every_failure_is_retried(step: str, failure: ApiError | ValueError) -> None:
    async with working() as bench:
        bench.reconciler.failures[step] = [failure]
        bench.add("a")
        await asyncio.sleep(5)
    assert bench.story.count("copies of a") == 2
    assert bench.story[-1] == "report of a"


async def test_a_stop_finishes_what_is_in_hand_and_its_report() -> None:
    async with working() as bench:
        bench.add("a", "b")
        await asyncio.sleep(WRITING / 2)
    assert bench.story == ["copies of a", "report of a"]
