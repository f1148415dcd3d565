"""Chooses how many objects a page of a list may have, so that a page stays within a number of bytes.

The API server bounds a page by a count only, and an object may have a hundred bytes or nine mebibytes. `reflector.py` asks here for the
next limit and reports how the last page went. Values in, values out.
"""

from kube.client import ANSWER_BYTES

PAGE_BYTES = 4 << 20  # of one page; it is in memory twice while it is read
AIM_BYTES = 2 << 20  # of the next page, by the size of the objects in the last one
MOST_OBJECTS = 500
FIRST_WHOLE = 100  # whole objects are copies of 16 KiB rather than of 1 KiB; a first page of 500 would often be given up
GROWTH = 4


class Pages:
    """The limit of the next page."""

    def __init__(self, *, whole_objects: bool) -> None:
        self.limit = FIRST_WHOLE if whole_objects else MOST_OBJECTS

    @property
    def max_bytes(self) -> int:
        """Bytes that are read of the next page: a single object may have as many as any answer."""
        return PAGE_BYTES if self.limit > 1 else ANSWER_BYTES

    def fitted(self, size: int) -> None:
        """A page of `size` bytes came: choose the next limit by the size of its objects, and grow slowly."""
        wanted = self.limit * AIM_BYTES // max(1, size)
        self.limit = max(1, min(MOST_OBJECTS, self.limit * GROWTH, wanted))

    def too_large(self) -> bool:
        """A page was given up: lower the limit; returns whether a smaller page is possible."""
        if self.limit == 1:
            return False
        self.limit = max(1, self.limit // GROWTH)
        return True
