"""Stand in for the API server of a large cluster, in another process or in this one.

    python -m benchmarks.admission_api PORT SYNCS NAMESPACES

`admission.py` starts it, so that the load on the webhook does not depend on the speed
of an API server.
"""

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import uvloop
from aiohttp import web

from benchmarks.admission_load import a_namespace, a_sync, seeded
from cluster.namespaces import NAMESPACES_PATH
from cluster.syncs import SYNCS_PATH
from kube.errors import NotFound
from tests.support.processes import LOCAL_ADDRESS

PAGE_VERSION = "1000000"
YES = b'{"status": {"allowed": true}}'
NOT_FOUND = b'{"kind": "Status", "code": 404, "reason": "NotFound", "message": "not found"}'


def serve_api(port: int, syncs: int, namespaces: int) -> None:
    """Serve two collections, watches without events, and a yes to every access review."""
    rng = seeded()
    lists = {
        NAMESPACES_PATH: [a_namespace(number) for number in range(namespaces)],
        SYNCS_PATH: [a_sync(rng, number, namespaces) for number in range(syncs)],
    }

    async def collection(request: web.BaseRequest) -> web.StreamResponse:
        if "watch" in request.query:
            response = web.StreamResponse(headers={"Content-Type": "application/json"})
            await response.prepare(request)
            await asyncio.sleep(float(request.query["timeoutSeconds"]))
            return response
        items, start = lists[request.path], int(request.query.get("continue", "0"))
        end = start + int(request.query["limit"])
        metadata = {"resourceVersion": PAGE_VERSION} | (
            {"continue": str(end)} if end < len(items) else {}
        )
        return web.json_response({"metadata": metadata, "items": items[start:end]})

    async def answer(request: web.BaseRequest) -> web.StreamResponse:
        if request.method == "POST":
            await request.read()
            return web.Response(body=YES, status=201, content_type="application/json")
        if request.path in lists:
            return await collection(request)
        return web.Response(body=NOT_FOUND, status=404, content_type="application/json")

    async def serve() -> None:
        runner = web.ServerRunner(web.Server(answer, access_log=None))
        await runner.setup()
        await web.TCPSite(runner, LOCAL_ADDRESS, port).start()
        await asyncio.Event().wait()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as loop:
        loop.run(serve())


class Instant:
    """A connection to an API server that answers at once."""

    def __init__(self, syncs: int, namespaces: int) -> None:
        rng = seeded()
        self._lists = {
            NAMESPACES_PATH: [a_namespace(number) for number in range(namespaces)],
            SYNCS_PATH: [a_sync(rng, number, namespaces) for number in range(syncs)],
        }

    async def request(self, method: str, path: str, **_how: object) -> bytes:
        """Return the whole list, a yes to an access review, or raise NotFound."""
        if path in self._lists:
            items = self._lists.pop(path)
            return json.dumps(
                {"metadata": {"resourceVersion": PAGE_VERSION}, "items": items}
            ).encode()
        if method == "POST":
            return YES
        raise NotFound("not found", status=404)

    @asynccontextmanager
    async def stream(self, _path: str, **_how: object) -> AsyncIterator[AsyncIterator[bytes]]:
        """Open a watch without events."""

        async def silence() -> AsyncIterator[bytes]:
            await asyncio.Event().wait()
            yield b""

        yield silence()


if __name__ == "__main__":
    serve_api(*map(int, sys.argv[1:]))
