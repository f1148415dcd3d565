"""The decider runs beside other work and enqueues only syncs with new refusals."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import pytest

from configmapsync.graph.decisions import Decisions
from configmapsync.names import NamespacedName
from configmapsync.resource import ConfigMapSync
from configmapsync.selection import Namespace, Selector
from reconciler.known.claims import Decider
from tests.configmapsync.test_graph import sync


@asynccontextmanager
async def running(decisions: Decisions, enqueued: list[NamespacedName]) -> AsyncIterator[Decider]:
    decider = Decider(decisions, enqueued.append)
    task = asyncio.create_task(decider.run())
    yield decider
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


def decisions_of(namespaces: int) -> Decisions:
    decisions = Decisions()
    for number in range(namespaces):
        decisions.put_namespace(Namespace(f"n{number}"))
    return decisions


def put(decisions: Decisions, one: ConfigMapSync) -> None:
    decisions.put(one, Selector.of(one, frozenset()))


async def settled(decisions: Decisions, *keys: NamespacedName) -> None:
    for _ in range(1_000):
        if all(map(decisions.decided, keys)):
            return
        await asyncio.sleep(0)
    raise AssertionError("not decided")


async def test_only_the_syncs_whose_refusals_changed_are_enqueued() -> None:
    decisions, enqueued = decisions_of(3), list[NamespacedName]()
    older, younger = (
        sync("older", "a/cfg", "n1", minutes=0),
        sync("younger", "b/cfg", "n1", minutes=1),
    )
    put(decisions, younger)
    put(decisions, sync("stranger", "c/cfg", "n2", minutes=2))
    async with running(decisions, enqueued) as decider:
        await decider.decided(younger.key)
        put(decisions, older)
        decider.changed()
        await settled(decisions, younger.key, older.key)
        await asyncio.sleep(0)
        assert sorted(enqueued) == [older.key, younger.key]
        enqueued.clear()
        decisions.remove(older.key)
        decider.changed()
        await settled(decisions, younger.key)
        await asyncio.sleep(0)
    assert enqueued == [younger.key]


async def test_a_waiting_sync_gets_the_new_refusals_and_is_not_enqueued() -> None:
    decisions, enqueued = decisions_of(2), list[NamespacedName]()
    older, younger = (
        sync("older", "a/cfg", "n1", minutes=0),
        sync("younger", "b/cfg", "n1", minutes=1),
    )
    put(decisions, older)
    put(decisions, younger)
    async with running(decisions, enqueued) as decider:
        await decider.decided(younger.key)
        assert list(decisions.refusals(younger.key)) == [NamespacedName("n1", "cfg")]
    assert younger.key not in enqueued


async def test_other_work_runs_while_a_large_component_is_decided() -> None:
    decisions, turns = decisions_of(1_000), 0
    ring = [
        sync(f"s{step:04}", f"n{step}/cfg", f"n{(step + 1) % 1_000}", minutes=step)
        for step in range(1_000)
    ]
    for one in ring:
        put(decisions, one)
    async with running(decisions, []) as decider:
        waiting = asyncio.create_task(decider.decided(ring[0].key))
        while not waiting.done():
            turns += 1
            await asyncio.sleep(0)
    assert turns >= 5


async def test_an_error_while_deciding_fails_the_waiting_syncs_and_stops_no_task(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    decisions = decisions_of(2)
    one = sync("one", "a/cfg", "n1")
    put(decisions, one)
    async with running(decisions, []) as decider:
        with monkeypatch.context() as patch:
            patch.setattr(decisions.graph, "readers", None)
            with pytest.raises(RuntimeError, match="cannot decide"):
                await decider.decided(one.key)
        await decider.decided(one.key)
    assert decisions.refusals(one.key) == {}
