"""Gather the syncs that the graph of the page draws, with sources and destinations.

`handlers.py` calls it. A graph has a bounded number of syncs, and of each sync a few
destinations, the failed ones first; counts stand for the rest. If the source of a sync
is the copy of another one, the other sync is drawn as well.
"""

import asyncio
from collections.abc import Iterable, Mapping
from heapq import nsmallest

from cluster.syncs import SyncRecord
from configmapsync.names import NamespacedName
from reconciler.known.caches import BY_SYNC_UID, Caches
from reconciler.page.pacing import paced
from reconciler.page.queries import Query, select
from reconciler.page.rows import RANK, Destinations, SyncRow
from reconciler.page.snapshot import Snapshot

MOST_MATCHES = 30  # syncs that match the query
MOST_SYNCS = 60  # with the syncs of their chains
MOST_DESTINATIONS = 6  # of one sync


class GraphBuilder:
    """Reads the caches for one snapshot."""

    def __init__(self, caches: Caches, snapshot: Snapshot) -> None:
        self._caches = caches
        self._records = snapshot.records
        self._snapshot = snapshot

    async def build(self, query: Query) -> Mapping[str, object]:
        """Return the graph of the syncs that a query wants, or of one sync and its chain.

        Returns:
            `syncs`: what is drawn; `matches`: number of syncs that match the query, drawn or not;
            `cut`: whether a chain has more syncs than are drawn.
        """
        if (sync := NamespacedName.parse(query.sync)) is not None:
            found = [sync] if sync in self._records else []
        else:
            rows = await select(self._snapshot.syncs, query)
            found = [NamespacedName(row.namespace, row.name) for row in rows]
        matched = found[:MOST_MATCHES]
        drawn, cut = await self._with_chains(matched, downstream=sync is not None)
        nodes = [
            await self._node(*self._records[key], matched=key in matched)
            async for key in paced(drawn)
            if key in self._records
        ]
        return {"syncs": nodes, "matches": len(found), "cut": cut}

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
        if key not in self._records:
            return
        record, _ = self._records[key]
        if (upstream := self._upstream(record)) is not None:
            yield upstream
        if downstream:
            for copy in self._caches.copies.by_index(BY_SYNC_UID, record.metadata.uid):
                for other in self._caches.syncs_of_source(copy.key):
                    yield other.key

    def _upstream(self, record: SyncRecord) -> NamespacedName | None:
        """Return the sync that writes the source of a sync."""
        source = self._caches.copy_at(record.sync.source) if record.sync else None
        if source is None or source.cloned or not self._caches.is_living(source.sync_uid):
            return None
        return source.synced_by

    async def _node(
        self, record: SyncRecord, row: SyncRow, *, matched: bool
    ) -> Mapping[str, object]:
        """Return one sync of the graph.

        Returns:
            `sync`: its row; `sourceExists`; `upstream`: `namespace/name` of the sync that writes
            its source, empty if none does; `matched`: whether it matches the query, else it belongs
            to the chain of one that does; `destinations`: the first ones, failed ones first;
            `total`: number of destinations, shown or not.
        """
        copies = self._caches.copies.by_index(BY_SYNC_UID, record.metadata.uid)
        rows = [each async for each in paced(Destinations(record, row).rows(copies))]
        await asyncio.sleep(0)
        return {
            "sync": row,
            "sourceExists": bool(record.sync and self._caches.version_of(record.sync.source)),
            "upstream": str(self._upstream(record) or ""),
            "matched": matched,
            "destinations": nsmallest(
                MOST_DESTINATIONS, rows, key=lambda each: (RANK[each.state], each.namespace)
            ),
            "total": max(len(rows), row.desired or 0),
        }
