"""Every request ends in time, with an answer or with an error of one class."""

import asyncio
import json
import logging
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import web

from kube.client import ANSWER_BYTES, MERGE_PATCH
from kube.connection import Connection, ConnectionSettings
from kube.errors import (
    ERROR_BODY_BYTES,
    AnswerTooLarge,
    ApiError,
    Forbidden,
    Malformed,
    NotFound,
    ServerError,
    Silent,
    TooManyRequests,
    Unauthorized,
    Unreachable,
)
from tests.kube.scripted import ApiServer, answering, api_server, status, stream_to
from tests.support.eventually import eventually
from tests.support.users import write_kubeconfig

LIMITS = {"idle_timeout": 10.0, "total_timeout": 20.0}
IDLE_SECONDS = 1.0  # the first answer must arrive within it, also on a busy machine


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[ApiServer]:
    async with api_server(tmp_path) as running:
        yield running


@pytest.fixture
async def connection(server: ApiServer) -> AsyncIterator[Connection]:
    async with server.connection(user_agent="tester") as opened:
        yield opened


async def test_a_request_carries_what_it_was_given(
    server: ApiServer, connection: Connection
) -> None:
    server.answer = answering({"done": True})
    body = await connection.request(
        "PATCH",
        "/api/v1/things/a",
        params={"fieldManager": "me"},
        body=b'{"a":1}',
        content_type=MERGE_PATCH,
    )
    assert json.loads(body) == {"done": True}
    (seen,) = server.requests
    assert (seen.method, seen.path, seen.query, seen.body) == (
        "PATCH",
        "/api/v1/things/a",
        {"fieldManager": "me"},
        b'{"a":1}',
    )
    assert seen.headers["Authorization"] == "Bearer secret"
    assert seen.headers["Content-Type"] == MERGE_PATCH
    assert seen.headers["Accept"] == "application/json"
    assert seen.headers["User-Agent"] == "tester"
    assert seen.headers["Accept-Encoding"] == "identity"


@pytest.mark.parametrize("mebibytes", [1, 4])
async def test_a_large_body_arrives_whole(
    server: ApiServer, mebibytes: int, tmp_path: Path
) -> None:
    """Also when it has to be sent twice."""
    file = tmp_path / "token"
    file.write_text("first")

    async def answer(request: web.Request) -> web.StreamResponse:
        fresh = request.headers["Authorization"] == "Bearer second"
        return web.json_response({}, status=200 if fresh else 401)

    server.answer = answer
    body = b"x" * (mebibytes << 20)
    async with server.connection(kubeconfig=server.kubeconfig(tokenFile=str(file))) as connection:
        file.write_text("second")
        await connection.request("PUT", "/things/a", body=body)
    assert [seen.body == body for seen in server.requests] == [True, True]
    assert [seen.headers["Content-Length"] for seen in server.requests] == [str(len(body))] * 2


async def test_parameters_arrive_as_they_are_meant(
    server: ApiServer, connection: Connection
) -> None:
    server.answer = answering()
    params = {"continue": "eyJ2Ijoi+/==", "labelSelector": "a=b,c in (d,e)", "empty": ""}
    await connection.request("GET", "/things", params=params)
    assert server.requests[0].query == params
    assert "Content-Type" not in server.requests[0].headers


@pytest.mark.parametrize(
    "code", [300, 301, 307, 400, 401, 403, 404, 409, 410, 418, 429, 500, 502, 503, 504]
)
@pytest.mark.parametrize("body", [b"", b"<html>no Status</html>"])
async def test_whatever_is_not_good_raises(
    server: ApiServer, connection: Connection, code: int, body: bytes
) -> None:
    server.answer = answering(body, code, {"Location": "/elsewhere"})
    with pytest.raises(ApiError) as caught:
        await connection.request("GET", "/things")
    assert caught.value.status == code
    with pytest.raises(ApiError) as caught:
        async with connection.stream("/things", params={}, **LIMITS):
            pytest.fail("a stream was opened")
    assert caught.value.status == code


async def test_a_refusal_keeps_the_servers_words_and_its_patience(
    server: ApiServer, connection: Connection
) -> None:
    server.answer = answering(status(404, "NotFound", 'configmaps "a" not found'), 404)
    with pytest.raises(NotFound, match='configmaps "a" not found'):
        await connection.request("GET", "/things/a")
    server.answer = answering(
        b"Too many requests, please try again later.", 429, {"Retry-After": "3"}
    )
    with pytest.raises(TooManyRequests) as caught:
        await connection.request("GET", "/things")
    assert caught.value.retry_after == 3.0


