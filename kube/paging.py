"""Bound the pages of a list by bytes, and yield while many objects are handled.

`reflector.py` and `reconciler/known/sources.py` use both classes. The API server bounds
a page by a count only, and an object may have a hundred bytes or nine mebibytes. Both
classes measure bytes, not time, so that simulations give the same result in each run.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping

from kube.client import ANSWER_BYTES
from kube.errors import AnswerTooLarge
from kube.wire import ObjectList, decode_as

PAGE_BYTES = 4 << 20  # of one page, which is in memory twice while it is read
AIM_BYTES = 7 << 19  # of the next page, by the average size of objects in the last one; 3.5 MiB
# The API server reads whole objects for a page, also where it answers with their metadata, and
# cannot know that the page will be too large. Metadata of an object takes about a kilobyte.
MAX_OBJECTS, MAX_METADATA = 1_000, 2_500
# Most full objects are copies of 16 KiB. A first page of 1,000 would often be too large.
FIRST_PAGE_FULL = 100
GROWTH, SHRINKING = 16, 4  # the most by which the next limit is larger, and smaller

# JSON that is handled without a pause; decoding, hashing and caching it takes a few milliseconds.
STEP_BYTES = 64 << 10
# What an object counts in addition to its size: it is decoded, indexed and given to handlers.
ITEM_BYTES = 2 << 10


class Pages:
    """Reads the pages of one list, and chooses how many objects each may have."""

    def __init__(
        self,
        request: Callable[[Mapping[str, str], int], Awaitable[bytes]],
        what: str,
        *,
        full_objects: bool,
    ) -> None:
        """Begin with a first page.

        Args:
            request: requests a page with these parameters, and stops reading after so many bytes.
            what: names the list in errors.
            full_objects: whether the objects come whole, not as metadata.
        """
        self._request = request
        self._what = what
        self._most = MAX_OBJECTS if full_objects else MAX_METADATA
        self._limit = FIRST_PAGE_FULL if full_objects else MAX_METADATA

    async def read(self, token: str) -> ObjectList:
        """Return the page at a continue token, with fewer objects if they are too large.

        Raises:
            ApiError: it could not be read; `AnswerTooLarge` if a single object is too large.
        """
        while True:
            params = {"limit": str(self._limit)} | ({"continue": token} if token else {})
            try:
                # A single object may fill an answer.
                body = await self._request(params, PAGE_BYTES if self._limit > 1 else ANSWER_BYTES)
            except AnswerTooLarge:
                if self._limit == 1:
                    raise
                self._limit = max(1, self._limit // SHRINKING)
                continue
            wanted = self._limit * AIM_BYTES // max(1, len(body))
            self._limit = max(1, min(self._most, self._limit * GROWTH, wanted))
            return decode_as(body, ObjectList, self._what)


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
