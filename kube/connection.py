"""The one door to the API server: every request of every process goes through here.

What it guarantees: a timeout on everything, dead peers noticed by TCP keepalive, watches that never starve requests (pools of their own), errors
as classes, and no body ever in a log. It reads no proxy and no password file from the environment; what the kubeconfig says holds.
"""

import asyncio
import io
import ssl
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Mapping
from contextlib import aclosing, asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self
from urllib.parse import urlsplit

import aiohttp
from aiohttp.http_exceptions import HttpProcessingError

from kube import credentials
from kube.client import ANSWER_BYTES, JSON, REQUEST_SECONDS
from kube.errors import (
    ERROR_BODY_BYTES,
    AnswerTooLarge,
    Malformed,
    Silent,
    Unauthorized,
    Unreachable,
    from_response,
)
from kube.http_sessions import Fence, open_session, tls_context
from kube.target import ConfigurationError, Target

__all__ = [
    "ConfigurationError",
    "Connection",
    "ConnectionSettings",
    "Fence",
    "RequestMetrics",
]

CONNECT_TIMEOUT = 5.0  # seconds
REQUEST_LIMITS = aiohttp.ClientTimeout(
    sock_connect=CONNECT_TIMEOUT
)  # the whole is bounded by each caller
LARGE_BODY = 1 << 19  # bytes
NO_ANSWER = "<error>"  # client-go's word in place of a code


@dataclass(frozen=True, slots=True)
class ConnectionSettings:
    """How to connect.

    Attributes:
        kubeconfig: the file; by default what `kubectl` and pods use.
        context: of the kubeconfig; its current one by default.
        disable_strict_tls: accept a CA without key identifiers, which Python 3.13 refuses by default.
        user_agent: who we say we are.
        write_limit: requests at the same time; watches are not counted.
        service_account: folder of the pod's token and CA.
    """

    kubeconfig: Path | None = None
    context: str | None = None
    disable_strict_tls: bool = False
    user_agent: str = "kube"
    write_limit: int = 32
    service_account: Path = credentials.SERVICE_ACCOUNT


class RequestMetrics(Protocol):
    """Where a connection tells of its requests."""

    def answered(self, method: str, host: str, code: str, seconds: float) -> None:
        """A request was sent, and its answer began after so many seconds; `<error>` stands for the code where none came."""


