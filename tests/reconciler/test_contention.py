"""The contention records name the other writer, expire, and stay bounded."""

import asyncio
import json
from dataclasses import dataclass, field, replace
from types import SimpleNamespace
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from configmapsync.contention import REPAIRS, WINDOW_SECONDS, Owner, contention_message
from configmapsync.copies import CopyRecord
from configmapsync.names import NamespacedName
from configmapsync.plans import Verb, Write
from configmapsync.rendering import copy_template, render
from configmapsync.status import MOST_LISTED_FAILURES
from kube.client import Client
from kube.errors import NotFound
from reconciler.reports.metrics import Metrics
from reconciler.writes.contention import Contention
from tests.configmapsync.objects import record, source, sync

pytestmark = pytest.mark.looptime(start=0)
SYNC = NamespacedName("home", "sync")
KEY = NamespacedName("there", "config")
INTERVAL_SECONDS = 60.0
WANTED = copy_template(sync(), source({"k": "v"}))
FIRST = "1"
OWNER = Owner("uid-1", False, "uid-of-namespace")


@dataclass
class _Owners:
    owner: Owner

    def get(self, *_key: str) -> Any:
        if not self.owner.sync_uid:
            return None
        metadata = SimpleNamespace(uid=self.owner.sync_uid)
        return SimpleNamespace(metadata=metadata, deleting=self.owner.deleting)


@dataclass
class Bench:
    """A copy, its other writer, and the contention records."""

    version: int = int(FIRST)
    manager: str = "argocd-controller"
    reads: int = 0
    gone: bool = False
    owner: Owner = OWNER
    contention: Contention = field(init=False)

    def __post_init__(self) -> None:
        now = asyncio.get_running_loop().time
        self.registry = CollectorRegistry()
        self.contention = Contention(
            Client(self),  # type: ignore[arg-type]
            self,  # type: ignore[arg-type]
            Metrics(self.registry),
            now,
            INTERVAL_SECONDS,
        )

    @property
    def begun(self) -> float | None:
        return self.registry.get_sample_value("configmapsync_contested_total")

    @property
    def syncs(self) -> "_Owners":
        return _Owners(self.owner)

    @property
    def namespaces_by_name(self) -> dict[str, Any]:
        return {KEY.namespace: SimpleNamespace(uid=self.owner.namespace_uid)}

    def copy_at(self, _key: NamespacedName) -> CopyRecord | None:
        return None if self.gone else self.live()

    async def deferred(self) -> dict[NamespacedName, str]:
        """Return the copies whose writes are deferred, each with its message."""
        observed = await self.contention.contested_copies(SYNC)
        return {
            key: contention_message(key, copy) for key, copy in observed.items() if copy.deferred
        }

    def live(self) -> CopyRecord:
        return record(resource_version=str(self.version))

    async def request(self, *_arguments: Any, **_options: Any) -> bytes:
        self.reads += 1
        if self.gone:
            raise NotFound(status=404, reason="NotFound", message="gone")
        fields = [
            {"manager": "kubectl", "time": "2026-01-01T00:00:00Z"},
            {"manager": self.manager, "time": "2026-01-01T00:00:02Z"},
            {"manager": "configmapsync", "time": "2026-01-01T00:00:03Z"},
        ]
        return json.dumps({"metadata": {"managedFields": fields}}).encode()

    def other_writes(self) -> None:
        self.version += 1

    def write(self, wanted: Any = WANTED) -> bool:
        """Write the copy as the reconciler does."""
        found = self.live()
        self.version += 1
        return self.contention.wrote(
            SYNC, Write(Verb.UPDATE, KEY, "the content differs", found, wanted)
        )

    def contest(self, rounds: int = REPAIRS) -> None:
        self.write()
        for _ in range(rounds):
            self.other_writes()
            self.write()


async def test_contention_lasts_for_a_minute_after_each_write_and_ends_after_a_quiet_one() -> None:
    bench = Bench()
    bench.contest(REPAIRS - 1)
    assert await bench.deferred() == {}
    bench.other_writes()
    bench.write()

    assert list(await bench.deferred()) == [KEY]
    assert (await bench.contention.contested_copies(SYNC))[KEY].wait_seconds == INTERVAL_SECONDS
    await asyncio.sleep(INTERVAL_SECONDS - 1)
    assert list(await bench.deferred()) == [KEY]
    await asyncio.sleep(1)
    assert await bench.deferred() == {}
    assert (await bench.contention.contested_copies(SYNC))[KEY].wait_seconds == 0
    bench.other_writes()
    bench.write()
    assert list(await bench.deferred()) == [KEY]
    assert bench.begun == 1


