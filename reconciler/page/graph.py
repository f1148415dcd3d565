"""Gather the syncs that the graph of the page draws, with sources and destinations.

`handlers.py` calls it. A graph has a bounded number of syncs, and of each sync a few
destinations, the failed ones first; counts stand for the rest. If the source of a sync
is the copy of another one, the other sync is drawn as well.
"""

import asyncio
from collections.abc import Iterable
from heapq import nsmallest

import msgspec

from cluster.syncs import SyncRecord
from configmapsync.names import NamespacedName
from reconciler.known.caches import BY_SYNC_UID, Caches
from reconciler.page.pacing import paced
from reconciler.page.queries import Query, select_syncs
from reconciler.page.rows import CopyRow, Destinations, SyncRow
from reconciler.page.snapshot import Snapshot
from reconciler.page.states import RANK

MOST_MATCHES = 30  # syncs that match the query
MOST_SYNCS = 60  # with the syncs of their chains
MOST_DESTINATIONS = 6  # of one sync


class GraphSync(msgspec.Struct, frozen=True, rename="camel"):
    """One sync of the graph.

    Attributes:
        sync: its row.
        source_exists: whether its source exists.
        upstream: `namespace/name` of the sync that writes its source; empty if none does.
        matched: whether it matches the query; else it belongs to the chain of one that does.
        destinations: the first ones, failed ones first.
        total: number of destinations, shown or not.
    """

    sync: SyncRow
    source_exists: bool
    upstream: str
    matched: bool
    destinations: list[CopyRow]
    total: int


class Graph(msgspec.Struct, frozen=True, rename="camel"):
    """A graph.

    Attributes:
        syncs: what is drawn.
        matches: number of syncs that match the query, drawn or not.
        cut: whether a chain has more syncs than are drawn.
    """

    syncs: list[GraphSync]
    matches: int
    cut: bool


class GraphBuilder:
    """Reads the caches for one snapshot."""

    def __init__(self, caches: Caches, snapshot: Snapshot) -> None:
        self._caches = caches
        self._snapshot = snapshot

    async def build(self, query: Query) -> Graph:
        """Return the graph of the syncs that a query wants, or of one sync and its chain."""
        if query.sync is not None:
            found = self._snapshot.find(query.sync)
            rows = [found[1]] if found else []
        else:
            rows = await select_syncs(self._snapshot.syncs, query)
        matched = [NamespacedName(row.namespace, row.name) for row in rows[:MOST_MATCHES]]
        drawn, cut = await self._with_chains(matched, downstream=query.sync is not None)
        nodes = [
            await self._node(*found, matched=key in matched)
            async for key in paced(drawn)
            if (found := self._snapshot.find(key)) is not None
        ]
        return Graph(nodes, len(rows), cut)

    async def _with_chains(
        self, matched: Iterable[NamespacedName], *, downstream: bool
    ) -> tuple[list[NamespacedName], bool]:
        """Return the syncs with those before them, and after them if `downstream` is set."""
        drawn = list(matched)
        for key in drawn:  # grows in the loop
            await asyncio.sleep(0)
            for neighbour in self._neighbours(key, downstream=downstream):
                if neighbour in drawn:
                    continue
                if len(drawn) >= MOST_SYNCS:
                    return drawn, True
                drawn.append(neighbour)
        return drawn, False

    def _neighbours(self, key: NamespacedName, *, downstream: bool) -> Iterable[NamespacedName]:
        found = self._snapshot.find(key)
        if found is None:
            return
        if (upstream := self._upstream(found[0])) is not None:
            yield upstream
        if not downstream:
            return
        for copy in self._caches.copies.by_index(BY_SYNC_UID, found[0].metadata.uid):
            for record in self._caches.syncs_of_source(copy.key):
                yield record.key

    def _upstream(self, record: SyncRecord) -> NamespacedName | None:
        """Return the sync that writes the source of a sync."""
        source = self._caches.copy_at(record.sync.source) if record.sync else None
        if source is None or source.cloned or not self._caches.is_living(source.sync_uid):
            return None
        return source.synced_by

    async def _node(self, record: SyncRecord, row: SyncRow, *, matched: bool) -> GraphSync:
        source = record.sync.source if record.sync else None
        exists = source is not None and (
            self._caches.versions.get(*source) is not None
            or self._caches.copy_at(source) is not None
        )
        copies = self._caches.copies.by_index(BY_SYNC_UID, record.metadata.uid)
        rows = [each async for each in paced(Destinations(record, row).rows(copies))]
        await asyncio.sleep(0)
        first = nsmallest(
            MOST_DESTINATIONS, rows, key=lambda each: (RANK[each.state], each.namespace)
        )
        return GraphSync(
            sync=row,
            source_exists=exists,
            upstream=str(self._upstream(record) or ""),
            matched=matched,
            destinations=first,
            total=max(len(rows), row.desired or 0),
        )
