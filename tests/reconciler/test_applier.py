"""A destination that fails, hangs or changes delays no other destination."""

import asyncio
import random
from collections.abc import Callable
from dataclasses import replace

import pytest
from prometheus_client import CollectorRegistry

from cluster.syncs import SyncRecord
from configmapsync.content import Content
from configmapsync.copies import CopyRecord
from configmapsync.names import NamespacedName
from configmapsync.plans import Applied, Plan, Verb, Write
from configmapsync.reasons import Reason
from configmapsync.rendering import CopyTemplate
from kube.errors import ApiError, Conflict, Forbidden, TooLarge, TooManyRequests, Unreachable
from reconciler.known.blockers import Blockers
from reconciler.reports.metrics import Metrics
from reconciler.writes.applier import (
    PROGRESS_SECONDS,
    UNANSWERED_SECONDS,
    WRITE_WAIT_SECONDS,
    Applier,
)
from reconciler.writes.retries import Retries
from reconciler.writes.slots import LARGE_AT_ONCE, LARGE_BYTES

pytestmark = pytest.mark.looptime(start=0)
SYNC = NamespacedName("home", "sync")
OTHER = NamespacedName("home", "other")
NOTHING_APPLIED = Applied((), (), wrote=False, settled=True, requeue_after=None)


class ScriptedWriter:
    """A writer that does what the test says for each namespace, and records the order."""

    def __init__(self) -> None:
        self.begun: list[str] = []
        self.done: list[str] = []
        self.answers: dict[str, list[Exception | float]] = {}

    async def write(self, _sync: NamespacedName, write: Write) -> bool:
        namespace = write.key.namespace
        self.begun.append(namespace)
        script = self.answers.get(namespace)
        answer = script.pop(0) if script else 0.01
        if isinstance(answer, Exception):
            raise answer
        await asyncio.sleep(answer)
        self.done.append(namespace)
        return True


class EventsStub:
    """Emits no events."""

    def wrote(self, _sync: NamespacedName, _write: Write, *, repaired: bool) -> None:
        pass


class CachesStub:
    """Knows no blocker and no sync."""

    def __init__(self) -> None:
        self.blockers = Blockers()

    def syncs_of_source(self, _key: NamespacedName) -> tuple[SyncRecord, ...]:
        return ()


class Bench:
    """An applier and its dependencies."""

    def __init__(self, parallel: int = 4) -> None:
        self.writer = ScriptedWriter()
        self.enqueued: list[NamespacedName] = []
        self.dirty_after: float | None = None
        self.result = NOTHING_APPLIED
        self.written: list[str] = []
        self.races: list[str] = []
        self.registry = CollectorRegistry()
        self.retries = Retries(random.Random(1))  # noqa: S311
        self.applier = Applier(
            self.writer,  # type: ignore[arg-type]
            self.retries,
            Metrics(self.registry),
            queue=self,  # type: ignore[arg-type]
            contention=self,  # type: ignore[arg-type]
            events=EventsStub(),  # type: ignore[arg-type]
            caches=CachesStub(),  # type: ignore[arg-type]
            parallel=parallel,
        )

    def held(self) -> float | None:
        return self.registry.get_sample_value("configmapsync_retries_held", {"what": "destination"})

    def add(self, sync: NamespacedName) -> None:
        self.enqueued.append(sync)

    def when_dirty(self, _sync: NamespacedName, callback: Callable[[], None]) -> None:
        if self.dirty_after is not None:
            asyncio.get_running_loop().call_later(self.dirty_after, callback)

    def wrote(self, _sync: NamespacedName, write: Write) -> bool:
        self.written.append(write.key.namespace)
        return False

    def lost_race(self, _sync: NamespacedName, write: Write) -> None:
        self.races.append(write.key.namespace)

    async def apply(self, *writes: Write, sync: NamespacedName = SYNC) -> dict[str, Reason]:
        return await self.carry_out(Plan(writes=writes), sync)

    async def carry_out(self, planned: Plan, sync: NamespacedName = SYNC) -> dict[str, Reason]:
        self.result = await self.applier.apply(sync, planned)
        return {outcome.namespace: outcome.reason for outcome in self.result.outcomes}


def error(kind: type[ApiError], status: int, retry_after: float | None = None) -> ApiError:
    return kind(status=status, reason=kind.__name__, message="as scripted", retry_after=retry_after)


