"""Bound the writes in flight: in total, for each tenant, and for large copies.

`applier.py` takes a slot for each write. A tenant is the namespace of a sync; a tenant
whose destinations all hang must leave slots for the others.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from weakref import WeakValueDictionary

# A request holds its body two or three times, in Python and in the TLS buffers, so that many large
# ones would take the memory that the manifest allows.
LARGE_BYTES = 128 * 1024
LARGE_AT_ONCE = 8


class _Slots:
    """Slots for all writes, and how many of them large copies may take."""

    def __init__(self, parallel: int, large: int) -> None:
        self.all = asyncio.Semaphore(parallel)
        self.large = asyncio.Semaphore(large)


class WriteSlots:
    """Hands out slots in the order in which they are asked for.

    Args:
        parallel: the most writes in flight; one tenant has three quarters of them at most,
            but at least one.
    """

    def __init__(self, parallel: int) -> None:
        self._parallel = parallel
        self._total = _Slots(parallel, LARGE_AT_ONCE)
        self._shares: WeakValueDictionary[str, _Slots] = WeakValueDictionary()

    @asynccontextmanager
    async def slot(self, tenant: str, size: int) -> AsyncIterator[None]:
        """Hold a slot for one write; `size` is that of the largest copy of its plan."""
        most = max(self._parallel * 3 // 4, 1)
        share = self._shares.setdefault(tenant, _Slots(most, LARGE_AT_ONCE // 2))
        if size < LARGE_BYTES:
            async with share.all, self._total.all:
                yield
        else:
            async with share.large, share.all, self._total.large, self._total.all:
                yield
