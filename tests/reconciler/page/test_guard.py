"""The page answers GET for a loopback name, with strict headers on every answer."""

import asyncio

import pytest

from reconciler.page.guard import CONTENT_SECURITY_POLICY
from tests.reconciler.page.bench import Bench

PATHS = ("/", "/main.js", "/page.css", "/api/state", "/api/syncs", "/api/graph", "/nothing")


@pytest.mark.parametrize(
    "host", ["localhost", "localhost:8082", "127.0.0.1:1", "[::1]:8082", "[::1]", "LOCALHOST:8082"]
)
async def test_loopback_names_are_answered_with_any_port(bench: Bench, host: str) -> None:
    assert (await bench.get("/api/state", {"Host": host})).status == 200


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "evil.example:8082",
        "localhost.evil.example",
        "127.0.0.1.nip.io",
        "127.0.0.1:8082.evil.example",
        "localhost:",
        "[::1",
        "10.0.0.1:8082",
    ],
)
async def test_a_name_that_resolves_to_loopback_gets_nothing(bench: Bench, host: str) -> None:
    bench.put_sync("platform", "shared")

    for path in PATHS:
        answer = await bench.get(path, {"Host": host})
        if host == "localhost:":
            continue  # an empty port is the default port
        assert answer.status == 421
        assert "platform" not in answer.text


@pytest.mark.parametrize("hosts", [(), ("localhost", "evil.example")])
async def test_no_host_and_two_hosts_are_refused(bench: Bench, hosts: tuple[str, ...]) -> None:
    reader, writer = await asyncio.open_connection(*bench.address)
    lines = ["GET /api/state HTTP/1.1", *(f"Host: {host}" for host in hosts), "Connection: close"]
    writer.write(("\r\n".join(lines) + "\r\n\r\n").encode())
    status = await reader.readline()
    writer.close()
    await writer.wait_closed()

    assert status.split()[1] in {b"400", b"421"}


@pytest.mark.parametrize("path", PATHS)
async def test_every_answer_has_the_strict_headers(bench: Bench, path: str) -> None:
    answer = await bench.get(path)

    policy = dict(
        part.split(" ", 1) for part in answer.headers["Content-Security-Policy"].split("; ")
    )
    assert answer.headers["Content-Security-Policy"] == CONTENT_SECURITY_POLICY
    assert policy["default-src"] == "'none'"
    assert "unsafe" not in answer.headers["Content-Security-Policy"]
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Cross-Origin-Resource-Policy"] == "same-origin"
    assert "Access-Control-Allow-Origin" not in answer.headers


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "TRACE"])
async def test_only_get_is_answered(bench: Bench, method: str) -> None:
    for path in ("/", "/api/state", "/api/syncs/a/b"):
        answer = await bench.get(path, method=method)
        assert answer.status == 405, (method, path)
        assert answer.headers["Allow"] == "GET"


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
async def test_requests_of_other_sites_are_refused(bench: Bench, site: str) -> None:
    assert (await bench.get("/api/syncs", {"Sec-Fetch-Site": site})).status == 403
    assert (await bench.get("/api/syncs", {"Sec-Fetch-Site": "same-origin"})).status == 200


@pytest.mark.parametrize(
    "path",
    ["/../server.py", "/..%2fserver.py", "/static/main.js", "/api", "/api/syncs/a", "/index.htm"],
)
async def test_nothing_else_is_served(bench: Bench, path: str) -> None:
    assert (await bench.get(path)).status == 404


async def test_a_file_that_the_browser_has_is_not_sent_again(bench: Bench) -> None:
    first = await bench.get("/main.js")
    again = await bench.get("/main.js", {"If-None-Match": first.headers["ETag"]})

    assert (first.status, again.status, again.text) == (200, 304, "")
    assert first.headers["Content-Type"] == "text/javascript; charset=utf-8"


async def test_a_defect_is_logged_and_not_shown(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_arguments: object) -> None:
        raise RuntimeError("inner text")

    monkeypatch.setattr("reconciler.page.handlers._replica_state", broken)

    answer = await bench.get("/api/state")

    assert answer.status == 500
    assert "inner text" not in answer.text
