"""A watch that rests between readings brings every line, on both event loops."""

import asyncio
import datetime as dt
import random
import ssl
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, cast

import pytest
import uvloop
from aiohttp import ClientResponse, web

from kube import watch_lines
from tests.kube.scripted import ApiServer, api_server
from tests.support.pki import Authority

NOW = dt.datetime.now(dt.UTC)  # noqa: TID251 - certificates are judged by the machine's clock
LIMITS = {"idle_timeout": 20.0, "total_timeout": 60.0}
SIZES = (1, 300, 20_000, 5, 70_000, 400_000, 2, 1_500_000, 9)

LoopFactory = Callable[[], asyncio.AbstractEventLoop]
both_loops = pytest.mark.parametrize(
    "new_loop", [asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"]
)


def _run(new_loop: LoopFactory, story: Coroutine[Any, Any, None]) -> None:
    with asyncio.Runner(loop_factory=new_loop) as runner:
        runner.run(story)


def _tls(folder: Path) -> tuple[ssl.SSLContext, Path]:
    authority = Authority(folder, NOW)
    pair = authority.server("server", ["localhost"], ["127.0.0.1"])
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(pair.certificate, pair.key)
    return context, authority.pair.certificate


def _in_pieces(sent: bytes, server: ApiServer) -> None:
    rng = random.Random(1)  # noqa: S311 - the same pieces in every run

    async def watch(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        begin = 0
        while begin < len(sent):
            end = begin + rng.choice((1, 400, 16_000, 300_000))
            await response.write(sent[begin:end])
            begin = end
            if rng.random() < 0.3:
                await asyncio.sleep(0.002)
        return response

    server.answer = watch


@both_loops
@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
def test_every_line_arrives_in_order(tmp_path: Path, new_loop: LoopFactory, tls: bool) -> None:
    lines = [bytes([65 + place]) * size + b"\n" for place, size in enumerate(SIZES * 2)]
    asked: list[bool] = []

    async def story() -> None:
        context, authority = _tls(tmp_path) if tls else (None, None)
        async with api_server(tmp_path, context) as server:
            server.authority = authority
            _in_pieces(b"".join(lines), server)
            async with (
                server.connection() as connection,
                connection.stream(
                    "/things", params={}, may_rest=lambda: asked.append(True) or True, **LIMITS
                ) as arriving,
            ):
                assert [line async for line in arriving] == lines

    _run(new_loop, story())
    assert asked


@both_loops
def test_a_watch_that_ends_while_reading_rests_ends(
    tmp_path: Path, new_loop: LoopFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch_lines, "FIRST_REST_SECONDS", 0.2)

    async def watch(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(b"first\n")
        await asyncio.sleep(0.05)
        assert request.transport is not None
        await response.write(b"last\n")
        await response.write_eof()
        request.transport.close()
        return response

    async def story() -> None:
        context, authority = _tls(tmp_path)
        async with api_server(tmp_path, context) as server:
            server.authority = authority
            server.answer = watch
            async with (
                server.connection() as connection,
                connection.stream("/things", params={}, may_rest=lambda: True, **LIMITS) as lines,
            ):
                assert [line async for line in lines] == [b"first\n", b"last\n"]

    _run(new_loop, story())


async def test_lines_that_changed_something_are_never_followed_by_a_rest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refuse(*_: object) -> None:
        raise AssertionError("reading rests")

    monkeypatch.setattr(watch_lines, "_pause", refuse)
    async with api_server(tmp_path) as server:
        _in_pieces(b"a\nb\nc\n", server)
        async with (
            server.connection() as connection,
            connection.stream("/things", params={}, may_rest=lambda: False, **LIMITS) as lines,
        ):
            assert [line async for line in lines] == [b"a\n", b"b\n", b"c\n"]


@pytest.mark.parametrize(("lines_in_a_chunk", "rests"), [(1, 6), (8, 0)])
async def test_a_backlog_is_read_without_rests(
    monkeypatch: pytest.MonkeyPatch, lines_in_a_chunk: int, rests: int
) -> None:
    """Rests would limit how fast a watch can follow."""
    line = b"x" * (16 << 10) + b"\n"
    chunks = [line * lines_in_a_chunk] * 6 + [b""]
    waited: list[float] = []

    async def pause(_response: object, seconds: float) -> None:
        waited.append(seconds)

    class Response:
        class content:  # noqa: N801 - as aiohttp names it
            @staticmethod
            async def readany() -> bytes:
                return chunks.pop(0)

    monkeypatch.setattr(watch_lines, "_pause", pause)
    arriving = watch_lines.read_lines(cast("ClientResponse", Response()), "GET /", lambda: True)
    assert [each async for each in arriving] == [line] * (6 * lines_in_a_chunk)
    assert len(waited) == rests
