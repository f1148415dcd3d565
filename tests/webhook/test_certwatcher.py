import asyncio
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import uvloop
from aiohttp import ClientError, ClientSession, TCPConnector, web
from aiohttp.typedefs import Handler
from cryptography import x509
from prometheus_client import CollectorRegistry

from certs.authority import KeyPair, new_authority, new_serving_pair
from certs.directory import DirectoryStore
from certs.material import Material, Stored
from tests.support.eventually import eventually
from tests.support.pki import Authority
from tests.support.pki import KeyPair as PkiPair
from tests.support.transports import transports_closed
from webhook.certwatcher import CertWatcher, follow
from webhook.metrics import Metrics
from webhook.server import accepts

NOW = datetime.now(UTC)  # noqa: TID251 - TLS looks at the real clock
AUTHORITY = new_authority(NOW, timedelta(days=30))
PAIRS = [
    new_serving_pair(AUTHORITY, ["webhook.test", "127.0.0.1"], NOW, timedelta(days=9))
    for _ in range(3)
]


@pytest.fixture(
    params=[
        pytest.param(asyncio.new_event_loop, id="asyncio"),
        pytest.param(uvloop.new_event_loop, id="uvloop"),
    ]
)
def run(request: pytest.FixtureRequest):
    """Each event loop has its own TLS implementation; the process runs on uvloop."""

    def run(story) -> None:
        with asyncio.Runner(loop_factory=request.param) as runner:
            runner.run(story)
            runner.run(transports_closed())

    return run


def _material(pair: KeyPair) -> Material:
    return Material(certificate=pair.certificate_pem, key=pair.key_pem)


def _write(directory: Path, certificate: KeyPair, key: KeyPair) -> None:
    (directory / "tls.crt").write_bytes(certificate.certificate_pem)
    (directory / "tls.key").write_bytes(key.key_pem)


def _serial(pair: KeyPair) -> str:
    return f"{pair.certificate.serial_number:x}"


async def _hello(_request: web.Request) -> web.Response:
    return web.Response(text="hello")


@asynccontextmanager
async def _serving(watcher: CertWatcher, hello: Handler = _hello) -> AsyncIterator[int]:
    application = web.Application()
    application.router.add_get("/", hello)
    runner = web.AppRunner(application)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=watcher.listener_context)
    await site.start()
    try:
        yield runner.addresses[0][1]
    finally:
        await runner.cleanup()


def _client() -> ssl.SSLContext:
    context = ssl.create_default_context(cadata=AUTHORITY.certificate_pem.decode())
    context.verify_flags |= ssl.VERIFY_X509_STRICT
    return context


async def _serial_seen_at(port: int, name: str | None) -> str:
    """Shake hands as a new client, with SNI (a name) or without (an address sends none)."""
    _, writer = await asyncio.open_connection(
        "127.0.0.1", port, ssl=_client(), server_hostname=name or "127.0.0.1"
    )
    certificate = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    writer.close()
    await writer.wait_closed()
    return f"{x509.load_der_x509_certificate(certificate).serial_number:x}"


@pytest.mark.parametrize(
    "name", [pytest.param("webhook.test", id="with SNI"), pytest.param(None, id="without SNI")]
)
def test_new_connections_get_the_new_pair(tmp_path: Path, run, name: str | None):
    async def story() -> None:
        store = DirectoryStore(tmp_path)
        watcher = CertWatcher(tmp_path, Metrics(CollectorRegistry()))
        stored = await store.save_serving(_material(PAIRS[0]), Stored(Material()))
        watcher.look()
        async with _serving(watcher) as port:
            assert await _serial_seen_at(port, name) == _serial(PAIRS[0])
            await store.save_serving(_material(PAIRS[1]), stored)
            watcher.look()
            assert await _serial_seen_at(port, name) == _serial(PAIRS[1])

    run(story())