async def test_nobody_listening_is_unreachable(tmp_path: Path) -> None:
    async with api_server(tmp_path) as server:
        kubeconfig = server.kubeconfig()
    async with Connection.open(ConnectionSettings(kubeconfig=kubeconfig)) as connection:
        with pytest.raises(Unreachable, match="GET /things: ") as caught:
            await connection.request("GET", "/things")
        assert isinstance(caught.value.__cause__, OSError)
        with pytest.raises(Unreachable):
            async with connection.stream("/things", params={}, **LIMITS):
                pytest.fail("a stream was opened")


async def test_a_silent_server_costs_no_more_than_the_timeout(
    server: ApiServer, connection: Connection
) -> None:
    async def silence(_: web.Request) -> web.StreamResponse:
        await asyncio.Event().wait()
        raise AssertionError

    server.answer = silence
    with pytest.raises(Unreachable, match="GET /things: no answer in time"):
        await connection.request("GET", "/things", timeout=0.1)
    async with asyncio.timeout(5):
        with pytest.raises(Unreachable, match="no answer in time"):
            async with connection.stream("/things", params={}, idle_timeout=0.1, total_timeout=20):
                pytest.fail("a stream was opened")


async def test_a_body_that_breaks_off_is_unreachable(
    server: ApiServer, connection: Connection
) -> None:
    async def broken(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Length": "1000"})
        await response.prepare(request)
        await response.write(b"{")
        assert request.transport is not None
        request.transport.close()
        return response

    server.answer = broken
    with pytest.raises(Unreachable):
        await connection.request("GET", "/things")


@pytest.mark.parametrize(
    "babble",
    [
        b"SSH-2.0-hunter2\r\n",
        b"hunter2" * 10_000,
        b"HTTP/1.1 200 OK\r\nContent-Length: hunter2\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nhunter2\r\n{}\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n7\r\nhunter2hunter2\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhunter2",
        b"",
    ],
)
async def test_an_answer_that_is_no_http_is_an_error_that_does_not_quote_it(
    tmp_path: Path, babble: bytes
) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(babble)
        await writer.drain()
        writer.close()
        await writer.wait_closed()

    listener = await asyncio.start_server(answer, "127.0.0.1", 0)
    port = listener.sockets[0].getsockname()[1]
    path = write_kubeconfig(
        tmp_path / "kubeconfig", f"http://127.0.0.1:{port}", None, {"token": "secret"}
    )
    async with listener, Connection.open(ConnectionSettings(kubeconfig=path)) as connection:
        with pytest.raises((Unreachable, Malformed), match="POST /things: ") as caught:
            await connection.request("POST", "/things")
        assert "hunter2" not in str(caught.value) + repr(caught.value)
        with pytest.raises((Unreachable, Malformed), match="GET /things: ") as caught:
            await _first_line(connection)
        assert "hunter2" not in str(caught.value) + repr(caught.value)


async def _first_line(connection: Connection) -> bytes:
    async with connection.stream("/things", params={}, **LIMITS) as lines:
        return await anext(lines)


async def test_a_watch_gives_its_lines_as_they_come(
    server: ApiServer, connection: Connection
) -> None:
    more = asyncio.Event()

    async def watch(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(b"first\nsec")
        await more.wait()
        await response.write(b"ond\n")
        return response

    server.answer = watch
    async with connection.stream("/things", params={"watch": "true"}, **LIMITS) as lines:
        assert await anext(lines) == b"first\n"
        more.set()
        assert [line async for line in lines] == [b"second\n"]
    assert server.requests[0].query == {"watch": "true"}


async def test_half_a_line_is_no_line(server: ApiServer, connection: Connection) -> None:
    server.answer = lambda request: stream_to(request, b"first\n", b"sec")
    async with connection.stream("/things", params={}, **LIMITS) as lines:
        assert await anext(lines) == b"first\n"
        with pytest.raises(Unreachable, match="ended in the middle"):
            await anext(lines)


@pytest.mark.parametrize("mebibytes", [4, 6, 18])
async def test_a_long_line_comes_whole(
    server: ApiServer, connection: Connection, mebibytes: int
) -> None:
    """A ConfigMap of one mebibyte of "<" has six mebibytes on the wire."""
    long = b"x" * (mebibytes << 20) + b"\n"
    server.answer = lambda request: stream_to(request, long, b"next\n")
    async with connection.stream("/things", params={}, **LIMITS) as lines:
        assert [len(line) async for line in lines] == [len(long), 5]


async def test_a_line_that_is_longer_than_any_object_is_malformed(
    server: ApiServer, connection: Connection
) -> None:
    server.answer = lambda request: stream_to(request, b"x" * (ANSWER_BYTES + 2), b"\n")
    async with connection.stream("/things", params={}, **LIMITS) as lines:
        with pytest.raises(Malformed):
            await anext(lines)


async def test_a_watch_that_falls_silent_ends_after_the_idle_time(
    server: ApiServer, connection: Connection
) -> None:
    server.answer = lambda request: stream_to(request, b"first\n", then_stay=True)
    async with connection.stream(
        "/things", params={}, idle_timeout=IDLE_SECONDS, total_timeout=20
    ) as lines:
        assert await anext(lines) == b"first\n"
        with pytest.raises(Silent, match="GET /things: no byte within the idle timeout"):
            await asyncio.wait_for(anext(lines), 5)


async def test_the_settings_bound_the_idle_time_of_every_watch(server: ApiServer) -> None:
    server.answer = lambda request: stream_to(request, then_stay=True)
    async with (
        server.connection(watch_idle_seconds=IDLE_SECONDS) as connection,
        connection.stream("/things", params={}, idle_timeout=80, total_timeout=90) as lines,
    ):
        with pytest.raises(Silent):
            await asyncio.wait_for(anext(lines), 5)


async def test_a_watch_ends_after_its_total_time_however_busy_it_is(
    server: ApiServer, connection: Connection
) -> None:
    async def chatter(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        while True:
            await response.write(b"more\n")
            await asyncio.sleep(0.02)

    async def listen() -> None:
        async with connection.stream(
            "/things", params={}, idle_timeout=10, total_timeout=0.3
        ) as lines:
            async for _ in lines:
                pass

    server.answer = chatter
    with pytest.raises(Unreachable):
        await asyncio.wait_for(listen(), 10)


async def test_a_watch_that_is_cancelled_ends_at_once_and_hangs_up(
    server: ApiServer, connection: Connection
) -> None:
    watches: list[web.Request] = []

    async def watch(request: web.Request) -> web.StreamResponse:
        watches.append(request)
        return await stream_to(request, b"first\n", then_stay=True)

    async def follow() -> None:
        async with connection.stream("/things", params={}, **LIMITS) as lines:
            async for _ in lines:
                heard.set()

    server.answer = watch
    heard = asyncio.Event()
    task = asyncio.create_task(follow())
    await heard.wait()
    assert watches[0].transport is not None
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(task, 5)
    await eventually(lambda: watches[0].transport is None)


@pytest.mark.parametrize("mistake", [TimeoutError, OSError, ValueError])
async def test_a_mistake_of_whoever_reads_a_watch_stays_what_it_is(
    server: ApiServer, connection: Connection, mistake: type[Exception]
) -> None:
    async def read() -> None:
        async with connection.stream("/things", params={}, **LIMITS) as lines:
            async for _ in lines:
                raise mistake

    server.answer = lambda request: stream_to(request, b"first\n", then_stay=True)
    with pytest.raises(mistake):
        await read()


async def test_watches_never_starve_requests(server: ApiServer) -> None:
    async def answer(request: web.Request) -> web.StreamResponse:
        if "watch" in request.query:
            return await stream_to(request, b"first\n", then_stay=True)
        return web.Response(body=b"{}")

    server.answer = answer
    async with server.connection(write_limit=1) as connection, asyncio.timeout(20):
        opened = [
            connection.stream("/things", params={"watch": "true"}, **LIMITS) for _ in range(20)
        ]
        for each in opened:
            assert await anext(await each.__aenter__()) == b"first\n"
        assert await connection.request("GET", "/things") == b"{}"
        for each in opened:
            await each.__aexit__(None, None, None)


async def test_no_more_requests_are_in_flight_than_allowed(server: ApiServer) -> None:
    now, most = 0, 0

    async def slow(_: web.Request) -> web.StreamResponse:
        nonlocal now, most
        now += 1
        most = max(most, now)
        await asyncio.sleep(0.02)
        now -= 1
        return web.Response()

    server.answer = slow
    async with server.connection(write_limit=3) as connection:
        await asyncio.gather(*(connection.request("GET", "/things") for _ in range(12)))
    assert most == 3


async def test_the_environment_has_no_say(
    server: ApiServer, connection: Connection, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Neither a proxy nor a netrc entry of the environment may change a request."""
    netrc = tmp_path / "netrc"
    netrc.write_text("default login somebody password hunter2\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    for name in (
        "HTTP_PROXY",
        "http_proxy",
        "HTTPS_PROXY",
        "https_proxy",
        "ALL_PROXY",
        "all_proxy",
    ):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    server.answer = answering()
    await connection.request("GET", "/things")
    assert server.requests[0].headers["Authorization"] == "Bearer secret"


async def test_the_kubeconfigs_proxy_is_used(server: ApiServer, tmp_path: Path) -> None:
    async with api_server(tmp_path / "elsewhere") as proxy:
        (tmp_path / "elsewhere").mkdir()
        proxy.answer = answering({"through": "the proxy"})
        path = server.kubeconfig()
        path.write_text(path.read_text().replace("server:", f"proxy-url: {proxy.url}\n    server:"))
        async with server.connection(kubeconfig=path) as connection:
            assert b"the proxy" in await connection.request("GET", "/things")
    assert server.requests == []


async def test_no_level_of_logging_shows_what_is_sent_or_received(
    server: ApiServer, connection: Connection, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    asyncio.get_running_loop().set_debug(True)
    server.answer = answering({"data": {"password": "received-hunter2"}})
    await connection.request("PUT", "/things/a", body=b'{"data": {"password": "sent-hunter2"}}')
    server.answer = answering({"data": {"password": "received-hunter2"}}, 500)
    with pytest.raises(ServerError) as caught:
        await connection.request("PUT", "/things/a", body=b'{"data": {"password": "sent-hunter2"}}')
    assert "hunter2" not in caplog.text
    assert "secret" not in caplog.text
    assert "hunter2" not in repr(caught.value) + str(caught.value)


async def test_a_refused_static_token_is_an_error_and_no_loop(
    server: ApiServer, connection: Connection
) -> None:
    server.answer = answering(status(401, "Unauthorized"), 401)
    with pytest.raises(Unauthorized):
        await connection.request("GET", "/things")
    assert len(server.requests) == 1


async def test_a_closed_connection_sends_nothing(server: ApiServer) -> None:
    server.answer = answering()
    async with server.connection() as connection:
        await connection.request("GET", "/things")
    with pytest.raises(RuntimeError):
        await connection.request("GET", "/things")
    assert len(server.requests) == 1


class Counted:
    """Records the requests of a connection."""

    def __init__(self) -> None:
        self.answers: list[tuple[str, str, str]] = []

    def answered(self, method: str, host: str, code: str, seconds: float) -> None:
        assert 0 <= seconds < 60
        self.answers.append((method, host, code))


async def test_every_request_is_counted_with_its_code_and_one_without_an_answer_as_an_error(
    server: ApiServer,
) -> None:
    counted, host = Counted(), server.url.split("//")[1]
    settings = ConnectionSettings(kubeconfig=server.kubeconfig())
    async with Connection.open(settings, counted.answered) as connection:
        server.answer = answering({})
        await connection.request("GET", "/things")
        server.answer = answering(status(409, "Conflict"), 409)
        with pytest.raises(ApiError):
            await connection.request("PUT", "/things/a", body=b"{}")
        server.answer = stream_to
        async with connection.stream("/things", params={}, **LIMITS):
            pass
        await server.server.close()
        with pytest.raises(Unreachable):
            await connection.request("DELETE", "/things/a")
    assert counted.answers == [
        ("GET", host, "200"),
        ("PUT", host, "409"),
        ("GET", host, "200"),
        ("DELETE", host, "<error>"),
    ]


async def test_an_answer_above_the_limit_of_its_request_is_not_read(
    server: ApiServer, connection: Connection
) -> None:
    server.answer = answering(b"x" * 1001)
    with pytest.raises(AnswerTooLarge, match="more than 1000 bytes"):
        await connection.request("GET", "/things", max_bytes=1000)
    assert len(await connection.request("GET", "/things", max_bytes=1001)) == 1001


async def test_an_answer_without_an_end_is_given_up_at_the_limit(
    server: ApiServer, connection: Connection
) -> None:
    sent = 0

    async def endless(request: web.Request) -> web.StreamResponse:
        nonlocal sent
        response = web.StreamResponse()
        await response.prepare(request)
        while True:
            await response.write(b"x" * (1 << 20))
            sent += 1

    server.answer = endless
    with pytest.raises(AnswerTooLarge):
        await connection.request("GET", "/things")
    assert sent <= (ANSWER_BYTES >> 20) + 10  # what the sockets hold


async def test_of_an_error_answer_without_an_end_only_the_status_counts(
    server: ApiServer, connection: Connection
) -> None:
    server.answer = answering(b" " * (ERROR_BODY_BYTES + 1), 403)
    with pytest.raises(Forbidden):
        await connection.request("GET", "/things")
