"""Collections stay short whatever is cached, and garbage is reclaimed all the same."""

import asyncio
import gc
import weakref
from collections.abc import AsyncIterator

import pytest

from runtime.garbage import keep_collections_short, sweep

CACHED = 100_000


class Node:
    """An object that can be part of a cycle."""

    def __init__(self) -> None:
        self.itself = self


@pytest.fixture
async def _short() -> AsyncIterator[None]:
    task = asyncio.create_task(keep_collections_short())
    await asyncio.sleep(0)
    yield
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


def walked_by_a_full_collection() -> int:
    """Return how many objects a full collection would walk now."""
    return len(gc.get_objects())


@pytest.mark.usefixtures("_short")
async def test_no_full_collection_walks_what_is_cached() -> None:
    most, fulls = 0, 0

    def note(phase: str, info: dict[str, int]) -> None:
        nonlocal most, fulls
        if phase == "start" and info["generation"] == 2:
            most, fulls = max(most, walked_by_a_full_collection()), fulls + 1

    gc.callbacks.append(note)
    try:
        cached = [[index] for index in range(CACHED)]
        gc.collect()
        cached.extend([index] for index in range(CACHED))
    finally:
        gc.callbacks.remove(note)
    assert len(cached) == 2 * CACHED
    assert fulls >= 2
    assert most < CACHED * 6 // 10


@pytest.mark.usefixtures("_short")
async def test_cycles_that_became_old_are_reclaimed_without_a_sweep() -> None:
    node = Node()
    gone = weakref.ref(node)
    gc.collect(0)
    gc.collect(1)
    del node
    cached = [[index] for index in range(CACHED)]
    assert gone() is None
    assert len(cached) == CACHED


@pytest.mark.usefixtures("_short")
async def test_frozen_cycles_are_reclaimed_by_a_sweep() -> None:
    node = Node()
    gone = weakref.ref(node)
    gc.collect()
    del node
    gc.collect()
    assert gone() is not None, "the test must freeze the cycle"
    sweep()
    assert gone() is None


async def test_the_end_restores_the_collector() -> None:
    before = gc.get_threshold(), list(gc.callbacks)
    task = asyncio.create_task(keep_collections_short())
    await asyncio.sleep(0)
    assert gc.get_freeze_count() > 0
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert (gc.get_threshold(), list(gc.callbacks)) == before
    assert gc.get_freeze_count() == 0
