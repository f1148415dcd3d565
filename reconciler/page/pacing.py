"""Give other tasks a turn during long loops.

Every part of the page that reads many records uses it, so that no step holds the event
loop for long.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Iterable
from typing import TypeVar

TURN_SECONDS = 0.005

Item = TypeVar("Item")


async def paced(items: Iterable[Item]) -> AsyncIterator[Item]:
    """Yield the items, and let other tasks run after each `TURN_SECONDS`.

    Args:
        items: a copy, not a view of a cache, because other tasks change caches in between.
    """
    turn_ends = time.perf_counter() + TURN_SECONDS
    for item in items:
        yield item
        if time.perf_counter() >= turn_ends:
            await asyncio.sleep(0)
            turn_ends = time.perf_counter() + TURN_SECONDS
