"""Answer the JSON requests of the page.

`server.py` routes requests to it. Each answer is bounded by the page size. All but
`/api/state` carry an ETag of their snapshot and the events, so an unchanged cluster
costs a 304.
"""

import asyncio
import secrets
from collections.abc import Awaitable, Callable, Iterable, Mapping
from functools import wraps

import msgspec
from aiohttp import hdrs, web

from cluster.syncs import SyncRecord
from configmapsync.names import NamespacedName
from kube.leader_election import Elector
from reconciler.known.caches import Caches
from reconciler.page.details import destinations, details
from reconciler.page.graph import GraphBuilder
from reconciler.page.queries import Query, page_of, select
from reconciler.page.recent_events import RecentEvents
from reconciler.page.rows import State, SyncRow
from reconciler.page.snapshot import Snapshot, Snapshots

Answer = Callable[[web.Request, Query, Snapshot], Awaitable[object]]
MOST_REASONS = 100  # a status can hold any word


class Handlers:
    """The answers of one reconciler."""

    def __init__(self, caches: Caches, elector: Elector | None, events: RecentEvents) -> None:
        """Create the handlers.

        Args:
            caches: of the reconciler.
            elector: None if this is the only replica.
            events: the last ones of this process.
        """
        self._now = asyncio.get_running_loop().time
        self._caches = caches
        self._snapshots = Snapshots(caches, self._now)
        self._elector = elector
        self._events = events
        # A restarted reconciler counts snapshots from 1 again, and must not match older tags.
        self._process = secrets.token_hex(8)

    def routes(self) -> list[web.RouteDef]:
        """Return the routes. HEAD is not answered: no part of the page needs it."""
        answers: dict[str, Answer] = {
            "/api/syncs": self._syncs,
            "/api/copies": self._copies,
            "/api/graph": self._graph,
            "/api/events": self._list_events,
            "/api/syncs/{namespace}/{name}": self._details,
            "/api/syncs/{namespace}/{name}/destinations": self._destinations,
        }
        return [
            web.get("/api/state", self._state, allow_head=False),
            *(
                web.get(path, self._from_snapshot(answer), allow_head=False)
                for path, answer in answers.items()
            ),
        ]

    async def _state(self, _request: web.Request) -> web.Response:
        """Answer with the replica, the counts, and the tag that changes with every other answer."""
        snapshot = await self._snapshots.current() if self._caches.complete else Snapshot()
        return _json(
            {
                "replica": _replica_state(self._caches, self._elector, self._now()),
                "revision": self._tag(snapshot),
                "syncs": len(snapshot.records),
                "copies": snapshot.copies,
                "states": {state: snapshot.states[state] for state in State},
                "reasons": dict(sorted(snapshot.reasons.items())[:MOST_REASONS]),
            }
        )

    def _from_snapshot(self, answer: Answer) -> Callable[[web.Request], Awaitable[web.Response]]:
        """Return a handler that parses the query and compares the tag before it calls `answer`."""

        @wraps(answer)
        async def handle(request: web.Request) -> web.Response:
            query = Query.parse(request.query.items())
            if not self._caches.complete:
                raise web.HTTPServiceUnavailable(reason="the caches are not complete yet")
            snapshot = await self._snapshots.current()
            headers: dict[str, str] = {hdrs.ETAG: f'"{self._tag(snapshot)}"'}
            if request.headers.get(hdrs.IF_NONE_MATCH) == headers[hdrs.ETAG]:
                return web.Response(status=304, headers=headers)
            return _json(await answer(request, query, snapshot), headers)

        return handle

    def _tag(self, snapshot: Snapshot) -> str:
        return f"{self._process}-{snapshot.version}-{self._events.revision}"

    async def _syncs(self, _request: web.Request, query: Query, snapshot: Snapshot) -> object:
        return page_of(await select(snapshot.syncs, query), query)

    async def _copies(self, _request: web.Request, query: Query, snapshot: Snapshot) -> object:
        return page_of(await select(await self._snapshots.copies(snapshot), query), query)

    async def _graph(self, _request: web.Request, query: Query, snapshot: Snapshot) -> object:
        return await GraphBuilder(self._caches, snapshot).build(query)

    async def _list_events(self, _request: web.Request, query: Query, _: Snapshot) -> object:
        return page_of([row for row in self._events.rows() if query.matches_event(row)], query)

    async def _details(self, request: web.Request, _: Query, snapshot: Snapshot) -> object:
        return details(*_named(request, snapshot))

    async def _destinations(self, request: web.Request, query: Query, snapshot: Snapshot) -> object:
        found = await destinations(self._caches, *_named(request, snapshot))
        return page_of(await select(found, query), query)


def _named(request: web.Request, snapshot: Snapshot) -> tuple[SyncRecord, SyncRow]:
    """Return the sync that the path of a request names, and its row."""
    found = snapshot.records.get(NamespacedName(**request.match_info))
    if found is None:
        raise web.HTTPNotFound(reason="there is no such sync")
    return found


def _json(value: object, headers: Mapping[str, str] | None = None) -> web.Response:
    return web.Response(
        body=msgspec.json.encode(value),
        content_type="application/json",
        headers={"Cache-Control": "no-cache", **(headers or {})},
    )


def _replica_state(caches: Caches, elector: Elector | None, now: float) -> Mapping[str, object]:
    """Return the state of this replica for JSON.

    Args:
        caches: of the reconciler.
        elector: None if this is the only replica.
        now: on the event loop's clock, in seconds.

    Returns:
        `role`: `starting` until every cache has synced, then `leading` or `standby`; `leader`: the
        pod or host that holds the Lease, empty if it is not known; `leaseProblem`: why the Lease
        cannot be read or written, else null; `watches`: one object for each watch.
    """
    leads = elector is None or elector.leading
    return {
        "role": ("leading" if leads else "standby") if caches.complete else "starting",
        "leader": elector.holder.rpartition("_")[0] if elector else "",
        "leaseProblem": _text(elector.problem) if elector else None,
        "watches": list(_watches(caches, now)),
    }


def _watches(caches: Caches, now: float) -> Iterable[Mapping[str, object]]:
    """Yield the name and the number of objects of each watch, and how it is.

    `silentSeconds` is the time since the API server was last heard, null before the first list;
    `problem` says why the watch fails now, else null.
    """
    for name, informer in caches.all.items():
        state = informer.state
        yield {
            "name": name,
            "objects": len(informer),
            "synced": informer.synced.is_set(),
            "silentSeconds": int(now - state.last_heard) if state.lists else None,
            "problem": _text(state.problem),
        }


def _text(problem: Exception | None) -> str | None:
    return str(problem) if problem else None
