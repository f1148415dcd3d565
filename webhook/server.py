"""The two paths over TLS: HTTP in, HTTP out, and nothing of the rules.

Every request gets the right answer, whatever was sent: a review with HTTP 200 where the API server can use one, else a Kubernetes Status
with the code that says what was wrong. What a review means is decided in `admission.py`, which paths are served in `paths.py`, and which
connections are kept in `listener.py`.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from http import HTTPStatus

import msgspec
import structlog
from aiohttp import web
from aiohttp.typedefs import Handler

from runtime.settings import Address
from webhook.admission import Answer
from webhook.certwatcher import CertWatcher
from webhook.clients import ClientNames
from webhook.listener import ConnectionLimits, Listener
from webhook.metrics import Metrics
from webhook.paths import PATHS, ServedPaths
from webhook.review import Document, MalformedReviewError, Review, failure, parse

log = structlog.stdlib.get_logger()

# The API server takes requests of 3 MiB, and its store objects of 1.5 MiB as JSON. An update carries two of them. What can be stored
# fits into half of this; the rest is for new objects that JSON escapes make larger, which the store would refuse afterwards.
LARGEST_BODY = 8 * 1024 * 1024

# Bodies of this size are always read. Larger ones are turned away while so many bytes of bodies are held already.
SMALL_BODY = 256 * 1024
LARGEST_BODIES = 64 * 1024 * 1024

# The API server waits 5 s for the whole answer; a client that is still sending after this long is none we know.
LONGEST_SENDING_SECONDS = 10.0

# Longer than the 90 s after which Go's client drops an idle connection, so that this server never closes one that is just being used.
IDLE_CONNECTION_SECONDS = 120.0

# After a refusal the rest of a body is read and thrown away for this long, so that the client reads the answer instead of a reset.
LINGERING_SECONDS = 1.0

# A judgement takes 4 s at most; who is still being served after this long has no client any more.
SHUTDOWN_SECONDS = 6.0

# Kubernetes' words for what goes wrong before there is a review; HTTP's own phrases change from one Python to the next.
REASONS = {
    403: "Forbidden",
    404: "NotFound",
    405: "MethodNotAllowed",
    408: "Timeout",
    413: "RequestEntityTooLarge",
    415: "UnsupportedMediaType",
    503: "ServiceUnavailable",
}

Decide = Callable[[Review], Awaitable[Answer]]


@dataclass(frozen=True, slots=True)
class Decisions:
    """What is behind the two paths."""

    mutate: Decide
    validate: Decide


class WebhookServer:
    """Listens until closed."""

    def __init__(
        self,
        address: Address,
        watcher: CertWatcher,
        paths: ServedPaths,
        decisions: Decisions,
        metrics: Metrics,
        *,
        client_names: ClientNames | None = None,
        connections: ConnectionLimits | None = None,
        body_within_seconds: float = LONGEST_SENDING_SECONDS,
    ) -> None:
        self._address = address
        self._body_within_seconds = body_within_seconds
        self._context = watcher.listener_context
        self._paths = paths
        self._decide = dict(zip(PATHS, (decisions.mutate, decisions.validate), strict=True))
        self._metrics = metrics
        self._client_names = client_names or ClientNames()
        self._connections = connections
        self._listener: Listener | None = None
        self._backoff_entries = 0  # bytes of bodies
        self._draining = False
        for path in PATHS:
            metrics.serves(path)
        application = web.Application(
            client_max_size=LARGEST_BODY, middlewares=[self._tracked, self._with_status]
        )
        application.router.add_route("*", "/{path:.*}", self._handle, expect_handler=self._expected)
        self._runner = web.AppRunner(
            application,
            access_log=None,
            keepalive_timeout=IDLE_CONNECTION_SECONDS,
            lingering_time=LINGERING_SECONDS,
            shutdown_timeout=SHUTDOWN_SECONDS,
        )

    async def start(self) -> Address:
        """Listen; returns the address, whose port the system picked where 0 was asked for."""
        await self._runner.setup()
        server = self._runner.server
        if server is None:
            raise RuntimeError("the server was closed already")
        self._listener = Listener(self._address, self._context, server, self._connections)
        return self._listener.start()

    def drain(self) -> None:
        """Close each connection after the answer that it is given from now on; new ones are still served."""
        self._draining = True

    async def close(self) -> None:
        """Stop listening, let requests in flight finish, close."""
        if self._listener is not None:
            await self._listener.close()
        await self._runner.cleanup()

    def connection_count(self) -> int:
        """Return how many connections are open."""
        return self._listener.count() if self._listener else 0

    def held_bytes(self) -> int:
        """Return how many bytes of bodies are held."""
        return self._backoff_entries

    async def _expected(self, request: web.Request) -> None:
        """Ask for a body that a client announced only where it will be read."""
        if self._webhook(request):
            await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            request.writer.output_size = 0

    def _webhook(self, request: web.Request) -> str | None:
        """Return the plain path of a request, or None if it is not served."""
        return self._paths.plain(request.rel_url.raw_path)

    async def _handle(self, request: web.Request) -> web.Response:
        """Answer a review. Which path it is and who asks is decided before anything of the body is read."""
        webhook = self._webhook(request)
        if webhook is None:
            raise web.HTTPNotFound
        if not self._client_names.accept(request.get_extra_info("peercert")):
            raise web.HTTPForbidden
        if request.method != "POST":
            raise web.HTTPMethodNotAllowed(request.method, ["POST"])
        body = bytearray()
        try:
            await self._read(request, body)
            review = parse(body)
        finally:
            self._backoff_entries -= len(body)
        with structlog.contextvars.bound_contextvars(review=review.request.uid):
            answer = await self._decide[webhook](review)
        self._metrics.checked(webhook, review.request.operation, answer.outcome)
        return web.Response(body=answer.body, content_type="application/json")

    async def _read(self, request: web.Request, body: bytearray) -> None:
        """Read the body into `body`, at most `LARGEST_BODY`, from clients that send it in time."""
        if request.content_type != "application/json":
            raise web.HTTPUnsupportedMediaType
        if (request.content_length or 0) > LARGEST_BODY:
            raise web.HTTPRequestEntityTooLarge(LARGEST_BODY, request.content_length or 0)
        try:
            async with asyncio.timeout(self._body_within_seconds):
                while part := await request.content.readany():
                    body += part
                    self._backoff_entries += len(part)
                    if len(body) > LARGEST_BODY:
                        raise web.HTTPRequestEntityTooLarge(LARGEST_BODY, len(body))
                    if len(body) > SMALL_BODY and self._backoff_entries > LARGEST_BODIES:
                        raise web.HTTPServiceUnavailable
        except TimeoutError as error:
            raise web.HTTPRequestTimeout from error

    @web.middleware
    async def _tracked(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Report the request to the listener, and measure it if its path is served: other paths must not make series."""
        webhook = self._webhook(request)
        if self._listener is not None:
            self._listener.began(request.protocol)
        valid = False
        try:
            if webhook is None:
                response = await handler(request)
            else:
                with self._metrics.answering(webhook):
                    response = await handler(request)
                self._metrics.answered(webhook, response.status)
            valid = response.status == HTTPStatus.OK
            if self._draining or not valid:
                response.force_close()
            return response
        finally:
            if self._listener is not None:
                self._listener.ended(request.protocol, valid=valid)

    @web.middleware
    async def _with_status(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Turn whatever goes wrong into a Status: the outermost guard of the process, so that one request harms no other.

        The requested path is in no message and no log line: it may hold the token.
        """
        try:
            return await handler(request)
        except MalformedReviewError as error:
            return _status(failure(400, "BadRequest", str(error)))
        except web.HTTPException as error:
            reason = REASONS.get(error.status, "Unknown")
            response = _status(failure(error.status, reason, f"{request.method}: {error.reason}"))
            if "Allow" in error.headers:
                response.headers["Allow"] = error.headers["Allow"]
            return response
        except Exception:
            log.exception("review not answered", webhook=self._webhook(request))
            return _status(
                failure(500, "InternalError", "the webhook failed to judge this; its log says why")
            )


def _status(status: Document) -> web.Response:
    return web.Response(
        status=status["code"], body=msgspec.json.encode(status), content_type="application/json"
    )