class Connection:
    """Requests and watches to one API server, as one user."""

    def __init__(
        self,
        target: Target,
        settings: ConnectionSettings,
        metrics: RequestMetrics | None = None,
        fence: Fence | None = None,
    ) -> None:
        self._target = target
        self._metrics = metrics
        self._authority = urlsplit(target.host).netloc.rpartition("@")[2]
        context = tls_context(target, strict=not settings.disable_strict_tls)
        self._requests = open_session(context, settings.write_limit, settings.user_agent, fence)
        self._watches = open_session(context, 0, settings.user_agent)

    @classmethod
    async def open(
        cls,
        settings: ConnectionSettings,
        metrics: RequestMetrics | None = None,
        fence: Fence | None = None,
    ) -> Self:
        """Find the API server and make ready to talk to it; nothing is sent yet.

        Args:
            settings: how to connect.
            metrics: is told of every request; by default nobody is.
            fence: asked before each request that may change something, at the last moment before it is sent, and again when it is sent once
                more; what it raises goes to whoever wanted to send.

        Raises:
            ConfigurationError: it cannot be found, or its certificates cannot be read; one line for people.
        """
        target = await credentials.find(
            settings.kubeconfig, settings.context, settings.service_account
        )
        try:
            return cls(target, settings, metrics, fence)
        except (OSError, ssl.SSLError) as error:
            raise ConfigurationError(
                f"the certificates for {target.host} cannot be used: {error}"
            ) from error

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close every connection."""
        await self._requests.close()
        await self._watches.close()

    async def request(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        body: bytes | None = None,
        content_type: str = JSON,
        accept: str = JSON,
        timeout: float = REQUEST_SECONDS,  # noqa: ASYNC109 - aiohttp's name
        max_bytes: int = ANSWER_BYTES,
    ) -> bytes:
        """Send one request and return the whole body of its answer.

        After a 401 the token is loaded again and the request sent once more.

        Raises:
            AnswerTooLarge: the answer has more than `max_bytes`; its connection is closed.
            ApiError: any answer but 2xx, or none in time; what ends in `Unreachable` may have been carried out.
        """
        outgoing = _Outgoing(
            method, path, params, body, accept, content_type if body is not None else None
        )
        with _as_api_errors(outgoing):
            async with (
                asyncio.timeout(timeout),
                await self._answer(self._requests, outgoing, REQUEST_LIMITS) as response,
            ):
                body = await _read_up_to(response, max_bytes)
        if body is None:
            raise AnswerTooLarge(
                f"{method} {path}: the answer has more than {max_bytes} bytes",
                status=response.status,
            )
        return body

    @asynccontextmanager
    async def stream(
        self,
        path: str,
        *,
        params: Mapping[str, str],
        accept: str = JSON,
        idle_timeout: float,
        total_timeout: float,
    ) -> AsyncIterator[AsyncIterator[bytes]]:
        """Open a watch: yields its lines as they come, until the server ends it.

        Args:
            path: what is watched.
            params: of the watch.
            accept: in which form.
            idle_timeout: seconds without a byte after which the peer counts as dead.
            total_timeout: seconds after which the stream is ended in any case.

        Raises:
            Silent: it was open, and nothing came for `idle_timeout`.
            ApiError: it could not be opened, or broke.
        """
        outgoing = _Outgoing("GET", path, params, None, accept, None)
        limits = aiohttp.ClientTimeout(
            total=total_timeout, sock_connect=CONNECT_TIMEOUT, sock_read=idle_timeout
        )
        with _as_api_errors(outgoing):
            response = await self._answer(self._watches, outgoing, limits)
        # Only reading is guarded: what goes wrong in the caller's block is the caller's, and no error of the API server.
        async with response, aclosing(_lines(response, outgoing)) as lines:
            try:
                yield lines
            finally:
                _hang_up(response)

    async def _answer(
        self, session: aiohttp.ClientSession, outgoing: "_Outgoing", limits: aiohttp.ClientTimeout
    ) -> aiohttp.ClientResponse:
        """An answer that is 2xx, its body still unread; any other is raised."""
        token = self._target.token
        if token is None:
            return await self._send(session, outgoing, limits, None)
        sent = await token.value()
        try:
            return await self._send(session, outgoing, limits, sent)
        except Unauthorized:
            if (other := await token.after_refusal_of(sent)) == sent:
                raise
            return await self._send(session, outgoing, limits, other)

    async def _send(
        self,
        session: aiohttp.ClientSession,
        outgoing: "_Outgoing",
        limits: aiohttp.ClientTimeout,
        authorization: str | None,
    ) -> aiohttp.ClientResponse:
        code, began = NO_ANSWER, asyncio.get_running_loop().time()
        try:
            response = await session.request(
                outgoing.method,
                self._target.host + outgoing.path,
                params=outgoing.params,
                data=outgoing.data(),
                headers=outgoing.headers(authorization),
                timeout=limits,
                proxy=self._target.proxy,
                server_hostname=self._target.server_name,
                allow_redirects=False,
            )
            code = str(response.status)
        finally:
            if self._metrics is not None:
                seconds = asyncio.get_running_loop().time() - began
                self._metrics.answered(outgoing.method, self._authority, code, seconds)
        if 200 <= response.status < 300:
            return response
        async with response:
            body = await _read_up_to(response, ERROR_BODY_BYTES)
        raise from_response(response.status, body or b"", response.headers)


@dataclass(frozen=True, slots=True)
class _Outgoing:
    """A request as it goes out."""

    method: str
    path: str
    params: Mapping[str, str] | None
    body: bytes | None
    accept: str
    content_type: str | None

    def headers(self, authorization: str | None) -> dict[str, str]:
        """What is particular to this request."""
        headers = {
            "Accept": self.accept,
            "Content-Type": self.content_type,
            "Authorization": authorization,
        }
        return {name: value for name, value in headers.items() if value}

    def data(self) -> bytes | io.BytesIO | None:
        """The body; a large one to be sent piece by piece, so that the event loop is not held up by it."""
        return io.BytesIO(self.body) if self.body and len(self.body) > LARGE_BODY else self.body


async def _read_up_to(response: aiohttp.ClientResponse, limit: int) -> bytes | None:
    """Read the body of an answer; None where it has more than `limit` bytes, and then its connection is closed."""
    if (response.content_length or 0) > limit:
        response.close()
        return None
    body = bytearray()
    async for chunk in response.content.iter_any():
        body += chunk
        if len(body) > limit:
            response.close()
            return None
    return bytes(body)


async def _lines(
    response: aiohttp.ClientResponse, outgoing: _Outgoing
) -> AsyncGenerator[bytes, None]:
    what = f"{outgoing.method} {outgoing.path}"
    with _as_api_errors(outgoing):
        try:
            while line := await response.content.readline(max_line_length=ANSWER_BYTES):
                if not line.endswith(b"\n"):
                    raise Unreachable(f"{what}: broken off in the middle of a line")
                yield line
        except aiohttp.SocketTimeoutError as error:
            raise Silent(f"{what}: nothing came for too long") from error


def _hang_up(response: aiohttp.ClientResponse) -> None:
    """End a watch at once where it has not ended: saying goodbye over TLS would wait for a peer that may be gone."""
    connection = response.connection
    if connection is not None and connection.transport is not None:
        connection.transport.abort()


@contextmanager
def _as_api_errors(outgoing: _Outgoing) -> Iterator[None]:
    """Turn whatever aiohttp and the system raise into our classes, the original chained; their texts may quote what came."""
    what = f"{outgoing.method} {outgoing.path}"
    try:
        yield
    except TimeoutError as error:
        raise Unreachable(f"{what}: no answer in time") from error
    except (HttpProcessingError, aiohttp.ClientResponseError) as error:
        raise Malformed(f"{what}: the answer is no HTTP ({type(error).__name__})") from error
    except aiohttp.ClientPayloadError as error:
        raise Unreachable(f"{what}: the answer broke off") from error
    except (aiohttp.ClientError, OSError) as error:
        raise Unreachable(
            f"{what}: {' '.join(str(error).split()) or type(error).__name__}"
        ) from error