def write(namespace: str, digest: str = "sha256:1", version: str | None = None) -> Write:
    content = Content(data={}, binary_data={}, immutable=False)
    template = CopyTemplate(
        name="config", content=content, digest=digest, labels={}, annotations={}
    )
    key = NamespacedName(namespace, "config")
    if version is None:
        return Write(Verb.CREATE, key, "there is no copy", template=template)
    record = CopyRecord(
        namespace=namespace,
        name="config",
        uid="u",
        resource_version=version,
        digest="sha256:0",
        labels={},
        annotations={},
        immutable=False,
        deleting=False,
        others={},
    )
    return Write(Verb.UPDATE, key, "the content differs", record, template)


async def test_all_writes_are_carried_out_and_reported() -> None:
    bench = Bench()

    outcomes = await bench.apply(*(write(f"ns-{number}") for number in range(20)))

    assert set(outcomes.values()) == {Reason.SYNCED}
    assert len(bench.writer.done) == 20
    assert bench.result.wrote
    await bench.apply()
    assert not bench.result.wrote


async def test_a_destination_in_flight_for_another_sync_is_retried_when_its_write_ends() -> None:
    bench = Bench()
    bench.writer.answers["taken"] = [0.1]
    first = asyncio.create_task(bench.apply(write("taken")))
    await asyncio.sleep(0.05)

    assert await bench.apply(write("taken"), sync=OTHER) == {"taken": Reason.PROGRESSING}
    assert OTHER not in bench.enqueued
    await first

    assert OTHER in bench.enqueued
    assert await bench.apply(write("taken"), sync=OTHER) == {"taken": Reason.SYNCED}


async def test_a_failing_destination_is_retried_later_while_others_proceed() -> None:
    bench = Bench()
    bench.writer.answers["bad"] = [error(Forbidden, 403)] * 50

    assert await bench.apply(write("bad"), write("good")) == {
        "bad": Reason.WRITE_FAILED,
        "good": Reason.SYNCED,
    }
    assert await bench.apply(write("bad")) == {"bad": Reason.WRITE_FAILED}
    assert bench.writer.begun.count("bad") == 1

    delays = []
    for _ in range(16):
        delay = bench.result.requeue_after
        assert delay is not None
        delays.append(delay)
        await asyncio.sleep(delay)
        await bench.apply(write("bad"))
    assert delays[0] <= 0.2
    assert delays[-1] > 100
    assert max(delays) <= 330


async def test_after_an_outage_what_the_outage_failed_is_retried_at_once() -> None:
    bench = Bench()
    bench.writer.answers["away"] = [error(Unreachable, 0)] * 12
    bench.writer.answers["refused"] = [error(Forbidden, 403)] * 12
    for _ in range(12):
        await bench.apply(write("away"), write("refused"))
        await asyncio.sleep(bench.result.requeue_after or 0)
    await bench.apply(write("away"), write("refused"))  # both wait for minutes now
    before = list(bench.writer.begun)

    assert bench.retries.release_transient() == {SYNC}
    await bench.apply(write("away"), write("refused"))

    assert bench.writer.begun[len(before) :] == ["away"]


async def test_a_servers_retry_after_wins() -> None:
    bench = Bench()
    bench.writer.answers["busy"] = [error(TooManyRequests, 429, retry_after=7)]

    await bench.apply(write("busy"))

    delay = bench.result.requeue_after
    assert delay is not None
    assert delay >= 7


async def test_a_hanging_destination_blocks_only_its_own_slot() -> None:
    bench = Bench()
    bench.writer.answers["slow"] = [30.0]

    first = await bench.apply(write("slow"), write("quick"))
    second = await bench.apply(write("slow", "sha256:2"), write("quick", "sha256:2"))

    assert first == {"slow": Reason.PROGRESSING, "quick": Reason.SYNCED}
    assert second == {"slow": Reason.PROGRESSING, "quick": Reason.SYNCED}
    assert bench.writer.begun.count("slow") == 1
    assert asyncio.get_running_loop().time() < 3 * WRITE_WAIT_SECONDS
    await asyncio.sleep(31)
    assert bench.enqueued == [SYNC]


async def test_newer_work_cancels_writes_that_have_not_begun() -> None:
    bench = Bench(parallel=1)

    bench.dirty_after = 0.015
    outcomes = await bench.apply(*(write(f"ns-{number}") for number in range(50)))
    await asyncio.sleep(1)

    assert len(bench.writer.begun) < 5
    assert list(outcomes.values()).count(Reason.PROGRESSING) > 40


