"""Find the webhook pods that do not serve the newest material yet.

A changed Secret reaches the volume of each pod up to 90 s later. `ensure.py` asks this
module before it removes old material that such a pod still needs. This module only
reads and connects.
"""

import asyncio
import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import msgspec

from certs.material import Material
from certs.trust import PATHS
from kube.client import ENDPOINT_SLICES, VALIDATING_WEBHOOKS, Client
from kube.rbac import Rule
from kube.wire import decode_shaped

PORT_NAME = "webhook"
PROBE_SECONDS = 5.0
PROBES_AT_ONCE = 16
NOT_FOUND = b"404"

Document = dict[str, Any]


class _PortShape(msgspec.Struct):
    port: int | None = None
    name: str | None = None


class _ConditionsShape(msgspec.Struct):
    ready: bool | None = None


class _EndpointShape(msgspec.Struct):
    addresses: list[str]
    conditions: _ConditionsShape | None = None


class _SliceShape(msgspec.Struct):
    """The fields of an EndpointSlice that are read."""

    ports: list[_PortShape] | None = None
    endpoints: list[_EndpointShape] | None = None


class _SliceListShape(msgspec.Struct):
    items: list[_SliceShape]


def pod_rules() -> tuple[Rule, ...]:
    """Return the rules to find the pods behind the service, in its namespace."""
    why = "which webhook pods serve a new certificate already"
    return (Rule(ENDPOINT_SLICES.plural, ("list",), group=ENDPOINT_SLICES.group, why=why),)


class Endpoint(NamedTuple):
    """The address of one pod. The API server calls only ready ones."""

    host: str
    port: int
    ready: bool


@dataclass(frozen=True, slots=True)
class Lagging:
    """The pods that do not serve the newest material.

    Attributes:
        outdated: they answered with another certificate or without the new path.
        unreachable: they did not answer this tool, so their material is unknown.
    """

    outdated: tuple[str, ...] = ()
    unreachable: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.outdated or self.unreachable)


class ServicePods:
    """The pods behind the Service of the webhook."""

    def __init__(self, client: Client, namespace: str, service: str) -> None:
        self._client = client
        self._namespace = namespace
        self._service = service

    async def lagging(self, material: Material) -> Lagging:
        """Return the ready pods that do not yet serve this pair and this path token.

        Raises:
            ApiError: the API server returned an error or did not answer.
        """
        endpoints = [endpoint for endpoint in await self._endpoints() if endpoint.ready]
        slots = asyncio.Semaphore(PROBES_AT_ONCE)
        states = await asyncio.gather(
            *(self._state(endpoint, material, slots) for endpoint in endpoints)
        )
        by_state = {
            state: tuple(
                f"{endpoint.host}:{endpoint.port}"
                for endpoint, one in zip(endpoints, states, strict=True)
                if one == state
            )
            for state in ("outdated", "unreachable")
        }
        return Lagging(**by_state)

    async def _endpoints(self) -> list[Endpoint]:
        answer = await self._client.list(
            ENDPOINT_SLICES,
            self._namespace,
            params={"labelSelector": f"kubernetes.io/service-name={self._service}"},
        )
        slices = decode_shaped(answer, _SliceListShape, "the list of EndpointSlices")["items"]
        return sorted({endpoint for one in slices for endpoint in endpoints_in(one)})

    async def _state(self, endpoint: Endpoint, material: Material, slots: asyncio.Semaphore) -> str:
        async with slots:
            try:
                async with asyncio.timeout(PROBE_SECONDS):
                    return await self._probe(endpoint, material)
            except (OSError, TimeoutError, EOFError):
                return "unreachable"

    async def _probe(self, endpoint: Endpoint, material: Material) -> str:
        """Return the state of one pod: compare the certificate, then request the path.

        A server with another certificate does not receive the token.
        """
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        # The certificate itself is compared instead.
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        host = f"{self._service}.{self._namespace}.svc"
        reader, writer = await asyncio.open_connection(
            endpoint.host, endpoint.port, ssl=context, server_hostname=host
        )
        try:
            served = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
            if served != ssl.PEM_cert_to_DER_cert(material.certificate.decode()):
                return "outdated"
            return await self._path_state(reader, writer, host, material.path_token.decode())
        finally:
            writer.close()

    @staticmethod
    async def _path_state(
        reader: asyncio.StreamReader, writer: asyncio.StreamWriter, host: str, token: str
    ) -> str:
        plain = PATHS[VALIDATING_WEBHOOKS]
        path = f"/{token}{plain}" if token else plain
        head = f"POST {path} HTTP/1.1\r\nHost: {host}\r\n"
        writer.write(f"{head}Content-Length: 0\r\nConnection: close\r\n\r\n".encode())
        status = (await reader.readline()).split(b" ")[1:2]
        if not status:
            raise EOFError
        return "outdated" if status == [NOT_FOUND] else "serving"


def endpoints_in(endpoint_slice: Document) -> Iterator[Endpoint]:
    """Yield the endpoints of an EndpointSlice with the port of the webhook."""
    ports = [
        port.get("port")
        for port in endpoint_slice.get("ports") or ()
        if port.get("name") == PORT_NAME
    ]
    for endpoint in endpoint_slice.get("endpoints") or ():
        ready = (endpoint.get("conditions") or {}).get("ready") is not False
        # No consumer uses the others
        for host in endpoint["addresses"][:1]:
            yield from (Endpoint(host, port, ready) for port in ports if port)
