"""Statuses are written after the copies of other syncs, and none is lost.

Of several statuses of a sync the newest is written.
"""

import asyncio
import contextlib
import json
import random
import tracemalloc
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from cluster.syncs import SyncRecord, read_sync
from configmapsync.conditions import status
from configmapsync.names import FINALIZER, NamespacedName
from configmapsync.plans import Applied, Plan
from configmapsync.reasons import Outcome, Reason
from kube.backoff import Backoff
from kube.client import Client
from kube.errors import ApiError, Conflict, ServerError
from kube.event_correlator import ObjectReference
from kube.workqueue import WorkQueue
from reconciler.reports.events import MOST_EVENTS, Events
from reconciler.reports.metrics import Metrics, WorkQueueMetrics
from reconciler.reports.state_metrics import StateMetrics
from reconciler.reports.status import REPORT_WAIT_SECONDS, REPORT_WORKERS, Reporter
from tests.configmapsync.objects import report

pytestmark = pytest.mark.looptime(start=0)
REQUEST_SECONDS = 0.01
MANY = 200
MOST_BYTES = 2500  # of one waiting status, and of the numbers that metrics keep of its sync
NOW = datetime(2026, 1, 1, tzinfo=UTC)


def stored(name: str) -> dict[str, Any]:
    metadata = {
        "name": name,
        "namespace": "home",
        "uid": f"uid-of-{name}",
        "resourceVersion": "1",
        "generation": 1,
    }
    spec = {"configMapName": "config", "destinationNamespace": "there"}
    return {"metadata": metadata, "spec": spec}


class Bench:
    """A reporter, and an API server that stores each status."""

    def __init__(self) -> None:
        registry = CollectorRegistry()
        metrics = Metrics(registry)
        self.objects: dict[str, dict[str, Any]] = {}
        self.records: dict[tuple[str, str], SyncRecord] = {}
        self.written: list[str] = []
        self.events: list[str] = []
        self.in_flight = 0
        self.most_in_flight = 0
        self.failures: list[ApiError] = []
        self.queue: WorkQueue[NamespacedName] = WorkQueue(WorkQueueMetrics(registry))
        self.reporter = Reporter(
            Client(self),  # type: ignore[arg-type]
            self,  # type: ignore[arg-type]
            self.queue,
            backoff=Backoff(random.Random(1)),  # noqa: S311
            events=Events(self, self, asyncio.get_running_loop().time),  # type: ignore[arg-type]
            metrics=metrics,
            state_metrics=StateMetrics(registry, asyncio.get_running_loop().time),
            clock=lambda: NOW,
        )

    # In place of the cache of syncs.
    def get(self, namespace: str, name: str) -> SyncRecord | None:
        return self.records.get((namespace, name))

    def record(self, record: SyncRecord) -> None:
        self.records[record.key] = record

    @contextlib.contextmanager
    def writing(self, *_key: str | int | None) -> Iterator[None]:
        yield

    # In place of the event recorder, and of the cache of ConfigMaps.
    def emit(
        self, regarding: ObjectReference, kind: str, reason: str, _message: str, _action: str = ""
    ) -> None:
        if regarding.kind == "ConfigMapSync":
            self.events.append(f"{regarding.name}: {kind} {reason}")

    def configmap_at(self, _key: NamespacedName) -> None:
        return None

    def forget(self, *_arguments: Any) -> None:
        pass

    # In place of the API server.
    async def request(self, _method: str, path: str, *, body: bytes, **_options: Any) -> bytes:
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        await asyncio.sleep(REQUEST_SECONDS)
        self.in_flight -= 1
        if self.failures:
            raise self.failures.pop(0)
        name = path.removesuffix("/status").rpartition("/")[2]
        patch, live = json.loads(body), self.objects[name]
        if patch["metadata"]["resourceVersion"] != live["metadata"]["resourceVersion"]:
            raise Conflict("the object has been modified", status=409, reason="Conflict")
        version = str(int(live["metadata"]["resourceVersion"]) + 1)
        live["metadata"] |= patch["metadata"] | {"resourceVersion": version}
        if "status" in patch:
            live["status"] = patch["status"]
            self.written.append(f"{name}: {patch['status']['conditions'][0]['reason']}")
        return json.dumps(live).encode()

    def add(self, name: str) -> SyncRecord:
        self.objects[name] = stored(name)
        record = read_sync(json.dumps(self.objects[name]).encode(), frozenset())
        self.records[record.key] = record
        return record

    def report(self, name: str, reason: Reason = Reason.SYNCED) -> None:
        self.report_on(self.records["home", name], reason)

    def report_on(self, record: SyncRecord, reason: Reason, *, wrote: bool = False) -> None:
        outcomes = (Outcome("there", reason),)
        applied = Applied(outcomes, (), wrote=wrote, settled=True, requeue_after=None)
        self.reporter.report(record, None, Plan(), applied)


