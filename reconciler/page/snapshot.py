"""Take snapshots of the cached syncs and copies, which all readers of the page share.

`handlers.py` asks for one with each request. A snapshot is taken only when a reader
asks and a cache has changed, at most once a second, and in small steps. Rows of
unchanged syncs are reused.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from cluster.syncs import SyncRecord
from configmapsync.names import NamespacedName
from reconciler.known.caches import BY_SYNC_UID, Caches
from reconciler.page.pacing import paced
from reconciler.page.rows import CopyRow, Destinations, SyncRow, orphan_row, sync_row
from reconciler.page.states import State

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
        syncs: the rows, sorted by namespace and name.
        by_key: the position of each row.
        records: of the rows, in the same order.
        states: number of syncs by state.
        reasons: number of syncs by reason.
        copies: number of copies in the cluster, orphans included.
    """

    version: int = 0
    syncs: tuple[SyncRow, ...] = ()
    by_key: dict[NamespacedName, int] = field(default_factory=dict)
    records: tuple[SyncRecord, ...] = ()
    states: Counter[State] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)
    copies: int = 0

    def find(self, key: NamespacedName) -> tuple[SyncRecord, SyncRow] | None:
        """Return a sync and its row; None if there is no such sync."""
        position = self.by_key.get(key)
        return None if position is None else (self.records[position], self.syncs[position])


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
        self._copies: tuple[int, tuple[CopyRow, ...]] = (-1, ())
        self._cost = 0.0  # CPU seconds of the snapshot and its copies
        self.taken = 0  # how many snapshots were taken

    async def current(self) -> Snapshot:
        """Return a snapshot that is a second older than the caches, or a little more for many."""
        async with self._lock:
            revision = self._caches_revision()
            age = max(SHORTEST_AGE_SECONDS, min(AGE_FACTOR * self._cost, LONGEST_AGE_SECONDS))
            if revision != self._revision and self._now() - self._taken >= age:
                self._cost = 0.0
                with self._measured():
                    self._snapshot = await self._take()
                self._revision, self._taken = revision, self._now()
            return self._snapshot

    async def copies(self, snapshot: Snapshot) -> tuple[CopyRow, ...]:
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

    def _caches_revision(self) -> tuple[int, ...]:
        caches = self._caches
        return (caches.syncs.revision, caches.copies.revision, caches.namespaces.revision)

    async def _take(self) -> Snapshot:
        old = self._snapshot
        rows = [
            (record, self._row(record, old))
            async for record in paced(tuple(self._caches.syncs.values()))
        ]
        rows.sort(key=lambda pair: (pair[1].namespace, pair[1].name))
        await asyncio.sleep(0)
        self.taken += 1
        syncs = tuple(row for _, row in rows)
        return Snapshot(
            version=old.version + 1,
            syncs=syncs,
            by_key={
                NamespacedName(row.namespace, row.name): index for index, row in enumerate(syncs)
            },
            records=tuple(record for record, _ in rows),
            states=Counter(row.state for row in syncs),
            reasons=Counter(row.reason for row in syncs if row.reason),
            copies=len(self._caches.copies),
        )

    @staticmethod
    def _row(record: SyncRecord, old: Snapshot) -> SyncRow:
        known = old.find(record.key)
        return known[1] if known and known[0] is record else sync_row(record)

    async def _copies_of(self, snapshot: Snapshot) -> tuple[CopyRow, ...]:
        caches, rows = self._caches, list[CopyRow]()
        pairs = zip(snapshot.records, snapshot.syncs, strict=True)
        async for record, row in paced(pairs):
            copies = caches.copies.by_index(BY_SYNC_UID, record.metadata.uid)
            own = [copy async for copy in paced(Destinations(record, row).rows(copies))]
            rows += sorted(own, key=lambda copy: (copy.namespace, copy.name))
        async for copy in paced(tuple(caches.copies.values())):
            if copy.managed and not copy.cloned and not caches.is_living(copy.sync_uid):
                rows.append(orphan_row(copy))
        return tuple(rows)
