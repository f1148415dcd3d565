"""The lagging pods, found over TLS at the addresses of EndpointSlices."""

import asyncio
import json
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import pytest

from certs.material import Material
from certs.pods import EndpointSlice, Lagging, ServicePods, ready_addresses
from certs.rotation import Order, with_new_authority, with_new_serving_pair
from kube.client import Client
from tests.support.processes import free_port
from tests.support.transports import transports_closed

NOW = datetime.now(UTC)  # noqa: TID251 - OpenSSL looks at the real clock
ORDER = Order(("webhook.system.svc",), timedelta(days=300), timedelta(days=30))
TOKEN = "0123456789abcdef" * 4
PLAIN = "/validate-apps-nishaf-info-v1-configmapsync"
NONE = Lagging([], [])


def _material(token: str = TOKEN) -> Material:
    made = with_new_serving_pair(with_new_authority(Material(), ORDER, NOW), ORDER, NOW)
    return Material.from_files(
        made.authority_files(), {**made.serving_files(), "path-token": token.encode()}
    )


class Server:
    """A pod: it serves one pair at one path, and remembers what was asked."""

    def __init__(self, material: Material, path: str, folder: Path) -> None:
        self._path = path
        self.asked: list[str] = []
        file = folder / "pair.pem"
        file.write_bytes(material.certificate + material.key)
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(file)

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if line := (await reader.readline()).decode():
            self.asked.append(line)
            status = (
                "415 Unsupported Media Type" if line.split()[1] == self._path else "404 Not Found"
            )
            writer.write(f"HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n".encode())
        writer.close()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[int]:
        server = await asyncio.start_server(self._answer, "127.0.0.1", 0, ssl=self._context)
        async with server:
            yield server.sockets[0].getsockname()[1]
        await transports_closed()


class Endpoint(NamedTuple):
    """One pod in an EndpointSlice."""

    host: str
    port: int
    ready: bool | None


class Endpoints:
    """An API server that knows one EndpointSlice."""

    def __init__(self, *endpoints: Endpoint) -> None:
        self._endpoints = endpoints

    async def request(
        self, _method: str, path: str, *, params: dict[str, str], **_options: Any
    ) -> bytes:
        assert path == "/apis/discovery.k8s.io/v1/namespaces/system/endpointslices"
        assert params == {"labelSelector": "kubernetes.io/service-name=webhook"}
        return json.dumps({"items": [_slice(*endpoint) for endpoint in self._endpoints]}).encode()


def _slice(host: str, port: int, ready: bool | None) -> dict[str, Any]:
    return {
        "ports": [{"name": "webhook", "port": port}, {"name": "metrics", "port": 8081}],
        "endpoints": [{"addresses": [host], "conditions": {"ready": ready}}],
    }


async def _lagging(material: Material, *endpoints: Endpoint) -> Lagging:
    return await ServicePods(Client(Endpoints(*endpoints)), "system", "webhook").lagging(material)  # type: ignore[arg-type]


async def test_a_pod_that_serves_pair_and_path_does_not_lag(tmp_path: Path) -> None:
    material = _material()
    server = Server(material, f"/{TOKEN}{PLAIN}", tmp_path)
    async with server.running() as port:
        assert await _lagging(material, Endpoint("127.0.0.1", port, ready=True)) == NONE


async def test_a_pod_without_the_path_lags(tmp_path: Path) -> None:
    material = _material()
    async with Server(material, PLAIN, tmp_path).running() as port:
        lagging = await _lagging(material, Endpoint("127.0.0.1", port, ready=True))
    assert lagging == Lagging([f"127.0.0.1:{port}"], [])


async def test_a_pod_with_another_pair_lags_and_never_sees_the_token(tmp_path: Path) -> None:
    server = Server(_material(), f"/{TOKEN}{PLAIN}", tmp_path)
    async with server.running() as port:
        lagging = await _lagging(_material(), Endpoint("127.0.0.1", port, ready=True))
    assert lagging == Lagging([f"127.0.0.1:{port}"], [])
    assert server.asked == []


async def test_plain_paths_are_asked_for_without_a_token(tmp_path: Path) -> None:
    material = _material("")
    server = Server(material, PLAIN, tmp_path)
    async with server.running() as port:
        assert await _lagging(material, Endpoint("127.0.0.1", port, ready=True)) == NONE
    assert [line.split()[1] for line in server.asked] == [PLAIN]


async def test_a_pod_that_does_not_answer_is_unreachable() -> None:
    port = free_port()
    endpoint = Endpoint("127.0.0.1", port, ready=True)
    assert await _lagging(_material(), endpoint) == Lagging([], [f"127.0.0.1:{port}"])


async def test_a_pod_that_the_api_server_does_not_call_is_not_asked() -> None:
    assert await _lagging(_material(), Endpoint("127.0.0.1", free_port(), ready=False)) == NONE
    assert await _lagging(_material()) == NONE


def _addresses(document: dict[str, Any]) -> list[str]:
    return ready_addresses(msgspec.convert(document, EndpointSlice))


@pytest.mark.parametrize(("ready", "called"), [(True, 1), (None, 1), (False, 0)])
def test_an_endpoint_of_unknown_readiness_is_called(ready: bool | None, called: int) -> None:
    assert _addresses(_slice("10.0.0.1", 9443, ready)) == ["10.0.0.1:9443"] * called


def test_an_address_of_ipv6_has_brackets() -> None:
    assert _addresses(_slice("fd00::1", 9443, ready=True)) == ["[fd00::1]:9443"]


@pytest.mark.parametrize(
    "document",
    [{}, {"ports": None, "endpoints": None}, {"ports": [{"name": "webhook", "port": 1}]}],
    ids=str,
)
def test_a_slice_without_endpoints_has_none(document: dict[str, Any]) -> None:
    assert _addresses(document) == []