async def test_the_stalest_copy_goes_first() -> None:
    bench = Bench(parallel=1)

    await bench.apply(write("fresh", version="100"), write("stale", version="9"), write("missing"))

    assert bench.writer.begun == ["missing", "stale", "fresh"]


async def test_a_conflict_is_no_failure_and_enqueues_the_sync() -> None:
    bench = Bench()
    bench.writer.answers["moved"] = [error(Conflict, 409)]

    assert await bench.apply(write("moved", version="1")) == {"moved": Reason.PROGRESSING}
    assert bench.enqueued == [SYNC]
    assert (bench.races, bench.written) == (["moved"], [])


async def test_a_failure_that_only_other_content_heals_waits_for_other_content() -> None:
    bench = Bench()
    bench.writer.answers["full"] = [error(TooLarge, 413)]

    assert await bench.apply(write("full", "sha256:big")) == {"full": Reason.TOO_LARGE}
    assert await bench.apply(write("full", "sha256:big")) == {"full": Reason.TOO_LARGE}
    assert await bench.apply(write("full", "sha256:small")) == {"full": Reason.SYNCED}


async def test_a_failure_that_only_other_metadata_heals_waits_for_other_metadata() -> None:
    bench = Bench()
    bench.writer.answers["full"] = [error(TooLarge, 413)]
    large = write("full")
    assert large.template is not None
    small = replace(large, template=replace(large.template, annotations={"notes": "short"}))

    assert await bench.apply(large) == {"full": Reason.TOO_LARGE}
    assert await bench.apply(small) == {"full": Reason.SYNCED}


async def test_a_released_destination_is_tried_at_once() -> None:
    bench = Bench()
    bench.writer.answers["bad"] = [error(Forbidden, 403)]
    await bench.apply(write("bad"))

    bench.retries.release(SYNC, NamespacedName("bad", "config"))

    assert await bench.apply(write("bad")) == {"bad": Reason.SYNCED}
    assert bench.result.requeue_after is None


async def test_many_syncs_share_the_slots_and_none_starves() -> None:
    bench = Bench(parallel=3)
    bench.writer.answers["slow"] = [10.0]

    hanging = asyncio.create_task(bench.apply(write("slow")))
    outcomes = await bench.apply(*(write(f"ns-{number}") for number in range(10)), sync=OTHER)

    assert set(outcomes.values()) == {Reason.SYNCED}
    assert await hanging == {"slow": Reason.PROGRESSING}
    await bench.applier.drain()


@pytest.mark.parametrize("parallel", [2, 3, 4, 32])
async def test_a_tenant_whose_destinations_all_hang_leaves_slots_for_others(parallel: int) -> None:
    bench = Bench(parallel=parallel)
    slow = [f"slow-{number}" for number in range(40)]
    bench.writer.answers = {namespace: [60.0] for namespace in slow}
    hanging = asyncio.create_task(bench.apply(*map(write, slow)))
    await asyncio.sleep(0.1)

    neighbour = NamespacedName("elsewhere", "sync")
    outcomes = await bench.apply(*(write(f"ns-{number}") for number in range(10)), sync=neighbour)

    assert set(outcomes.values()) == {Reason.SYNCED}
    await hanging
    await bench.applier.drain()


async def test_few_large_copies_are_in_flight_at_once() -> None:
    bench = Bench(parallel=32)
    content = Content(data={"large": "x" * LARGE_BYTES}, binary_data={})
    writes = []
    for number in range(30):
        small = write(f"ns-{number}")
        assert small.template is not None
        writes.append(replace(small, template=replace(small.template, content=content)))
    tenants = [NamespacedName(f"tenant-{number}", "sync") for number in range(3)]

    applying = [
        asyncio.create_task(bench.apply(*writes[index::3], sync=tenant))
        for index, tenant in enumerate(tenants)
    ]
    await asyncio.sleep(0.005)

    assert len(bench.writer.begun) == LARGE_AT_ONCE
    assert len({int(name[3:]) % 3 for name in bench.writer.begun}) > 1
    await asyncio.gather(*applying)
    assert len(bench.writer.done) == len(writes)


