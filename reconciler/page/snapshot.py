"""Take snapshots of the cached syncs and copies, which all readers of the page share.

`handlers.py` asks for one with each request. A snapshot is taken only when a reader
asks and a cache has changed, at most once a second and in small steps; large ones are
taken less often. Rows of unchanged syncs are reused.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

from cluster.syncs import SyncRecord
from configmapsync.names import NamespacedName
from reconciler.known.caches import BY_SYNC_UID, Caches
from reconciler.page.pacing import paced
from reconciler.page.rows import CopyRow, Destinations, State, SyncRow, orphan_row, sync_row

SHORTEST_AGE_SECONDS = 1.0
LONGEST_AGE_SECONDS = 10.0
# A snapshot is kept for this many times as long as its rows took. So readers cost at most a tenth
# of a core, also while everything changes.
AGE_FACTOR = 10


@dataclass(frozen=True, slots=True)
class Snapshot:
    """All syncs at one moment.

    Attributes:
        version: rises with each snapshot.
        records: all syncs and their rows, sorted by namespace and name.
        states: number of syncs by state.
        reasons: number of syncs by reason.
        copies: number of copies in the cluster, orphans included.
    """

    version: int = 0
    records: Mapping[NamespacedName, tuple[SyncRecord, SyncRow]] = field(default_factory=dict)
    states: Counter[State] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)
    copies: int = 0

    @property
    def syncs(self) -> Iterator[SyncRow]:
        """Return the rows of all syncs."""
        return (row for _, row in self.records.values())


class Snapshots:
    """The newest snapshot, and the copies that belong to it."""

    def __init__(self, caches: Caches, now: Callable[[], float]) -> None:
        """Prepare; nothing is read before a reader asks.

        Args:
            caches: of the reconciler.
            now: the event loop's clock, in seconds.
        """
        self._caches = caches
        self._now = now
        self._lock = asyncio.Lock()
        self._snapshot = Snapshot()
        self._revision: tuple[int, ...] = ()
        self._taken = float("-inf")
        self._copies: tuple[int, list[CopyRow]] = (-1, [])
        self._cost = 0.0  # CPU seconds of the snapshot and its copies

    async def current(self) -> Snapshot:
        """Return a snapshot that is at most a second behind the caches, or ten if it is costly."""
        async with self._lock:
            caches = self._caches
            revision = (caches.syncs.revision, caches.copies.revision, caches.namespaces.revision)
            age = max(SHORTEST_AGE_SECONDS, min(AGE_FACTOR * self._cost, LONGEST_AGE_SECONDS))
            if revision != self._revision and self._now() - self._taken >= age:
                self._cost = 0.0
                with self._measured():
                    self._snapshot = await self._take()
                self._revision, self._taken = revision, self._now()
            return self._snapshot

    async def copies(self, snapshot: Snapshot) -> list[CopyRow]:
        """Return the copies of all syncs in the order of the syncs, then the orphans."""
        async with self._lock:
            if self._copies[0] != snapshot.version:
                with self._measured():
                    self._copies = (snapshot.version, await self._copies_of(snapshot))
            return self._copies[1]

    @contextmanager
    def _measured(self) -> Iterator[None]:
        """Add the CPU time of the block, and of other tasks that run in between."""
        began = time.thread_time()
        yield
        self._cost += time.thread_time() - began

    async def _take(self) -> Snapshot:
        """Return a new snapshot; the row of an unchanged sync stays."""
        old, found = self._snapshot, dict[NamespacedName, tuple[SyncRecord, SyncRow]]()
        async for record in paced(tuple(self._caches.syncs.values())):
            known = old.records.get(record.key)
            if known is None or known[0] is not record:
                known = (record, sync_row(record))
            found[record.key] = known
        records = dict(sorted(found.items()))
        await asyncio.sleep(0)
        return Snapshot(
            version=old.version + 1,
            records=records,
            states=Counter(row.state for _, row in records.values()),
            reasons=Counter(row.reason for _, row in records.values() if row.reason),
            copies=len(self._caches.copies),
        )

    async def _copies_of(self, snapshot: Snapshot) -> list[CopyRow]:
        caches, rows = self._caches, list[CopyRow]()
        async for record, row in paced(snapshot.records.values()):
            copies = caches.copies.by_index(BY_SYNC_UID, record.metadata.uid)
            own = [copy async for copy in paced(Destinations(record, row).rows(copies))]
            rows += sorted(own)
        async for copy in paced(tuple(caches.copies.values())):
            if caches.is_orphan(copy):
                rows.append(orphan_row(copy))
        return rows
