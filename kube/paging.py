"""Bound the pages of a list by bytes, and yield while many objects are handled.

`reflector.py` and `reconciler/known/sources.py` use both classes. The API server
bounds a page by a count only, and an object may have a hundred bytes or nine mebibytes.
Both classes measure bytes, not time, so that simulations give the same result in each
run.
"""

import asyncio

from kube.client import ANSWER_BYTES

PAGE_BYTES = 4 << 20  # of one page, which is in memory twice while it is read
AIM_BYTES = 7 << 19  # of the next page, by the average size of objects in the last one; 3.5 MiB
# The API server reads whole objects for a page, also where it answers with their metadata, and
# cannot know that the page will be too large. Metadata of an object takes about a kilobyte.
MAX_OBJECTS, MAX_METADATA = 1_000, 2_500
# Most full objects are copies of 16 KiB. A first page of 1,000 would often be too large.
FIRST_PAGE_FULL = 100
GROWTH, SHRINKING = 16, 4  # of the limit, by page

# JSON that is handled without a pause; decoding, hashing and caching it takes a few milliseconds.
STEP_BYTES = 64 << 10
# What an object counts in addition to its size: it is decoded, indexed and given to handlers.
ITEM_BYTES = 2 << 10


class Pages:
    """Chooses how many objects the next page may have."""

    def __init__(self, *, full_objects: bool) -> None:
        self._most = MAX_OBJECTS if full_objects else MAX_METADATA
        self.limit = FIRST_PAGE_FULL if full_objects else MAX_METADATA

    @property
    def max_bytes(self) -> int:
        """Return how many bytes to read of the next page; a single object may fill an answer."""
        return PAGE_BYTES if self.limit > 1 else ANSWER_BYTES

    def fitted(self, size: int) -> None:
        """Choose the next limit after a page of `size` bytes; it grows at most 16-fold."""
        wanted = self.limit * AIM_BYTES // max(1, size)
        self.limit = max(1, min(self._most, self.limit * GROWTH, wanted))

    def too_large(self) -> bool:
        """Lower the limit after a page that was too large; return whether it can be lowered."""
        if self.limit == 1:
            return False
        self.limit = max(1, self.limit // SHRINKING)
        return True


class Pace:
    """Counts the bytes that were handled since the last pause."""

    def __init__(self) -> None:
        self._bytes = 0

    async def did(self, size: int) -> None:
        """Count one object of `size` bytes, and let other tasks run after `STEP_BYTES`."""
        self._bytes += size + ITEM_BYTES
        if self._bytes >= STEP_BYTES:
            self._bytes = 0
            await asyncio.sleep(0)
