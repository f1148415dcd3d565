"""Send every request of every process to the API server.

`Client` and the caches call it. A request has a time limit, TCP keepalive finds dead
peers, and watches have a pool of their own so that they never block requests. This
module must not log a body, and reads neither proxy variables nor netrc.
"""

import asyncio
import math
import re
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Self
from urllib.parse import urlsplit

import aiohttp
import structlog

from kube.client import ANSWER_BYTES, JSON, REQUEST_SECONDS
from kube.configuration import find
from kube.credentials import Credentials, Identity
from kube.errors import ERROR_BODY_BYTES, AnswerTooLarge, Unauthorized, from_response
from kube.http_messages import TRANSPORT_ERRORS, Outgoing, as_api_error, read_up_to
from kube.http_sessions import Fence, open_session
from kube.watch_lines import hang_up, read_lines

CONNECT_SECONDS = 5.0
REQUEST_LIMITS = aiohttp.ClientTimeout(sock_connect=CONNECT_SECONDS)
TLS_ALERT = re.compile(r"\[SSL: \w*ALERT")
# Requests for one object take milliseconds. From here on, edits reach their copies late.
SLOW_SECONDS = 1.0
QUIET_SECONDS = 60.0  # between two log lines about slow answers
NO_ANSWER = "<error>"  # the word of client-go's metrics in place of a status code

# Takes the HTTP method, the host and port, the status code or `NO_ANSWER`, and the seconds until
# the answer began.
OnAnswer = Callable[[str, str, str, float], None]


@dataclass(frozen=True, slots=True)
class ConnectionSettings:
    """How to connect.

    Attributes:
        kubeconfig: the file; by default what `kubectl` and pods use.
        context: of the kubeconfig; its current one by default.
        disable_strict_tls: whether to accept a CA without key identifiers, which Python 3.13
            and later refuse by default.
        user_agent: name and version of the program, for the API server's logs.
        write_limit: requests at the same time; watches are not counted.
        watch_idle_seconds: longest silence of a watch, also if the caller allows a longer one.
    """

    kubeconfig: Path | None = None
    context: str | None = None
    disable_strict_tls: bool = False
    user_agent: str = "kube"
    write_limit: int = 32
    watch_idle_seconds: float = math.inf