async def test_draining_waits_for_what_is_in_flight() -> None:
    bench = Bench()
    bench.writer.answers["slow"] = [5.0]
    await bench.apply(write("slow"))

    await bench.applier.drain()

    assert bench.writer.done == ["slow"]


async def test_a_retry_that_falls_due_while_other_writes_run_is_due_at_once() -> None:
    """No other timer would enqueue the sync again."""
    bench = Bench()
    bench.writer.answers["a"] = [error(TooManyRequests, 429, retry_after=1.0)]
    bench.writer.answers["b"] = [0.5]
    await bench.apply(write("a"))
    await asyncio.sleep(0.9)

    assert (await bench.apply(write("a"), write("b")))["a"] is Reason.WRITE_FAILED
    assert bench.result.requeue_after == 0.0
    assert (await bench.apply(write("a")))["a"] is Reason.SYNCED
    assert bench.result.requeue_after is None


async def test_a_destination_that_is_no_longer_planned_is_evicted() -> None:
    bench = Bench()
    bench.writer.answers["a"] = [error(Forbidden, 403)]
    bench.writer.answers["b"] = [error(Forbidden, 403)]
    await bench.apply(write("a"), write("b"))

    await bench.apply(write("b"))
    assert bench.held() == 1
    await bench.apply()

    assert bench.held() == 0
    assert len(bench.retries._backoff) == 0


async def test_a_sync_is_not_settled_while_a_create_is_in_flight() -> None:
    bench = Bench()
    bench.writer.answers["a"] = [WRITE_WAIT_SECONDS * 3]
    await bench.apply(write("a"))
    await bench.apply()
    assert not bench.result.settled
    await bench.apply(sync=OTHER)
    assert bench.result.settled

    await asyncio.sleep(WRITE_WAIT_SECONDS * 3)

    assert SYNC in bench.enqueued
    await bench.apply()
    assert bench.result.settled


async def test_a_forgotten_sync_is_not_settled_while_a_create_is_in_flight() -> None:
    """A sync of the same name may be created and deleted meanwhile."""
    bench = Bench()
    bench.writer.answers["a"] = [WRITE_WAIT_SECONDS]
    creating = asyncio.create_task(bench.apply(write("a")))
    await asyncio.sleep(0.1)
    deleted = asyncio.create_task(bench.apply())
    await creating
    await deleted
    await bench.apply()
    assert bench.result.settled


async def test_a_create_without_an_answer_may_still_happen_for_a_minute() -> None:
    bench = Bench()
    bench.writer.answers["a"] = [error(Unreachable, 0)]
    await bench.apply(replace(write("a"), verb=Verb.CREATE))
    await bench.apply()

    assert not bench.result.settled
    assert bench.result.requeue_after == pytest.approx(UNANSWERED_SECONDS)
    await asyncio.sleep(UNANSWERED_SECONDS + 1)

    await bench.apply()
    assert bench.result.settled
    assert bench.result.requeue_after is None


async def test_a_create_that_is_answered_after_all_settles_the_sync() -> None:
    bench = Bench()
    bench.writer.answers["a"] = [error(Unreachable, 0)]
    create = replace(write("a"), verb=Verb.CREATE)
    await bench.apply(create)
    await asyncio.sleep(1)
    await bench.apply(create)

    assert bench.result.settled


async def test_writes_that_take_long_go_on_after_one_report_and_enqueue_the_sync_once() -> None:
    bench = Bench(parallel=4)
    spaces = [f"ns-{number}" for number in range(3 * 300)]  # 3 at a time, 10 ms each

    outcomes = await bench.apply(*map(write, spaces))

    assert asyncio.get_running_loop().time() == pytest.approx(WRITE_WAIT_SECONDS)
    assert 0 < list(outcomes.values()).count(Reason.PROGRESSING) < len(spaces)
    assert bench.result.requeue_after == PROGRESS_SECONDS
    await asyncio.sleep(3)
    assert sorted(bench.writer.begun) == sorted(spaces)
    assert bench.enqueued == [SYNC]
    await bench.apply()
    assert bench.result == replace(NOTHING_APPLIED, wrote=True)


async def test_a_new_plan_replaces_the_writes_that_have_not_begun() -> None:
    bench = Bench(parallel=4)
    spaces = [f"ns-{number}" for number in range(3 * 300)]
    await bench.apply(*map(write, spaces))
    begun = len(bench.writer.begun)

    assert await bench.apply(write("other")) == {"other": Reason.SYNCED}
    await asyncio.sleep(3)

    assert len(bench.writer.begun) <= begun + 4


