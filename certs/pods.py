"""Find the webhook pods that do not serve the newest material yet.

`ensure.py` asks this module before it removes old material: a changed Secret reaches
the volume of each pod up to 90 s later. This module only reads and connects, and it
sends the path token only to a pod that serves the newest certificate.
"""

import asyncio
import hashlib
import ssl
from http import HTTPStatus
from typing import NamedTuple

import aiohttp
import msgspec

from certs.material import Material
from certs.trust import PATHS
from kube.client import ENDPOINT_SLICES, VALIDATING_WEBHOOKS, Client
from kube.rbac import Rule
from kube.wire import decode_as

PORT_NAME = "webhook"
PROBE_SECONDS = 5.0
PROBES_AT_ONCE = 16


class _Port(msgspec.Struct):
    port: int | None = None
    name: str | None = None


class _Endpoint(msgspec.Struct):
    addresses: list[str]
    conditions: dict[str, bool | None] | None = None


class EndpointSlice(msgspec.Struct):
    """The fields of an EndpointSlice that are read."""

    ports: list[_Port] | None = None
    endpoints: list[_Endpoint] | None = None


class _SliceList(msgspec.Struct):
    items: list[EndpointSlice]


def pod_rules() -> tuple[Rule, ...]:
    """Return the rules to find the pods behind the service, in its namespace."""
    why = "which webhook pods serve a new certificate already"
    return (Rule(ENDPOINT_SLICES.plural, ("list",), group=ENDPOINT_SLICES.group, why=why),)


class Lagging(NamedTuple):
    """The pods that do not serve the newest material, as `host:port`.

    Attributes:
        outdated: they answered with another certificate or without the new path.
        unreachable: they did not answer this tool, so their material is unknown.
    """

    outdated: list[str]
    unreachable: list[str]


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
        addresses = await self._addresses()
        slots = asyncio.Semaphore(PROBES_AT_ONCE)
        lagging = Lagging([], [])
        async with aiohttp.ClientSession() as session:

            async def probe(address: str) -> None:
                try:
                    async with slots, asyncio.timeout(PROBE_SECONDS):
                        if not await self._serves(session, address, material):
                            lagging.outdated.append(address)
                except (aiohttp.ClientError, OSError):  # TimeoutError is an OSError
                    lagging.unreachable.append(address)

            await asyncio.gather(*map(probe, addresses))
        return lagging

    async def _addresses(self) -> list[str]:
        answer = await self._client.list(
            ENDPOINT_SLICES,
            self._namespace,
            params={"labelSelector": f"kubernetes.io/service-name={self._service}"},
        )
        slices = decode_as(answer, _SliceList, "the list of EndpointSlices").items
        return sorted({address for one in slices for address in ready_addresses(one)})

    async def _serves(
        self, session: aiohttp.ClientSession, address: str, material: Material
    ) -> bool:
        """Return whether a pod serves the pair and the path.

        aiohttp compares the certificate before it sends the request, which holds the token.
        """
        certificate = ssl.PEM_cert_to_DER_cert(material.certificate.decode())
        prefix = f"/{material.path_token.decode()}" if material.path_token else ""
        host = f"{self._service}.{self._namespace}.svc"
        try:
            async with session.post(
                f"https://{address}{prefix}{PATHS[VALIDATING_WEBHOOKS]}",
                ssl=aiohttp.Fingerprint(hashlib.sha256(certificate).digest()),
                server_hostname=host,
                headers={"Host": host},
                allow_redirects=False,
            ) as answer:
                return answer.status != HTTPStatus.NOT_FOUND
        except aiohttp.ServerFingerprintMismatch:
            return False


def ready_addresses(endpoint_slice: EndpointSlice) -> list[str]:
    """Return `host:port` of each pod of a slice that is not unready, at the port `webhook`."""
    ports = [one.port for one in endpoint_slice.ports or () if one.port and one.name == PORT_NAME]
    # The first address is the one that clients use. Unknown readiness counts as ready.
    hosts = [
        one.addresses[0]
        for one in endpoint_slice.endpoints or ()
        if one.addresses and (one.conditions or {}).get("ready") is not False
    ]
    return [
        f"[{host}]:{port}" if ":" in host else f"{host}:{port}" for host in hosts for port in ports
    ]