async def test_the_other_writer_is_read_once_and_only_after_its_write() -> None:
    bench = Bench()
    bench.contest()

    assert "something keeps rewriting" in (await bench.deferred())[KEY]
    assert bench.reads == 0
    bench.other_writes()
    for _ in range(3):
        assert 'field manager "argocd-controller"' in (await bench.deferred())[KEY]
    assert bench.reads == 1


async def test_a_copy_that_is_gone_when_it_is_read_is_no_error() -> None:
    bench = Bench()
    bench.contest()
    bench.other_writes()
    live = bench.live()
    bench.copy_at = lambda _key: live  # type: ignore[method-assign]
    bench.gone = True

    assert "something keeps rewriting" in (await bench.deferred())[KEY]


async def test_a_sync_that_always_conflicts_defers_its_writes_as_well() -> None:
    bench = Bench()
    write = Write(Verb.UPDATE, KEY, "the content differs", bench.live(), WANTED)

    for _ in range(REPAIRS + 1):
        bench.other_writes()
        bench.contention.lost_race(SYNC, replace(write, record=bench.live()))

    assert 'field manager "argocd-controller" keeps rewriting' in (await bench.deferred())[KEY]


async def test_a_tool_that_contests_a_thousand_copies_costs_few_reads() -> None:
    bench = Bench()
    for number in range(100):
        key = NamespacedName(f"ns-{number:03}", "config")
        for _ in range(REPAIRS + 1):
            bench.other_writes()
            bench.contention.lost_race(
                SYNC, Write(Verb.UPDATE, key, "the content differs", bench.live(), WANTED)
            )

    assert len(await bench.deferred()) == 100
    assert bench.reads == MOST_LISTED_FAILURES
    await bench.deferred()
    assert bench.reads == MOST_LISTED_FAILURES


async def test_an_object_stored_differently_than_sent_reveals_an_admission_webhook() -> None:
    bench = Bench()
    write = Write(Verb.UPDATE, KEY, "the content differs", bench.live(), WANTED)
    for _ in range(REPAIRS + 1):
        bench.contention.wrote(SYNC, write)  # and the version does not change

    assert "an admission webhook changes" in (await bench.deferred())[KEY]
    assert bench.reads == 0


async def test_a_repair_is_distinguished_from_a_write_that_follows_the_source() -> None:
    bench = Bench()

    assert [bench.write(copy_template(sync(), source({"k": value}))) for value in "abb"] == [
        False,
        False,
        True,
    ]


async def test_a_copy_whose_own_mark_shows_the_damage_counts_from_the_first_repair() -> None:
    marks = render(WANTED, "there", None)["metadata"]
    damaged = record(marks["labels"], marks["annotations"], data={"k": "damaged"})

    assert Bench().contention.wrote(
        SYNC, Write(Verb.UPDATE, KEY, "the content differs", damaged, WANTED)
    )


async def test_an_orphan_that_is_gone_is_not_contested() -> None:
    bench = Bench(owner=Owner("", False, "uid-of-namespace"))
    bench.contest()
    assert list(await bench.deferred()) == [KEY]

    bench.gone = True

    assert await bench.contention.contested_copies(SYNC) == {}


async def test_old_writes_are_evicted() -> None:
    bench = Bench()
    bench.contest()

    await asyncio.sleep(WINDOW_SECONDS + INTERVAL_SECONDS + 1)
    bench.contention.wrote(
        SYNC,
        Write(Verb.CREATE, NamespacedName("other", "config"), "there is no copy", None, WANTED),
    )

    assert len(bench.contention._histories) == 1
    assert bench.contention._contested_copies == {}


@pytest.mark.parametrize(
    "owner",
    [
        Owner("uid-of-a-sync-of-the-same-name", False, "uid-of-namespace"),
        Owner("uid-1", False, "uid-of-a-namespace-of-the-same-name"),
        Owner("uid-1", True, "uid-of-namespace"),
    ],
)
async def test_a_recreated_sync_or_namespace_and_a_deletion_start_with_a_clean_history(
    owner: Owner,
) -> None:
    bench = Bench()
    bench.contest()
    assert await bench.deferred()

    bench.owner = owner

    assert await bench.contention.contested_copies(SYNC) == {}
    bench.other_writes()
    bench.write()
    assert await bench.deferred() == {}, "one more write is the first of a new history"
    bench.contest()
    assert bench.begun == 2