def test_an_open_connection_stays_open(tmp_path: Path, run):
    used: set[object] = set()

    async def hello(request: web.Request) -> web.Response:
        used.add(request.transport)
        return web.Response(text="hello")

    async def story() -> None:
        store = DirectoryStore(tmp_path)
        stored = await store.save_serving(_material(PAIRS[0]), Stored(Material()))
        watcher = CertWatcher(tmp_path, Metrics(CollectorRegistry()))
        watcher.look()
        async with (
            _serving(watcher, hello) as port,
            ClientSession(connector=TCPConnector(ssl=_client(), limit=1)) as session,
        ):
            for pair in PAIRS[1:]:
                async with session.get(f"https://127.0.0.1:{port}/") as answer:
                    assert await answer.text() == "hello"
                stored = await store.save_serving(_material(pair), stored)
                watcher.look()
            async with session.get(f"https://127.0.0.1:{port}/") as answer:
                assert await answer.text() == "hello"
        assert len(used) == 1

    run(story())


def test_a_torn_pair_is_not_loaded_and_the_previous_one_stays_in_service(tmp_path: Path, run):
    async def story() -> None:
        _write(tmp_path, PAIRS[0], PAIRS[0])
        watcher = CertWatcher(tmp_path, Metrics(CollectorRegistry()))
        watcher.look()
        async with _serving(watcher) as port:
            _write(tmp_path, PAIRS[1], PAIRS[0])
            watcher.look()
            assert await _serial_seen_at(port, None) == _serial(PAIRS[0])
            _write(tmp_path, PAIRS[1], PAIRS[1])
            watcher.look()
            assert await _serial_seen_at(port, None) == _serial(PAIRS[1])

    run(story())


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        pytest.param(lambda _folder: None, "waiting for tls.crt and tls.key", id="nothing there"),
        pytest.param(
            lambda folder: _write(folder, PAIRS[0], PAIRS[1]), "cannot be served", id="torn"
        ),
        pytest.param(
            lambda folder: (folder / "tls.crt").write_text("x"), "waiting for", id="no key"
        ),
        pytest.param(
            lambda folder: [(folder / name).write_text("") for name in ("tls.crt", "tls.key")],
            "cannot be served",
            id="empty",
        ),
        pytest.param(
            lambda folder: (folder / "tls.crt").mkdir(),
            "Is a directory",
            id="a directory in its place",
        ),
    ],
)
def test_without_a_pair_the_problem_names_the_missing_files(tmp_path: Path, spoil, told: str):
    watcher = CertWatcher(tmp_path, Metrics(CollectorRegistry()))
    spoil(tmp_path)
    watcher.look()
    assert told in (watcher.problem(NOW) or "")
    _replace(tmp_path)
    watcher.look()
    assert watcher.problem(NOW) is None


def _replace(folder: Path) -> None:
    for path in folder.iterdir():
        path.rmdir() if path.is_dir() else path.unlink()
    _write(folder, PAIRS[0], PAIRS[0])


def test_a_pair_that_no_client_would_accept_is_not_loaded(tmp_path: Path):
    long_ago = NOW - timedelta(days=20)
    expired = new_serving_pair(
        new_authority(long_ago, timedelta(days=9)), ["x"], long_ago, timedelta(days=9)
    )
    watcher = CertWatcher(tmp_path, Metrics(CollectorRegistry()))
    _write(tmp_path, PAIRS[0], PAIRS[0])
    watcher.look()
    _write(tmp_path, expired, expired)
    watcher.look()
    assert watcher.served is not None
    assert watcher.served.serial == _serial(PAIRS[0])
    other = CertWatcher(tmp_path, Metrics(CollectorRegistry()))
    other.look()
    assert "certificate has expired" in (other.problem(NOW) or "")


def test_a_pair_that_expires_while_it_is_served_is_a_problem(tmp_path: Path):
    watcher = CertWatcher(tmp_path, Metrics(CollectorRegistry()))
    _write(tmp_path, PAIRS[0], PAIRS[0])
    watcher.look()
    assert watcher.problem(NOW) is None
    assert "expired at" in (watcher.problem(NOW + timedelta(days=9)) or "")


