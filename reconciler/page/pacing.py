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
    """Yield the items, and let other tasks run after each turn.

    Args:
        items: must not change with the caches, because other tasks change those in between.
    """
    turn_ends = time.perf_counter() + TURN_SECONDS
    for item in items:
        yield item
        if time.perf_counter() >= turn_ends:
            await asyncio.sleep(0)
            turn_ends = time.perf_counter() + TURN_SECONDS
