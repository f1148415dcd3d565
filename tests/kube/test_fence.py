"""No write is sent while the fence is closed."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import web

from kube.connection import Connection
from kube.errors import Fenced, NotFound
from tests.kube.scripted import ApiServer, answering, api_server, status
from tests.support.eventually import eventually

WRITING = ("POST", "PUT", "PATCH", "DELETE")


class Fence:
    """Open or closed."""

    def __init__(self) -> None:
        self.closed = False

    def __call__(self) -> None:
        if self.closed:
            raise Fenced("not now")


@pytest.fixture
def fence() -> Fence:
    return Fence()


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[ApiServer]:
    async with api_server(tmp_path) as running:
        running.answer = answering()
        yield running


@pytest.fixture
async def connection(server: ApiServer, fence: Fence) -> AsyncIterator[Connection]:
    async with server.connection(fence=fence, write_limit=1) as opened:
        yield opened


async def test_a_closed_fence_stops_what_writes_and_nothing_else(
    server: ApiServer, connection: Connection, fence: Fence
) -> None:
    for method in WRITING:
        await connection.request(method, "/things/a", body=b"{}")
    assert [seen.method for seen in server.requests] == list(WRITING)
    server.requests.clear()
    fence.closed = True

    for method in WRITING:
        with pytest.raises(Fenced):
            await connection.request(method, "/things/a", body=b"{}")
    await connection.request("GET", "/things/a")
    async with connection.stream("/things", params={}, idle_timeout=5, total_timeout=5):
        pass

    assert [seen.method for seen in server.requests] == ["GET", "GET"]


async def test_the_fence_is_asked_when_the_turn_to_be_sent_has_come(
    server: ApiServer, connection: Connection, fence: Fence
) -> None:
    go_on = asyncio.Event()

    async def slow(_: web.Request) -> web.Response:
        await go_on.wait()
        return web.Response()

    server.answer = slow
    first = asyncio.create_task(connection.request("PUT", "/things/a", body=b"{}"))
    await eventually(lambda: len(server.requests) == 1)
    second = asyncio.create_task(connection.request("PUT", "/things/b", body=b"{}"))
    third = asyncio.create_task(connection.request("GET", "/things/c"))
    await asyncio.sleep(0)
    fence.closed = True
    go_on.set()

    await first
    with pytest.raises(Fenced):
        await second
    await third
    assert [seen.path for seen in server.requests] == ["/things/a", "/things/c"]


async def test_the_fence_is_asked_again_when_a_request_is_sent_again(
    server: ApiServer, fence: Fence, tmp_path: Path
) -> None:
    token = tmp_path / "token"
    token.write_text("old")

    async def refuse(_: web.Request) -> web.Response:
        token.write_text("new")
        fence.closed = True
        return web.json_response(status(401, "Unauthorized"), status=401)

    server.answer = refuse
    async with server.connection(
        kubeconfig=server.kubeconfig(tokenFile=str(token)), fence=fence
    ) as connection:
        with pytest.raises(Fenced):
            await connection.request("PUT", "/things/a", body=b"{}")
    assert len(server.requests) == 1


async def test_a_refusal_costs_no_connection(
    server: ApiServer, connection: Connection, fence: Fence
) -> None:
    """Were one lost with each, the only one there may be would be gone."""
    fence.closed = True
    for _ in range(3):
        with pytest.raises(Fenced):
            await connection.request("DELETE", "/things/a")
    fence.closed = False
    server.answer = answering(status(404, "NotFound"), code=404)

    with pytest.raises(NotFound):
        await connection.request("DELETE", "/things/a")
