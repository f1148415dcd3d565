"""Send an AdmissionReview to a webhook over TLS and return the body of its answer.

A reference to a Service is reached at the address that `--service-address` gives for
it. TLS still verifies the name to which kube-apiserver would have connected.
"""

import asyncio
import base64
import binascii
import functools
import socket
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from types import TracebackType

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from devcluster.admission.webhook import ClientConfig

HEADERS = {
    "User-Agent": "kube-apiserver-admission",
    "Accept": "application/json, */*",
    "Content-Type": "application/json",
    "Accept-Encoding": "gzip",
}


class CallFailedError(Exception):
    """A call without a usable answer; the message has the real server's words."""


@dataclass(frozen=True, slots=True)
class Address:
    """Where a service really listens."""

    host: str
    port: int


def parse_service_address(text: str) -> tuple[tuple[str, str], Address]:
    """Read NAMESPACE/NAME=HOST:PORT.

    Raises:
        ValueError: it does not look like that.
    """
    service, _, address = text.partition("=")
    namespace, _, name = service.partition("/")
    host, _, port = address.rpartition(":")
    if not (namespace and name and host and port.isascii() and port.isdigit()) or int(port) > 65535:
        message = f"{text!r} is not NAMESPACE/NAME=HOST:PORT"
        raise ValueError(message)
    return (namespace, name), Address(host.strip("[]"), int(port))


class WebhookEndpoints:
    """The way out to all webhooks; an async context manager that holds their connections."""

    def __init__(self, services: Mapping[tuple[str, str], Address]) -> None:
        self._services = services
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> "WebhookEndpoints":
        connector = aiohttp.TCPConnector(
            resolver=_ServiceResolver(self._services), limit=0, use_dns_cache=False
        )
        self._session = aiohttp.ClientSession(connector=connector, headers=HEADERS, trust_env=False)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def post(self, client: ClientConfig, body: bytes, timeout_seconds: int) -> bytes:
        """Send one review.

        Raises:
            CallFailedError: the endpoint is unreachable, not trusted or too slow, or it answers an
                HTTP status other than success.
        """
        context = _trust(client.ca_bundle)
        url = _with_timeout(client.url, timeout_seconds)
        if client.service is not None and client.service not in self._services:
            raise CallFailedError(
                f'failed to call webhook: Post "{url}": service "{client.service[1]}" not found'
            )
        try:
            async with asyncio.timeout(timeout_seconds):
                return await self._exchange_again_if_hung_up(url, body, context)
        except TimeoutError as error:
            raise CallFailedError(
                f'failed to call webhook: Post "{url}": context deadline exceeded'
            ) from error
        except (aiohttp.ClientError, OSError) as error:
            raise CallFailedError(
                f'failed to call webhook: Post "{url}": {_cause(error)}'
            ) from error

    async def _exchange_again_if_hung_up(
        self, url: URL, body: bytes, context: ssl.SSLContext
    ) -> bytes:
        """Try once more if a kept connection was closed by the webhook, which is no failure yet."""
        try:
            return await self._exchange(url, body, context)
        except aiohttp.ClientConnectorError:
            raise  # this was a new connection
        except (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError):
            return await self._exchange(url, body, context)

    async def _exchange(self, url: URL, body: bytes, context: ssl.SSLContext) -> bytes:
        if self._session is None:
            raise RuntimeError(
                "webhooks are called only between the start and the end of the server"
            )
        async with self._session.post(
            url, data=body, ssl=context, allow_redirects=False
        ) as response:
            answer = await response.read()
            if not 200 <= response.status <= 206:
                raise CallFailedError(
                    f"failed to call webhook: {_status_text(response.status, answer)}"
                )
            return answer


class _ServiceResolver(AbstractResolver):
    """Names of mapped services lead to their addresses, all others are looked up as usual."""

    def __init__(self, services: Mapping[tuple[str, str], Address]) -> None:
        self._addresses = {
            f"{name}.{namespace}.svc": address for (namespace, name), address in services.items()
        }

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        address = self._addresses.get(host, Address(host, port))
        loop = asyncio.get_running_loop()
        found = await loop.getaddrinfo(
            address.host, address.port, type=socket.SOCK_STREAM, family=family
        )
        return [
            ResolveResult(
                hostname=host,
                host=str(where[0]),
                port=int(where[1]),
                family=found_family,
                proto=protocol,
                flags=socket.AI_NUMERICHOST,
            )
            for found_family, _, protocol, _, where in found
        ]

    async def close(self) -> None:
        """Nothing is kept open."""


@functools.lru_cache(
    maxsize=64
)  # reading a bundle costs more than the call; rotations leave few old ones behind
def _trust(ca_bundle: str) -> ssl.SSLContext:
    if not ca_bundle:
        return ssl.create_default_context()
    try:
        pem = base64.b64decode(ca_bundle, validate=True).decode("ascii")
        context = ssl.create_default_context(cadata=pem)
    except (binascii.Error, UnicodeDecodeError, ssl.SSLError) as error:
        reason = (
            "could not get REST client: unable to load root certificates: unable to parse bytes "
            "as PEM block"
        )
        raise CallFailedError(reason) from error
    # Python 3.13 made this flag the default. kube-apiserver accepts authorities without keyUsage
    # and without key identifiers.
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    return context


def _with_timeout(url: str, seconds: int) -> URL:
    return URL(url, encoded=True).update_query(timeout=f"{seconds}s")


def _cause(error: BaseException) -> str:
    match error:
        case aiohttp.ClientConnectorCertificateError():
            return f"tls: failed to verify certificate: x509: {error.certificate_error}"
        case aiohttp.ClientConnectorDNSError():
            return f"dial tcp: lookup {error.host}: no such host"
        case aiohttp.ClientConnectorError():
            return f"dial tcp {error.host}:{error.port}: connect: {error.strerror or error}"
    return str(error) or type(error).__name__


def _status_text(status: int, answer: bytes) -> str:
    """Return the message for an HTTP status that the real server's client library has."""
    if status == 404:
        return "the server could not find the requested resource"
    if status == 503:
        return "the server is currently unable to handle the request"
    if status >= 500:
        text = answer[:2048].decode(errors="replace").strip() or "unknown"
        return f'an error on the server ("{text}") has prevented the request from succeeding'
    return f"the server responded with the status code {status} but did not return more information"
