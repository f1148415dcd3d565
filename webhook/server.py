"""Serve the two webhook paths over TLS.

`app.py` starts and stops the server. Every request receives an answer: HTTP 200 with an
AdmissionReview, or an HTTP error with a Kubernetes Status. `admission.py` decides about
reviews, `paths.py` which paths are served, and `runtime/listening.py` which connections
are kept.
"""

import asyncio
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

import msgspec
import structlog
from aiohttp import web
from aiohttp.typedefs import Handler

from runtime.listening import ConnectionLimits, Listener
from runtime.settings import Address
from webhook.admission import Admission
from webhook.admission_review import MalformedReviewError, parse
from webhook.answers import failure
from webhook.certwatcher import CertWatcher
from webhook.metrics import Metrics
from webhook.paths import MUTATE_PATH, VALIDATE_PATH, ServedPaths

# The API server accepts requests of 3 MiB and stores objects of 1.5 MiB as JSON. An update
# carries two objects: half of this limit. The rest is for new objects that JSON escapes make
# larger, which the API server would not store.
LARGEST_BODY = 8 * 1024 * 1024

# Bodies up to this size are always read. Larger ones are rejected while `LARGEST_BODIES` bytes
# are in memory.
SMALL_BODY = 256 * 1024
LARGEST_BODIES = 64 * 1024 * 1024

# The API server waits 5 s for the answer, so a client that sends for longer is not one.
BODY_SECONDS = 10.0

# Longer than the 90 s after which Go's client closes an idle connection, so that this server
# never closes one that a client starts to use.
IDLE_CONNECTION_SECONDS = 120.0

# After an early answer, the rest of a body is read and dropped for this long, so that the client
# reads the answer and not a connection reset.
LINGERING_SECONDS = 1.0

# A review takes at most 4 s; after this long, the client has given up.
SHUTDOWN_SECONDS = 6.0

# The Kubernetes reasons for errors before a review is parsed. The phrases of HTTP differ between
# versions of Python.
REASONS = {
    403: "Forbidden",
    404: "NotFound",
    405: "MethodNotAllowed",
    408: "Timeout",
    413: "RequestEntityTooLarge",
    415: "UnsupportedMediaType",
    503: "ServiceUnavailable",
}


