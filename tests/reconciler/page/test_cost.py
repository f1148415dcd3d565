"""Readers share a snapshot, unchanged rows are reused, and steps are short."""

import asyncio
from pathlib import Path

import aiohttp
import pytest

from tests.reconciler.page.bench import Bench, raw, ready
from tests.support.long_steps import PRODUCT, LongSteps

SYNCS = 5_000
COPIES = 10_000
PATHS = (
    *("state", "syncs", "syncs?q=sync-4", "syncs?sort=written", "copies", "copies?q=team-9"),
    *("graph", "graph?sync=home/large", "syncs/home/large", "syncs/home/large/destinations"),
)


async def test_readers_share_one_snapshot(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    # A busy machine may need more than the usual second for the requests.
    monkeypatch.setattr("reconciler.page.snapshot.SHORTEST_AGE_SECONDS", 3600.0)
    bench.put_sync("home", "shared")

    await asyncio.gather(*(bench.json("/api/syncs") for _ in range(10)))
    assert bench.server._handlers._snapshots._snapshot.version == 1

    for number in range(20):
        bench.put_sync("home", f"sync-{number}")
        await bench.json("/api/syncs")
    assert bench.server._handlers._snapshots._snapshot.version == 1  # at most one in that time


async def test_without_a_change_no_snapshot_is_taken(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("reconciler.page.snapshot.LONGEST_AGE_SECONDS", 0.0)
    monkeypatch.setattr("reconciler.page.snapshot.SHORTEST_AGE_SECONDS", 0.0)
    bench.put_sync("home", "shared")

    for _ in range(5):
        await bench.json("/api/syncs")

    assert bench.server._handlers._snapshots._snapshot.version == 1


async def test_rows_of_unchanged_syncs_are_reused(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("reconciler.page.snapshot.LONGEST_AGE_SECONDS", 0.0)
    monkeypatch.setattr("reconciler.page.snapshot.SHORTEST_AGE_SECONDS", 0.0)
    for number in range(50):
        bench.put_sync("home", f"sync-{number:02}")
    before = await bench.server._handlers._snapshots.current()

    bench.put_sync("home", "sync-07", status=ready("SourceNotFound"))
    after = await bench.server._handlers._snapshots.current()

    different = [
        new.name for old, new in zip(before.syncs, after.syncs, strict=True) if old is not new
    ]
    assert different == ["sync-07"]


async def test_a_write_of_this_process_shows(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("reconciler.page.snapshot.LONGEST_AGE_SECONDS", 0.0)
    monkeypatch.setattr("reconciler.page.snapshot.SHORTEST_AGE_SECONDS", 0.0)
    bench.put_copy("web", "config", "home/shared")
    assert (await bench.json("/api/state"))["copies"] == 1

    record = bench.caches.copies.get("web", "config")
    assert record is not None
    bench.caches.copies.forget("web", "config")  # as the writer does after a delete

    assert (await bench.json("/api/state"))["copies"] == 0


@pytest.mark.timeout(300)  # for a loaded machine
async def test_ten_thousand_copies_are_answered_in_short_steps(bench: Bench) -> None:
    for start in range(0, SYNCS, 100):
        for number in range(start, start + 100):
            bench.caches.syncs.listed(raw(bench.sync_object("home", f"sync-{number}")))
        await asyncio.sleep(0)
    bench.put_sync("home", "large", spec={"destinationNamespaces": ["team-*"]})
    for number in range(COPIES // 2):
        bench.put_copy(f"team-{number}", "config", f"home/sync-{number}")
        bench.put_copy(f"team-{number}", "large", "home/large")
        bench.put_namespace(f"team-{number}")
        if number % 100 == 0:
            await asyncio.sleep(0)

    steps = LongSteps((*PRODUCT, str(Path(aiohttp.__file__).parent)))
    with steps.installed():
        answers = [await bench.get(f"/api/{path}") for path in PATHS]

    assert not steps.found
    assert [answer.status for answer in answers] == [200] * len(PATHS)
    assert answers[PATHS.index("copies")].json["total"] == COPIES
    assert max(len(answer.text) for answer in answers) < 200_000