@contextlib.asynccontextmanager
async def running() -> AsyncIterator[Bench]:
    bench = Bench()
    task = asyncio.create_task(bench.reporter.run())
    yield bench
    await bench.reporter.drain()
    task.cancel()


async def test_a_status_is_written_once_and_at_once_without_waiting_copies() -> None:
    async with running() as bench:
        bench.add("a")
        bench.report("a")
        await asyncio.sleep(REQUEST_SECONDS + 0.001)
        assert bench.written == ["a: Synced"]
        bench.report("a")
        await asyncio.sleep(1)
    assert bench.written == ["a: Synced"]


async def test_a_status_waits_a_bounded_time_for_the_copies_of_other_syncs() -> None:
    async with running() as bench:
        bench.add("a")
        bench.queue.add(NamespacedName("home", "other"))
        bench.report("a")
        await asyncio.sleep(REPORT_WAIT_SECONDS - 0.001)
        assert bench.written == []
        await asyncio.sleep(REQUEST_SECONDS + 0.002)
        assert bench.written == ["a: Synced"]


async def test_a_merge_patch_removes_what_is_unset() -> None:
    async with running() as bench:
        bench.add("a")
        bench.report("a", Reason.SYNCED)
    written = bench.objects["a"]["status"]
    assert {field for field, value in written.items() if value is None} == {
        "source",
        "lastSyncTime",
    }
    assert written["failures"] == []
    assert written["conditions"][0] == {
        "type": "Ready",
        "status": "True",
        "reason": "Synced",
        "message": "1 copy is up to date",
        "observedGeneration": 1,
        "lastTransitionTime": "2026-01-01T00:00:00Z",
    }


async def test_a_waiting_status_takes_little_memory() -> None:
    bench = Bench()
    names = [f"sync-{number}" for number in range(MANY)]
    for name in names:
        record = bench.add(name)
        stored = status(report(outcomes=(Outcome("there", Reason.WRITE_FAILED),)), NOW)
        bench.records[record.key] = record.with_status(
            json.dumps(bench.objects[name]).encode(), stored
        )
    tracemalloc.start()
    try:
        for name in names:
            bench.report(name)
        used, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert used / MANY < MOST_BYTES


async def test_the_newest_of_several_statuses_of_a_sync_is_written() -> None:
    async with running() as bench:
        bench.add("a")
        bench.queue.add(NamespacedName("home", "other"))
        for reason in (Reason.WRITE_FAILED, Reason.DESTINATION_CONFLICT, Reason.SYNCED):
            bench.report("a", reason)
        await bench.queue.get()
        await asyncio.sleep(1)
    assert bench.written == ["a: Synced"]


async def test_a_status_that_changes_during_a_write_is_written_next() -> None:
    async with running() as bench:
        bench.add("a")
        bench.report("a", Reason.WRITE_FAILED)
        await asyncio.sleep(REQUEST_SECONDS / 2)
        bench.report("a", Reason.SYNCED)
        await asyncio.sleep(1)
    assert bench.written == ["a: WriteFailed", "a: Synced"]


async def test_a_status_counts_the_copies_written_since_the_last_status() -> None:
    async with running() as bench:
        record = bench.add("a")
        bench.failures = [ServerError("away", status=500)]
        for wrote in (True, False):
            bench.report_on(record, Reason.SYNCED, wrote=wrote)
            await asyncio.sleep(REPORT_WAIT_SECONDS + 1)
        assert bench.objects["a"]["status"]["lastSyncTime"] is not None
    assert bench.written == ["a: Synced"]