class Connection:
    """Sends requests and watches to one API server, as one user."""

    def __init__(
        self,
        credentials: Credentials,
        requests: aiohttp.ClientSession,
        watches: aiohttp.ClientSession,
        watch_idle_seconds: float,
        on_answer: OnAnswer,
    ) -> None:
        """Use open sessions; `open` makes them."""
        self._credentials = credentials
        self._on_answer = on_answer
        self._authority = urlsplit(credentials.target.host).netloc.rpartition("@")[2]
        self._quiet_until = -math.inf
        self._log = structlog.get_logger("connection")
        self._watch_idle_seconds = watch_idle_seconds
        self._requests = requests
        self._watches = watches

    @classmethod
    @asynccontextmanager
    async def open(
        cls,
        settings: ConnectionSettings,
        on_answer: OnAnswer = lambda *_: None,
        fence: Fence | None = None,
    ) -> AsyncIterator[Self]:
        """Load the credentials and yield a connection; no request is sent yet.

        Args:
            settings: how to connect.
            on_answer: called after each request, also after one without an answer.
            fence: called immediately before each write is sent, also before it is sent again;
                what it raises goes to the caller of `request`.

        Raises:
            ConfigurationError: the API server cannot be found, or its certificates cannot be read.
        """
        source = find(settings.kubeconfig, settings.context)
        credentials = await Credentials.load(source, strict=not settings.disable_strict_tls)
        async with (
            open_session(settings.write_limit, settings.user_agent, fence) as requests,
            open_session(0, settings.user_agent) as watches,
        ):
            yield cls(credentials, requests, watches, settings.watch_idle_seconds, on_answer)

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

        If the API server refuses the credentials, they are loaded again and the request is
        sent once more.

        Args:
            method: of HTTP.
            path: with its leading slash.
            params: of the query.
            body: in JSON.
            content_type: of the body.
            accept: media types of the answer.
            timeout: seconds for the whole answer.
            max_bytes: of the answer.

        Raises:
            AnswerTooLarge: the answer has more than `max_bytes`; its connection is closed.
            Unreachable: no answer came in time; the request may have been carried out.
            ApiError: the status is not 2xx.
        """
        outgoing = Outgoing(method, path, params, accept, body, content_type if body else None)
        try:
            async with (
                asyncio.timeout(timeout),
                await self._answer(self._requests, outgoing, REQUEST_LIMITS) as response,
            ):
                body = await read_up_to(response, max_bytes)
        except TRANSPORT_ERRORS as error:
            raise as_api_error(error, outgoing.name) from error
        if body is None:
            raise AnswerTooLarge(
                f"{outgoing.name}: the answer has more than {max_bytes} bytes",
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
        may_rest: Callable[[], bool] = lambda: False,
    ) -> AsyncIterator[AsyncIterator[bytes]]:
        """Open a watch and yield its lines until the API server ends it.

        Args:
            path: of the collection.
            params: of the watch.
            accept: media types of the objects.
            idle_timeout: seconds without a byte after which the peer counts as dead, at most
                `ConnectionSettings.watch_idle_seconds`.
            total_timeout: seconds after which an open watch is `Unreachable`.
            may_rest: returns whether the lines that were yielded changed nothing. If so, lines may
                come up to 50 ms later, at less cost.

        Raises:
            Silent: the watch was open, and no byte came for `idle_timeout`.
            ApiError: the watch could not be opened, or broke off.
        """
        outgoing = Outgoing("GET", path, params, accept)
        limits = aiohttp.ClientTimeout(
            total=total_timeout,
            sock_connect=CONNECT_SECONDS,
            sock_read=min(idle_timeout, self._watch_idle_seconds),
        )
        try:
            response = await self._answer(self._watches, outgoing, limits)
        except TRANSPORT_ERRORS as error:
            raise as_api_error(error, outgoing.name) from error
        async with response, aclosing(read_lines(response, outgoing.name, may_rest)) as lines:
            try:
                yield lines
            finally:
                hang_up(response)

    async def _answer(
        self, session: aiohttp.ClientSession, outgoing: Outgoing, limits: aiohttp.ClientTimeout
    ) -> aiohttp.ClientResponse:
        """Return an answer with status 2xx, its body still unread; raise any other."""
        identity = await self._credentials.current()
        try:
            return await self._send(session, outgoing, limits, identity)
        except (Unauthorized, aiohttp.ClientError) as error:
            # A server, or a proxy before it, that requires a client certificate ends the TLS
            # connection with an alert.
            if not isinstance(error, Unauthorized) and not TLS_ALERT.search(str(error)):
                raise
            other = await self._credentials.replace_refused(identity)
            if other == identity:
                raise
            return await self._send(session, outgoing, limits, other)

    async def _send(
        self,
        session: aiohttp.ClientSession,
        outgoing: Outgoing,
        limits: aiohttp.ClientTimeout,
        identity: Identity,
    ) -> aiohttp.ClientResponse:
        target = self._credentials.target
        code, began = NO_ANSWER, asyncio.get_running_loop().time()
        try:
            response = await session.request(
                outgoing.method,
                target.host + outgoing.path + outgoing.query,
                data=outgoing.data(),
                headers=outgoing.headers(identity.authorization),
                timeout=limits,
                proxy=target.proxy,
                ssl=identity.tls,
                server_hostname=target.server_name,
                allow_redirects=False,
            )
            code = str(response.status)
        finally:
            now = asyncio.get_running_loop().time()
            self._on_answer(outgoing.method, self._authority, code, now - began)
        self._note_slow(outgoing.method, now - began, now)
        if 200 <= response.status < 300:
            return response
        async with response:
            body = await read_up_to(response, ERROR_BODY_BYTES)
        raise from_response(response.status, body or b"", response.headers)

    def _note_slow(self, method: str, seconds: float, now: float) -> None:
        """Log a slow answer, at most once a minute, because all answers may be slow."""
        if seconds >= SLOW_SECONDS and now >= self._quiet_until:
            self._quiet_until = now + QUIET_SECONDS
            self._log.warning("API server answers slowly", verb=method, seconds=round(seconds, 1))
