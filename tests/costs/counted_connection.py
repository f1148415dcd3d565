"""Connect a reconciler to a cluster in memory, with fixed delays, and count requests.

`scene.py` creates it. It has the methods of `kube.connection.Connection`. The delays
decide whether the event of a write arrives before the answer to that write or after it.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass

import msgspec

from devcluster.errors import ApiStatus
from kube.client import JSON
from kube.errors import AnswerTooLarge, from_response
from tests.randomized.cluster import InMemoryCluster

VERBS = {"POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}


@dataclass(frozen=True, slots=True)
class Delays:
    """Seconds on the way.

    Attributes:
        request: until the API server carries a request out.
        answer: from then until the answer arrives.
        event: from a change until its watch event arrives.
    """

    request: float = 0.002
    answer: float = 0.002
    event: float = 0.01


EVENTS_AFTER_ANSWERS = Delays()
EVENTS_BEFORE_ANSWERS = Delays(answer=0.03, event=0.001)


class CountedConnection:
    """The connection of one reconciler; `requests` counts by verb and resource."""

    def __init__(self, cluster: InMemoryCluster, delays: Delays) -> None:
        """Open the connection; every request goes to `cluster`."""
        self._cluster = cluster
        self._delays = delays
        self.requests: Counter[str] = Counter()

    async def request(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        body: bytes | None = None,
        content_type: str = JSON,
        accept: str = JSON,
        timeout: float = 30.0,  # noqa: ARG002, ASYNC109 - no answer is late
        max_bytes: int = 20 << 20,
    ) -> bytes:
        """Send one request, as `Connection.request` does."""
        self.requests[_name_of(method, path)] += 1
        await asyncio.sleep(self._delays.request)
        try:
            answer = await self._cluster.call(
                method,
                path,
                params=params,
                body=body or b"",
                content_type=content_type,
                accept=accept,
                agent="reconciler",
            )
        except ApiStatus as status:
            document = msgspec.json.encode(status.as_document())
            raise from_response(status.code, document, {}) from status
        await asyncio.sleep(self._delays.answer)
        if len(answer) > max_bytes:
            raise AnswerTooLarge(f"{method} {path}: the answer has more than {max_bytes} bytes")
        return answer

    @asynccontextmanager
    async def stream(
        self,
        path: str,
        *,
        params: Mapping[str, str],
        accept: str = JSON,
        idle_timeout: float,  # noqa: ARG002 - no story is that long
        total_timeout: float,  # noqa: ARG002
        may_rest: object = None,  # noqa: ARG002 - lines always come at once
    ) -> AsyncIterator[AsyncIterator[bytes]]:
        """Open a watch, as `Connection.stream` does; it stays open until the reader leaves."""
        self.requests[f"watch {path.rpartition('/')[2]}"] += 1
        lines: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue()
        watch = self._cluster.watch(path, params, accept)
        pump = asyncio.create_task(self._pump(watch.chunks(), lines))
        try:
            yield _delayed(lines)
        finally:
            pump.cancel()
            watch.close()

    async def _pump(
        self, chunks: AsyncIterator[bytes], lines: asyncio.Queue[tuple[float, bytes]]
    ) -> None:
        clock = asyncio.get_running_loop().time
        async for chunk in chunks:
            for line in chunk.splitlines(keepends=True):
                lines.put_nowait((clock() + self._delays.event, line))


async def _delayed(lines: asyncio.Queue[tuple[float, bytes]]) -> AsyncIterator[bytes]:
    clock = asyncio.get_running_loop().time
    while True:
        due, line = await lines.get()
        if (wait := due - clock()) > 0:
            await asyncio.sleep(wait)
        yield line


def _name_of(method: str, path: str) -> str:
    """Return verb and resource of a request, as in a rule of RBAC: `patch configmapsyncs/status`.

    In a path of the API, groups and versions come before the resource; a namespaced one follows
    `namespaces/NAME`.
    """
    parts = path.strip("/").split("/")
    parts = parts[2:] if parts[0] == "api" else parts[3:]
    if parts[0] == "namespaces" and len(parts) > 2:
        parts = parts[2:]
    resource, *name = parts
    if len(name) > 1:
        resource = f"{resource}/{name[1]}"
    verb = VERBS.get(method) or ("get" if name else "list")
    return f"{verb} {resource}"