class WebhookServer:
    """Answers reviews until closed."""

    def __init__(
        self,
        address: Address,
        watcher: CertWatcher,
        paths: ServedPaths,
        admission: Admission,
        metrics: Metrics,
        *,
        client_names: frozenset[str] = frozenset(),
        limits: ConnectionLimits | None = None,
        body_seconds: float = BODY_SECONDS,
    ) -> None:
        """Prepare; `start` opens the socket.

        Args:
            address: to listen at.
            watcher: provides the TLS context.
            paths: the paths that are served.
            admission: answers the reviews.
            metrics: counts the requests.
            client_names: a client certificate must have one of these names; empty for any.
            limits: on connections; None for the defaults.
            body_seconds: time for a client to send a body.
        """
        self._log = structlog.get_logger("server")
        self._listener = Listener(address, limits or ConnectionLimits(), watcher.listener_context)
        self._body_seconds = body_seconds
        self._paths = paths
        self._handlers = {MUTATE_PATH: admission.mutate, VALIDATE_PATH: admission.validate}
        self._metrics = metrics
        self._client_names = client_names
        self._held_bytes = 0
        self._draining = False
        for path in self._handlers:
            metrics.serves(path)
        application = web.Application(middlewares=[self._tracked, self._with_status])
        application.router.add_route("*", "/{path:.*}", self._handle, expect_handler=self._continue)
        self._runner = web.AppRunner(
            application,
            access_log=None,
            keepalive_timeout=IDLE_CONNECTION_SECONDS,
            lingering_time=LINGERING_SECONDS,
            shutdown_timeout=SHUTDOWN_SECONDS,
        )

    async def start(self) -> Address:
        """Open the socket; return its address with the actual port."""
        return await self._listener.serve(self._runner)

    def drain(self) -> None:
        """Close each connection after its next answer. New connections are still served."""
        self._draining = True

    async def close(self) -> None:
        """Stop accepting, finish the requests in flight, and close all connections."""
        await self._listener.close()

    async def _continue(self, request: web.Request) -> None:
        """Answer `Expect: 100-continue` only if the body will be read."""
        if self._plain_path(request):
            await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            request.writer.output_size = 0

    def _plain_path(self, request: web.Request) -> str | None:
        """Return the plain path of a request, or None if its path is not served."""
        return self._paths.plain(request.rel_url.raw_path)

    async def _handle(self, request: web.Request) -> web.Response:
        """Answer a review.

        The path and the client are checked before any of the body is read.
        """
        webhook = self._plain_path(request)
        if webhook is None:
            raise web.HTTPNotFound
        if not accepts(self._client_names, request.get_extra_info("peercert")):
            raise web.HTTPForbidden
        if request.method != "POST":
            raise web.HTTPMethodNotAllowed(request.method, ["POST"])
        body = bytearray()
        try:
            await self._read(request, body)
            review = parse(body)
        finally:
            self._held_bytes -= len(body)
        with structlog.contextvars.bound_contextvars(review=review.uid):
            answer = await self._handlers[webhook](review)
        self._metrics.checked(webhook, review.operation, answer.outcome)
        return web.Response(body=answer.body, content_type="application/json")

    async def _read(self, request: web.Request, body: bytearray) -> None:
        """Read the body into `body`, up to `LARGEST_BODY` bytes.

        Raises:
            HTTPException: the body is too large, of another content type, or too slow, or
                other bodies fill the memory.
        """
        if request.content_type != "application/json":
            raise web.HTTPUnsupportedMediaType
        if (announced := request.content_length or 0) > LARGEST_BODY:
            raise web.HTTPRequestEntityTooLarge(LARGEST_BODY, announced)
        try:
            async with asyncio.timeout(self._body_seconds):
                while part := await request.content.readany():
                    body += part
                    self._held_bytes += len(part)
                    if len(body) > LARGEST_BODY:
                        raise web.HTTPRequestEntityTooLarge(LARGEST_BODY, len(body))
                    if len(body) > SMALL_BODY and self._held_bytes > LARGEST_BODIES:
                        raise web.HTTPServiceUnavailable
        except TimeoutError as error:
            raise web.HTTPRequestTimeout from error

    @web.middleware
    async def _tracked(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Report the request to the listener, and measure it if its path is served.

        Other paths must not create series of metrics.
        """
        webhook = self._plain_path(request)
        self._listener.began(request.protocol)
        answer = handler(request)
        response = await (self._metrics.measure(webhook, answer) if webhook else answer)
        valid = response.status == HTTPStatus.OK
        if self._draining or not valid:
            response.force_close()
        self._listener.ended(request.protocol, valid=valid)
        return response

    @web.middleware
    async def _with_status(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Turn any exception into a Status, so that one request cannot affect others.

        The requested path appears in no message and no log line, because it may hold the token.
        """
        try:
            return await handler(request)
        except MalformedReviewError as error:
            return _status(400, "BadRequest", str(error))
        except web.HTTPException as error:
            reason = REASONS.get(error.status, "Unknown")
            response = _status(error.status, reason, f"{request.method}: {error.reason}")
            if "Allow" in error.headers:
                response.headers["Allow"] = error.headers["Allow"]
            return response
        except Exception:  # noqa: BLE001 - any fault of one request must not affect others
            self._log.exception("request failed unexpectedly", webhook=self._plain_path(request))
            message = "the webhook failed to check this request; see the log of the webhook"
            return _status(500, "InternalError", message)


def accepts(names: frozenset[str], certificate: Mapping[str, Any] | None) -> bool:
    """Return whether a client certificate has one of some names.

    TLS has already checked the CA of the certificate.

    Args:
        names: common names or subject alternative names; empty to accept every client.
        certificate: as `getpeercert` returns it; None if the client presented none.
    """
    certificate = certificate or {}
    common = (
        value
        for relative_name in certificate.get("subject", ())
        for key, value in relative_name
        if key == "commonName"
    )
    alternative = (value for _kind, value in certificate.get("subjectAltName", ()))
    return not names or not names.isdisjoint((*common, *alternative))


def _status(code: int, reason: str, message: str) -> web.Response:
    body = msgspec.json.encode(failure(code, reason, message))
    return web.Response(status=code, body=body, content_type="application/json")
