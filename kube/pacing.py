"""Let a task that handles many objects in a row give way to the other tasks of the event loop.

`reflector.py` counts what it hands on and waits where the pace asks for it. The measure is bytes, not time: a clock would make
simulations differ from run to run.
"""

import asyncio

STEP_BYTES = (
    64 << 10
)  # of JSON in one step; decoding, hashing and caching them takes a few milliseconds
ITEM_BYTES = (
    2 << 10
)  # that each object counts for, however small: it is decoded, indexed and given to handlers


class Pace:
    """Counts the work since the last pause."""

    def __init__(self) -> None:
        self._bytes = 0

    async def did(self, size: int) -> None:
        """Count one object of `size` bytes; let the event loop run once enough has been handled."""
        self._bytes += size + ITEM_BYTES
        if self._bytes >= STEP_BYTES:
            self._bytes = 0
            await asyncio.sleep(0)
