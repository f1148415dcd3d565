"""Scripted API servers: one over HTTP, and one without sockets for virtual time."""

import asyncio
import json
import random
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aiohttp import web
from aiohttp.test_utils import TestServer

from kube.connection import Connection, ConnectionSettings
from kube.errors import ApiError
from kube.http_sessions import Fence
from tests.support.transports import transports_closed
from tests.support.users import write_kubeconfig

Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


def rng() -> random.Random:
    return random.Random(1)  # noqa: S311 - jitter, not secrets


def status(code: int, reason: str, message: str = "as scripted", **details: Any) -> dict[str, Any]:
    """A `Status` as the API server sends it."""
    return {
        "kind": "Status",
        "apiVersion": "v1",
        "status": "Failure",
        "code": code,
        "reason": reason,
        "message": message,
        "details": details,
    }


def configmap(name: str, version: int, namespace: str = "team", **data: str) -> dict[str, Any]:
    return {
        "metadata": {"namespace": namespace, "name": name, "resourceVersion": str(version)},
        "data": data,
    }


def a_list(version: int, *items: dict[str, Any], token: str = "") -> dict[str, Any]:
    return {"metadata": {"resourceVersion": str(version), "continue": token}, "items": list(items)}


def event(kind: str, item: dict[str, Any]) -> dict[str, Any]:
    return {"type": kind, "object": item}


def bookmark(version: int) -> dict[str, Any]:
    return event("BOOKMARK", {"metadata": {"resourceVersion": str(version)}})


def line(document: dict[str, Any]) -> bytes:
    return json.dumps(document).encode() + b"\n"


@dataclass
class Seen:
    """A request as it arrived."""

    method: str
    path: str
    query: dict[str, str]
    headers: Mapping[str, str]
    body: bytes


@dataclass
class ApiServer:
    """Answers with `answer`, and remembers what it was asked."""

    server: TestServer
    folder: Path
    authority: Path | None = None
    answer: Answer | None = None
    requests: list[Seen] = field(default_factory=list)

    @property
    def url(self) -> str:
        return str(self.server.make_url("")).rstrip("/")

    def kubeconfig(self, **credentials: str) -> Path:
        return write_kubeconfig(
            self.folder / "kubeconfig", self.url, self.authority, credentials or {"token": "secret"}
        )

    @asynccontextmanager
    async def connection(
        self, fence: Fence | None = None, **settings: Any
    ) -> AsyncIterator[Connection]:
        if "kubeconfig" not in settings:
            settings["kubeconfig"] = self.kubeconfig()
        async with Connection.open(ConnectionSettings(**settings), fence=fence) as connection:
            yield connection

    async def handle(self, request: web.Request) -> web.StreamResponse:
        seen = Seen(
            request.method, request.path, dict(request.query), request.headers, await request.read()
        )
        self.requests.append(seen)
        assert self.answer is not None
        return await self.answer(request)


@asynccontextmanager
async def api_server(folder: Path, tls: ssl.SSLContext | None = None) -> AsyncIterator[ApiServer]:
    application = web.Application(client_max_size=1 << 30)
    server = TestServer(application, scheme="https" if tls else "http")
    scripted = ApiServer(server, folder)
    application.router.add_route("*", "/{path:.*}", scripted.handle)
    await server.start_server(ssl=tls, shutdown_timeout=0)
    try:
        yield scripted
    finally:
        await server.close()
        await transports_closed()


def answering(
    body: object = None, code: int = 200, headers: dict[str, str] | None = None
) -> Answer:
    """The same answer to everything."""

    async def answer(_: web.Request) -> web.Response:
        content = (
            body
            if isinstance(body, bytes)
            else json.dumps(body if body is not None else {}).encode()
        )
        return web.Response(status=code, body=content, headers=headers)

    return answer


async def stream_to(
    request: web.Request, *lines: bytes, then_stay: bool = False
) -> web.StreamResponse:
    """Answer a watch with these lines, and end it, or keep it open and silent."""
    response = web.StreamResponse()
    await response.prepare(request)
    for each in lines:
        await response.write(each)
    if then_stay:
        await asyncio.Event().wait()
    return response


@asynccontextmanager
async def running(coroutine: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    """Run something that never ends, to the end of the block."""
    task = asyncio.create_task(coroutine)
    try:
        yield
        assert not task.done()
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


Step = ApiError | dict[str, Any] | list[Any]


class ScriptedConnection:
    """A `Connection` that follows a script; the last step is repeated.

    A list is a document or an error. A watch is a list of events, errors and numbers (seconds of
    silence). The server closes it at its end.
    """

    def __init__(self, lists: list[Step], watches: list[Step]) -> None:
        self.lists = lists
        self.watches = watches
        self.asked: list[
            tuple[float, str, dict[str, str], str]
        ] = []  # when, list or watch, parameters, form
        self.versions: dict[
            str, int
        ] = {}  # of single objects, when they are asked for; 0 where there is none
        self.now_at = (
            1 << 60
        )  # the version that a list of one object shows, with which a reflector checks the history

    async def request(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str],
        accept: str,
        timeout: float,  # noqa: ASYNC109 - as in Connection
        max_bytes: int = 20 << 20,
    ) -> bytes:
        assert timeout <= 90
        if "fieldSelector" in params:
            assert (method, path) == ("GET", "/namespaces/team/things")
            version = self.versions.get(
                params["fieldSelector"].removeprefix("metadata.name="), 1 << 60
            )
            return json.dumps(
                a_list(self.now_at, *([configmap("a", version)] if version else []))
            ).encode()
        assert (method, path) == ("GET", "/things")
        assert max_bytes <= 20 << 20
        if params == {"limit": "1"}:
            return json.dumps(a_list(self.now_at)).encode()
        step = self._next("list", self.lists, params, accept)
        await asyncio.sleep(0)  # as every answer from a network makes us wait
        return json.dumps(step).encode()

    @asynccontextmanager
    async def stream(
        self,
        path: str,
        *,
        params: Mapping[str, str],
        accept: str,
        idle_timeout: float,
        total_timeout: float,
        may_rest: object = None,  # noqa: ARG002 - lines always come at once
    ) -> AsyncIterator[AsyncIterator[bytes]]:
        assert path == "/things"
        assert idle_timeout <= 90
        assert total_timeout > float(params["timeoutSeconds"])
        step = self._next("watch", self.watches, params, accept)
        assert isinstance(step, list)
        yield self._lines(step)

    async def _lines(self, steps: list[Any]) -> AsyncIterator[bytes]:
        for step in steps:
            if isinstance(step, ApiError):
                raise step
            if isinstance(step, int | float):
                await asyncio.sleep(step)
            else:
                yield line(step)

    def _next(self, kind: str, script: list[Step], params: Mapping[str, str], accept: str) -> Step:
        self.asked.append((asyncio.get_running_loop().time(), kind, dict(params), accept))
        step = script.pop(0) if len(script) > 1 else script[0]
        if isinstance(step, ApiError):
            raise step
        return step

    def count(self, kind: str) -> int:
        return sum(each[1] == kind for each in self.asked)
