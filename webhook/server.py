"""The two paths over TLS: HTTP in, HTTP out, and nothing of the rules.

Every request gets the right answer, whatever was sent: a review with HTTP 200 where the API server can use one, else a Kubernetes Status
with the code that says what was wrong. What a review means is `admission.py`'s business.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import msgspec
import structlog
from aiohttp import web
from aiohttp.typedefs import Handler

from runtime.listening import address_of, open_socket
from runtime.settings import Address
from webhook.admission import Answer
from webhook.certwatcher import CertWatcher
from webhook.metrics import Metrics
from webhook.review import Document, MalformedReviewError, Review, failure, parse

log = structlog.stdlib.get_logger()

MUTATE_PATH = "/mutate-apps-nishaf-info-v1-configmapsync"
VALIDATE_PATH = "/validate-apps-nishaf-info-v1-configmapsync"
PATHS = (MUTATE_PATH, VALIDATE_PATH)

# The API server takes objects of 1.5 MiB (its store's limit) up to 3 MiB (its request limit), and an update carries two of them.
LARGEST_BODY = 8 * 1024 * 1024

# The API server waits 5 s for the whole answer; a client that is still sending after this long is none we know.
LONGEST_SENDING_SECONDS = 10.0

# Longer than the 90 s after which Go's client drops an idle connection, so that it is never us who closes one just being used.
IDLE_CONNECTION_SECONDS = 120.0

# After a refusal the rest of a body is read and thrown away for this long, so that the client reads the answer instead of a reset.
LINGERING_SECONDS = 1.0

# A judgement takes 4 s at most; who is still being served after this long has no client any more.
SHUTDOWN_SECONDS = 6.0

# Two API servers are the usual clients; the queue is for the moment when all of their connections are made anew at once.
BACKLOG = 1024

# Kubernetes' words for what goes wrong before there is a review; HTTP's own phrases change from one Python to the next.
REASONS = {
    404: "NotFound",
    405: "MethodNotAllowed",
    408: "Timeout",
    413: "RequestEntityTooLarge",
    415: "UnsupportedMediaType",
}

Decide = Callable[[Review], Awaitable[Answer]]


@dataclass(frozen=True, slots=True)
class Decisions:
    """What stands behind the two paths."""

    mutate: Decide
    validate: Decide


class WebhookServer:
    """Listens until closed."""

    def __init__(
        self,
        address: Address,
        watcher: CertWatcher,
        decisions: Decisions,
        metrics: Metrics,
        body_within_seconds: float = LONGEST_SENDING_SECONDS,
    ) -> None:
        self._address = address
        self._body_within_seconds = body_within_seconds
        self._watcher = watcher
        self._metrics = metrics
        self._draining = False
        for path in PATHS:
            metrics.serves(path)
        application = web.Application(client_max_size=LARGEST_BODY, middlewares=[self._counted, self._with_status])
        application.router.add_post(MUTATE_PATH, self._handler(decisions.mutate))
        application.router.add_post(VALIDATE_PATH, self._handler(decisions.validate))
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
        listening = open_socket(self._address, BACKLOG)
        site = web.SockSite(
            self._runner,
            listening,
            ssl_context=self._watcher.listener_context,
            backlog=BACKLOG,
        )
        await site.start()
        return address_of(listening)

    def drain(self) -> None:
        """Close each connection after the answer that it is given from now on; new ones are still served."""
        self._draining = True

    async def close(self) -> None:
        """Stop listening, let requests in flight finish, close."""
        await self._runner.cleanup()

    def _handler(self, decide: Decide) -> Callable[[web.Request], Awaitable[web.Response]]:
        async def handle(request: web.Request) -> web.Response:
            review = parse(await self._body(request))
            with structlog.contextvars.bound_contextvars(review=review.request.uid):
                answer = await decide(review)
            self._metrics.judged(request.path, review.request.operation, answer.outcome)
            return web.Response(body=answer.body, content_type="application/json")

        return handle

    async def _body(self, request: web.Request) -> bytes:
        """Read the body, at most `LARGEST_BODY` (aiohttp answers 413 beyond it), from whoever sends it in time."""
        if request.content_type != "application/json":
            raise web.HTTPUnsupportedMediaType
        if (request.content_length or 0) > LARGEST_BODY:
            raise web.HTTPRequestEntityTooLarge(LARGEST_BODY, request.content_length or 0)
        try:
            async with asyncio.timeout(self._body_within_seconds):
                return await request.read()
        except TimeoutError as error:
            raise web.HTTPRequestTimeout from error

    @web.middleware
    async def _counted(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Measure what comes to our two paths, and nothing else: whoever tries others must not make series."""
        if request.path not in PATHS:
            return await handler(request)
        with self._metrics.answering(request.path):
            response = await handler(request)
        self._metrics.answered(request.path, response.status)
        return response

    @web.middleware
    async def _with_status(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Turn whatever goes wrong into a Status: the outermost guard of the process, so that one request harms no other."""
        try:
            response = await handler(request)
        except MalformedReviewError as error:
            response = _status(failure(400, "BadRequest", str(error)))
        except web.HTTPException as error:
            reason = REASONS.get(error.status, "Unknown")
            response = _status(failure(error.status, reason, f"{request.method} {request.path}: {error.reason}"))
            if "Allow" in error.headers:
                response.headers["Allow"] = error.headers["Allow"]
        except Exception:
            log.exception("review not answered", path=request.path)
            response = _status(failure(500, "InternalError", "the webhook failed to judge this; its log says why"))
        if self._draining:
            response.force_close()
        return response


def _status(status: Document) -> web.Response:
    return web.Response(status=status["code"], body=msgspec.json.encode(status), content_type="application/json")