def test_a_new_pair_is_counted_once_and_its_expiry_is_exported_by_its_serial(tmp_path: Path):
    registry = CollectorRegistry()
    watcher = CertWatcher(tmp_path, Metrics(registry))
    _write(tmp_path, PAIRS[0], PAIRS[0])
    for _ in range(3):
        watcher.look()
    assert registry.get_sample_value("certwatcher_read_certificate_total") == 1
    assert (
        registry.get_sample_value(
            "configmapsync_certificate_expiry_timestamp_seconds", {"serial": _serial(PAIRS[0])}
        )
        == PAIRS[0].certificate.not_valid_after_utc.timestamp()
    )


async def test_it_follows_the_directory_by_itself(tmp_path: Path):
    watcher = CertWatcher(tmp_path, Metrics(CollectorRegistry()))
    following = asyncio.create_task(follow(watcher.look))
    await DirectoryStore(tmp_path).save_serving(_material(PAIRS[0]), Stored(Material()))
    await asyncio.wait_for(watcher.loaded.wait(), 10)
    stored = await DirectoryStore(tmp_path).load()
    await DirectoryStore(tmp_path).save_serving(
        replace(stored.material, **_fields(PAIRS[1])), stored
    )
    await eventually(
        lambda: watcher.served is not None and watcher.served.serial == _serial(PAIRS[1])
    )
    following.cancel()
    await asyncio.gather(following, return_exceptions=True)


def _fields(pair: KeyPair) -> dict[str, bytes]:
    return {"certificate": pair.certificate_pem, "key": pair.key_pem}


def test_an_aborted_handshake_does_not_affect_other_clients(tmp_path: Path, run):
    async def story() -> None:
        _write(tmp_path, PAIRS[0], PAIRS[0])
        watcher = CertWatcher(tmp_path, Metrics(CollectorRegistry()))
        watcher.look()
        async with _serving(watcher) as port:
            for _ in range(20):
                with socket.create_connection(("127.0.0.1", port)) as connection:
                    connection.send(b"\x16\x03\x01")
            assert await _serial_seen_at(port, None) == _serial(PAIRS[0])

    run(story())


def test_a_client_certificate_is_requested_and_its_names_are_read(tmp_path: Path, run):
    seen: list[dict[str, Any] | None] = []

    async def hello(request: web.Request) -> web.Response:
        seen.append(request.get_extra_info("peercert"))
        return web.Response(text="hello")

    async def get(port: int, pair: PkiPair | None) -> int:
        context = _client()
        if pair is not None:
            context.load_cert_chain(pair.certificate, pair.key)
        async with (
            ClientSession(connector=TCPConnector(ssl=context)) as session,
            session.get(f"https://127.0.0.1:{port}/") as answer,
        ):
            return answer.status

    async def story() -> None:
        clients, others = (
            Authority(_folder(tmp_path / name), NOW) for name in ("clients", "others")
        )
        _write(_folder(tmp_path / "tls"), PAIRS[0], PAIRS[0])
        watcher = CertWatcher(
            tmp_path / "tls", Metrics(CollectorRegistry()), client_ca=clients.pair.certificate
        )
        watcher.look()
        async with _serving(watcher, hello) as port:
            for stranger in (None, others.client("stranger", "kube-apiserver")):
                with pytest.raises((ClientError, OSError)):
                    await get(port, stranger)
            assert seen == []
            assert await get(port, clients.client("known", "kube-apiserver")) == 200
            assert accepts(frozenset({"kube-apiserver"}), seen[0])
            clients.pair.certificate.write_bytes(others.pair.certificate.read_bytes())
            watcher.look()
            assert await get(port, others.client("trusted-now", "kube-apiserver")) == 200

    run(story())


def _folder(path: Path) -> Path:
    path.mkdir()
    return path
