"""Client certificates are renewed before they expire and after a refusal."""

import asyncio
import datetime as dt
import json
import socket
import ssl
import sys
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest
import yaml
from aiohttp import web

from kube import credentials
from kube.connection import Connection, ConnectionSettings
from kube.errors import Unreachable
from tests.kube.scripted import api_server, status
from tests.kube.test_tls import NOW, _listener
from tests.support.pki import Authority, KeyPair
from tests.support.transports import transports_closed
from tests.support.users import write_kubeconfig

PLUGIN = """
import pathlib
folder = pathlib.Path({folder!r})
(folder / "runs").open("a").write("x")
print((folder / "answer").read_text())
"""


class Plugin:
    """An exec plugin that returns client certificates and counts its runs."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        (folder / "plugin.py").write_text(PLUGIN.format(folder=str(folder)))

    def returns(self, pair: KeyPair) -> None:
        answer = {
            "apiVersion": "client.authentication.k8s.io/v1",
            "kind": "ExecCredential",
            "status": {
                "clientCertificateData": pair.certificate.read_text(),
                "clientKeyData": pair.key.read_text(),
            },
        }
        (self._folder / "answer").write_text(json.dumps(answer))

    @property
    def runs(self) -> int:
        return len((self._folder / "runs").read_text())

    def kubeconfig(self, path: Path, url: str, authority: Path | None) -> Path:
        write_kubeconfig(path, url, authority, {})
        document = yaml.safe_load(path.read_text())
        document["users"][0]["user"] = {
            "exec": {
                "apiVersion": "client.authentication.k8s.io/v1",
                "command": sys.executable,
                "args": [str(self._folder / "plugin.py")],
                "interactiveMode": "Never",
            }
        }
        path.write_text(yaml.safe_dump(document))
        return path


@pytest.fixture
def plugin(tmp_path: Path) -> Plugin:
    return Plugin(tmp_path)


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path, NOW)


def listener(authority: Authority, mode: ssl.VerifyMode = ssl.CERT_OPTIONAL) -> ssl.SSLContext:
    pair = authority.server("server", ["localhost"], ["127.0.0.1"])
    context = _listener(pair, authority.pair.certificate)
    context.verify_mode = mode
    return context


def common_name(request: web.Request) -> str:
    assert request.transport is not None
    certificate = request.transport.get_extra_info("peercert")
    return next(value for ((key, value),) in certificate["subject"] if key == "commonName")


async def only(name: str, request: web.Request) -> web.StreamResponse:
    """Accept one user, as kube-apiserver does: it checks the certificate on each request."""
    if common_name(request) == name:
        return web.Response(body=b"{}\n")
    return web.json_response(status(401, "Unauthorized"), status=401)


async def test_a_refused_certificate_is_renewed_and_old_connections_are_left(
    tmp_path: Path, authority: Authority, plugin: Plugin
) -> None:
    async with api_server(tmp_path, listener(authority)) as server:
        server.authority = authority.pair.certificate
        plugin.returns(authority.client("first", "first"))
        async with server.connection(
            kubeconfig=plugin.kubeconfig(tmp_path / "kubeconfig", server.url, server.authority)
        ) as connection:
            server.answer = lambda request: only("first", request)
            await connection.request("GET", "/things")
            plugin.returns(authority.client("second", "second"))
            server.answer = lambda request: only("second", request)
            for _ in range(3):
                await connection.request("GET", "/things")
    assert plugin.runs == 2
    assert len(server.requests) == 5, "only one request was refused"


async def test_a_certificate_is_renewed_before_it_expires(
    tmp_path: Path, authority: Authority, plugin: Plugin, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(credentials, "RELOAD_SECONDS", 0.0)
    now = dt.datetime.now(dt.UTC)  # noqa: TID251 - TLS compares with the real clock
    soon = Authority(tmp_path, now - dt.timedelta(days=2) + dt.timedelta(minutes=4))
    async with api_server(tmp_path, listener(soon)) as server:
        server.authority = soon.pair.certificate
        plugin.returns(soon.client("first", "first"))
        async with server.connection(
            kubeconfig=plugin.kubeconfig(tmp_path / "kubeconfig", server.url, server.authority)
        ) as connection:
            server.answer = lambda request: only("second", request)
            plugin.returns(soon.client("second", "second"))
            await connection.request("GET", "/things")
    assert [seen.path for seen in server.requests] == ["/things"], "nothing was refused"


async def test_a_certificate_that_is_valid_for_long_is_kept(
    tmp_path: Path, authority: Authority, plugin: Plugin, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(credentials, "RELOAD_SECONDS", 0.0)
    async with api_server(tmp_path, listener(authority)) as server:
        server.authority = authority.pair.certificate
        plugin.returns(authority.client("first", "first"))
        server.answer = lambda request: only("first", request)
        async with server.connection(
            kubeconfig=plugin.kubeconfig(tmp_path / "kubeconfig", server.url, server.authority)
        ) as connection:
            for _ in range(3):
                await connection.request("GET", "/things")
    assert plugin.runs == 1


@pytest.mark.parametrize("stream", [False, True], ids=["request", "watch"])
async def test_a_certificate_that_the_tls_layer_refuses_is_renewed(
    tmp_path: Path, authority: Authority, plugin: Plugin, stream: bool
) -> None:
    (tmp_path / "other").mkdir()
    plugin.returns(Authority(tmp_path / "other", NOW).client("first", "first"))
    async with strict_server(authority) as url:
        path = plugin.kubeconfig(tmp_path / "kubeconfig", url, authority.pair.certificate)
        async with Connection.open(ConnectionSettings(kubeconfig=path)) as connection:
            plugin.returns(authority.client("second", "second"))
            await send(connection, stream=stream)
    assert plugin.runs == 2


async def test_a_refusal_without_a_new_certificate_is_an_error(
    tmp_path: Path, authority: Authority, plugin: Plugin
) -> None:
    (tmp_path / "other").mkdir()
    plugin.returns(Authority(tmp_path / "other", NOW).client("first", "first"))
    async with strict_server(authority) as url:
        path = plugin.kubeconfig(tmp_path / "kubeconfig", url, authority.pair.certificate)
        async with Connection.open(ConnectionSettings(kubeconfig=path)) as connection:
            with pytest.raises(Unreachable, match="ALERT"):
                await send(connection, stream=False)
    assert plugin.runs == 2


@asynccontextmanager
async def strict_server(authority: Authority) -> AsyncIterator[str]:
    """Serve with a TLS layer that requires a client certificate and sends alerts, as Go does.

    The server of asyncio closes the connection without an alert. With TLS 1.3 the client may
    see a reset connection in place of the alert, so the version is 1.2.
    """
    context = listener(authority, ssl.CERT_REQUIRED)
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    ended = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listening:
        arguments = (listening, context, ended)
        answering = threading.Thread(target=answer_all, args=arguments, daemon=True)
        answering.start()
        yield f"https://127.0.0.1:{listening.getsockname()[1]}"
        ended.set()
        socket.create_connection(listening.getsockname()).close()  # ends the last `accept`
        await asyncio.to_thread(answering.join)
    await transports_closed()


def answer_all(listening: socket.socket, context: ssl.SSLContext, ended: threading.Event) -> None:
    while True:
        accepted, _ = listening.accept()
        if ended.is_set():
            accepted.close()
            return
        with accepted, suppress(OSError), context.wrap_socket(accepted, server_side=True) as served:
            served.recv(4096)
            served.sendall(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 3\r\n\r\n{}\n")


async def test_a_certificate_file_that_was_replaced_is_read_again(
    tmp_path: Path, authority: Authority
) -> None:
    async with api_server(tmp_path, listener(authority)) as server:
        server.authority = authority.pair.certificate
        pair = authority.client("me", "first")
        files = {"client-certificate": str(pair.certificate), "client-key": str(pair.key)}
        async with server.connection(kubeconfig=server.kubeconfig(**files)) as connection:
            authority.client("me", "second")
            server.answer = lambda request: only("second", request)
            await connection.request("GET", "/things")


async def send(connection: Connection, *, stream: bool) -> None:
    if stream:
        limits = {"idle_timeout": 5.0, "total_timeout": 5.0}
        async with connection.stream("/things", params={}, **limits) as lines:
            assert [line async for line in lines] != []
    else:
        await connection.request("GET", "/things")
