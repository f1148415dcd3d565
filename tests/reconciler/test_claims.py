"""The decider works beside everything else, and wakes exactly the syncs whose refusals changed."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import pytest

from configmapsync.graph.decisions import Grants
from configmapsync.names import NamespacedName
from configmapsync.selection import Namespace
from reconciler.known.claims import Decider
from tests.configmapsync.test_graph import sync


@asynccontextmanager
async def running(grants: Grants, woken: list[NamespacedName]) -> AsyncIterator[Decider]:
    decider = Decider(grants, woken.append)
    task = asyncio.create_task(decider.run())
    yield decider
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


def grants_of(namespaces: int) -> Grants:
    grants = Grants(frozenset())
    for number in range(namespaces):
        grants.put_namespace(Namespace(f"n{number}"))
    return grants


async def settled(grants: Grants, *keys: NamespacedName) -> None:
    for _ in range(1_000):
        if all(map(grants.decided, keys)):
            return
        await asyncio.sleep(0)
    raise AssertionError("not decided")


async def test_only_the_syncs_whose_refusals_changed_are_enqueued() -> None:
    grants, woken = grants_of(3), list[NamespacedName]()
    older, younger = (
        sync("older", "a/cfg", "n1", minutes=0),
        sync("younger", "b/cfg", "n1", minutes=1),
    )
    grants.put(younger)
    grants.put(sync("stranger", "c/cfg", "n2", minutes=2))
    async with running(grants, woken) as decider:
        await decider.decided(younger.key)
        grants.put(older)
        decider.changed()
        await settled(grants, younger.key, older.key)
        await asyncio.sleep(0)
        assert sorted(woken) == [older.key, younger.key]
        woken.clear()
        grants.remove(older.key)
        decider.changed()
        await settled(grants, younger.key)
        await asyncio.sleep(0)
    assert woken == [younger.key]


async def test_a_waiting_sync_gets_the_new_refusals_and_is_not_enqueued() -> None:
    grants, woken = grants_of(2), list[NamespacedName]()
    older, younger = (
        sync("older", "a/cfg", "n1", minutes=0),
        sync("younger", "b/cfg", "n1", minutes=1),
    )
    grants.put(older)
    grants.put(younger)
    async with running(grants, woken) as decider:
        await decider.decided(younger.key)
        assert list(grants.refusals(younger.key)) == [NamespacedName("n1", "cfg")]
    assert younger.key not in woken


async def test_other_work_runs_while_a_large_component_is_decided() -> None:
    grants, turns = grants_of(1_000), 0
    ring = [
        sync(f"s{step:04}", f"n{step}/cfg", f"n{(step + 1) % 1_000}", minutes=step)
        for step in range(1_000)
    ]
    for one in ring:
        grants.put(one)
    async with running(grants, []) as decider:
        waiting = asyncio.create_task(decider.decided(ring[0].key))
        while not waiting.done():
            turns += 1
            await asyncio.sleep(0)
    assert turns >= 5


async def test_an_error_while_deciding_fails_the_waiting_syncs_and_stops_no_task(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    grants = grants_of(2)
    one = sync("one", "a/cfg", "n1")
    grants.put(one)
    async with running(grants, []) as decider:
        with monkeypatch.context() as patch:
            patch.setattr(grants.graph, "readers", None)
            with pytest.raises(RuntimeError, match="cannot decide"):
                await decider.decided(one.key)
        await decider.decided(one.key)
    assert grants.refusals(one.key) == {}