async def test_a_write_in_flight_is_the_one_that_a_new_plan_wants_or_is_done_again() -> None:
    bench = Bench()
    bench.writer.answers["same"] = [WRITE_WAIT_SECONDS + 0.2]
    bench.writer.answers["other"] = [WRITE_WAIT_SECONDS + 0.2]
    bench.writer.answers["long"] = [1.0]
    await bench.apply(write("same"), write("other"))

    outcomes = await bench.apply(write("same"), write("other", "sha256:2"), write("long"))

    assert outcomes == {
        "same": Reason.SYNCED,
        "other": Reason.PROGRESSING,
        "long": Reason.SYNCED,
    }
    assert bench.enqueued == [SYNC]
    assert await bench.apply(write("other", "sha256:2")) == {"other": Reason.SYNCED}
    assert bench.writer.begun.count("same") == 1


async def test_a_plan_does_not_wait_for_a_write_of_an_earlier_plan() -> None:
    bench = Bench()
    bench.writer.answers["slow"] = [30.0]
    await bench.apply(write("slow"))

    outcomes = await bench.apply(write("slow"), write("quick"))

    assert outcomes == {"slow": Reason.PROGRESSING, "quick": Reason.SYNCED}
    assert asyncio.get_running_loop().time() < WRITE_WAIT_SECONDS + 0.1


async def test_destinations_that_hang_leave_the_later_writes_of_their_sync_alone() -> None:
    bench = Bench(parallel=8)
    for number in range(4):
        bench.writer.answers[f"slow-{number}"] = [60.0]
    await bench.apply(*(write(f"slow-{number}") for number in range(4)))

    outcomes = await bench.apply(*(write(f"quick-{number}") for number in range(3)))

    assert set(outcomes.values()) == {Reason.SYNCED}


async def test_a_removal_waits_for_the_writes_of_its_plan() -> None:
    bench = Bench()
    bench.writer.answers["new"] = [WRITE_WAIT_SECONDS + 1]
    removal = Write(Verb.DELETE, write("old").key, "not selected", write("old", version="1").record)

    await bench.carry_out(Plan(writes=(write("new"),), removals=(removal,)))
    assert bench.writer.begun == ["new"]
    await asyncio.sleep(2)
    await bench.carry_out(Plan(removals=(removal,)))

    assert bench.writer.begun == ["new", "old"]


async def test_the_second_half_of_a_plan_follows_the_first_at_once() -> None:
    """It removes what was replaced, or the finalizer after the last removal."""
    bench = Bench()
    bench.writer.answers["bad"] = [error(Forbidden, 403)]
    record = write("old", version="1").record
    removal = Write(Verb.DELETE, write("old").key, "not selected", record)
    refused = Write(Verb.DELETE, write("bad").key, "not selected", record)

    await bench.carry_out(Plan(writes=(write("new"),), staged=True, requeue_after=60.0))
    assert bench.result.requeue_after == 0.0
    await bench.carry_out(Plan(removals=(removal,), requeue_after=60.0))
    assert bench.result.requeue_after == 0.0
    await bench.carry_out(Plan(removals=(removal, refused), requeue_after=60.0))
    assert 0 < (bench.result.requeue_after or 0) < 60
    assert [outcome.namespace for outcome in bench.result.leftovers] == ["bad"]
    await bench.carry_out(Plan(writes=(write("new"),), requeue_after=60.0))
    assert bench.result.requeue_after == 60.0


async def test_a_contested_copy_is_written_and_stays_contested() -> None:
    bench = Bench()
    planned = Plan(
        writes=(replace(write("there"), contested="something rewrites it"),), staged=True
    )

    assert await bench.carry_out(planned) == {"there": Reason.CONTESTED}
    assert (bench.writer.done, bench.result.wrote) == (["there"], True)
    assert bench.result.requeue_after == 0.0


async def test_a_defect_of_one_write_is_raised_when_the_others_have_ended() -> None:
    bench = Bench()
    bench.writer.answers["bad"] = [ValueError("a defect")]

    with pytest.raises(ValueError, match="a defect"):
        await bench.apply(write("bad"), write("good"))

    assert bench.writer.done == ["good"]
    await bench.apply()
    assert bench.result.settled