async def test_a_status_that_reverts_during_a_write_is_corrected() -> None:
    async with running() as bench:
        bench.add("a")
        bench.report("a", Reason.SYNCED)
        await asyncio.sleep(1)
        bench.report("a", Reason.WRITE_FAILED)
        await asyncio.sleep(REQUEST_SECONDS / 2)
        bench.report("a", Reason.SYNCED)  # the stored status says so, and a write replaces it
        await asyncio.sleep(1)
    assert bench.written[-1] == "a: Synced"


async def test_a_status_that_was_right_when_the_reconcile_began_is_compared_with_the_newest() -> (
    None
):
    async with running() as bench:
        before = bench.add("a")
        bench.report("a", Reason.SYNCED)
        await asyncio.sleep(1)
        began = bench.records[before.key]
        bench.report("a", Reason.WRITE_FAILED)
        await asyncio.sleep(1)
        bench.report_on(began, Reason.SYNCED)
        await asyncio.sleep(1)
    assert bench.written == ["a: Synced", "a: WriteFailed", "a: Synced"]


async def test_events_report_the_first_success_failures_and_recovery() -> None:
    async with running() as bench:
        bench.add("a")
        for reason, wrote in [
            (Reason.SYNCED, True),
            (Reason.SYNCED, True),  # an edit of the source that the copies follow
            (Reason.WRITE_FAILED, False),
            (Reason.SYNCED, True),
        ]:
            bench.report_on(bench.records["home", "a"], reason, wrote=wrote)
            await asyncio.sleep(1)
    assert bench.events == ["a: Normal Synced", "a: Warning WriteFailed", "a: Normal Synced"]


async def test_many_syncs_of_a_namespace_emit_a_bounded_number_of_normal_events() -> None:
    async with running() as bench:
        for number in range(MOST_EVENTS + 5):
            bench.add(f"sync-{number}")
            bench.report(f"sync-{number}")
        bench.add("failing")
        bench.report("failing", Reason.WRITE_FAILED)
    assert len(bench.written) == MOST_EVENTS + 6
    assert len(bench.events) == MOST_EVENTS + 1
    assert "failing: Warning WriteFailed" in bench.events


async def test_status_writes_in_flight_are_bounded() -> None:
    async with running() as bench:
        for number in range(50):
            bench.add(f"sync-{number}")
            bench.report(f"sync-{number}")
        await asyncio.sleep(5)
    assert len(bench.written) == 50
    assert bench.most_in_flight <= REPORT_WORKERS


@pytest.mark.parametrize("failure", [ServerError("away", status=500), Conflict("changed")])
async def test_a_failed_status_write_enqueues_the_sync(
    failure: ApiError,
) -> None:
    async with running() as bench:
        bench.add("a")
        bench.failures = [failure]
        bench.report("a")
        assert await bench.queue.get() == NamespacedName("home", "a")
        assert bench.written == []
        bench.report("a")
        await asyncio.sleep(1)
    assert bench.written == ["a: Synced"]


async def test_the_finalizer_waits_for_a_status_write_in_flight() -> None:
    async with running() as bench:
        record = bench.add("a")
        bench.report("a")
        await asyncio.sleep(REQUEST_SECONDS / 2)
        with_finalizer = await bench.reporter.set_finalizer(record, present=True)
        assert with_finalizer is not None
        assert with_finalizer.metadata.finalizers == (FINALIZER,)
    assert bench.written == ["a: Synced"]


async def test_a_deleted_sync_is_not_reported() -> None:
    async with running() as bench:
        record = bench.add("a")
        bench.queue.add(NamespacedName("home", "other"))
        bench.report("a")
        del bench.records[record.key]
        bench.reporter.forget(record.key)
        await bench.queue.get()
        await asyncio.sleep(1)
    assert bench.written == []


async def test_a_stop_writes_every_queued_status() -> None:
    bench = Bench()
    for number in range(20):
        bench.add(f"sync-{number}")
        bench.report(f"sync-{number}")
    bench.queue.add(NamespacedName("home", "other"))
    await bench.reporter.drain()
    assert len(bench.written) == 20
