import asyncio
import io
import json
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from aiohttp import ClientSession, ClientTimeout, TCPConnector
from prometheus_client import CollectorRegistry

from certs.authority import new_authority, new_serving_pair
from runtime.settings import Address
from tests.webhook import recorded
from webhook.admission import Answer
from webhook.certwatcher import CertWatcher
from webhook.metrics import Metrics
from webhook.review import Review, allowed
from webhook.server import LARGEST_BODY, MUTATE_PATH, VALIDATE_PATH, Decisions, WebhookServer

NOW = datetime.now(UTC)  # noqa: TID251 - TLS looks at the real clock
AUTHORITY = new_authority(NOW, timedelta(days=2))
PAIR = new_serving_pair(AUTHORITY, ["127.0.0.1"], NOW, timedelta(days=1))
JSON = {"Content-Type": "application/json"}


async def yes(review: Review) -> Answer:
    return Answer(allowed(review.request.uid), "allowed")


async def no_idea(_review: Review) -> Answer:
    raise ZeroDivisionError("a mistake of ours")


class Running:
    """A server, and a client that trusts it."""

    def __init__(self, server: WebhookServer, session: ClientSession, registry: CollectorRegistry) -> None:
        self.server, self.session, self.registry = server, session, registry
        self.address = Address("", 0)

    def url(self, path: str) -> str:
        return f"https://{self.address}{path}"

    async def send(
        self, body: bytes, path: str = VALIDATE_PATH, headers: dict[str, str] | None = None, method: str = "POST"
    ) -> tuple[int, dict]:
        async with self.session.request(
            method, self.url(path), data=io.BytesIO(body), headers=headers or JSON
        ) as answer:
            assert answer.content_type == "application/json"
            return answer.status, await answer.json()


@asynccontextmanager
async def running(folder: Path, decide: Callable = yes, **limits: float) -> AsyncIterator[Running]:
    (folder / "tls.crt").write_bytes(PAIR.certificate_pem)
    (folder / "tls.key").write_bytes(PAIR.key_pem)
    watcher = CertWatcher(folder, lambda _: None)
    watcher.look()
    registry = CollectorRegistry()
    server = WebhookServer(
        Address("127.0.0.1", 0), watcher, Decisions(mutate=decide, validate=decide), Metrics(registry), **limits
    )
    trusting = ssl.create_default_context(cadata=AUTHORITY.certificate_pem.decode())
    async with ClientSession(connector=TCPConnector(ssl=trusting, limit=0), timeout=ClientTimeout(30)) as session:
        running = Running(server, session, registry)
        running.address = await server.start()
        try:
            yield running
        finally:
            await server.close()


@pytest.mark.parametrize("path", [MUTATE_PATH, VALIDATE_PATH])
@pytest.mark.parametrize("name", recorded.NAMES)
async def test_every_recorded_review_is_answered_with_its_uid(tmp_path: Path, path: str, name: str):
    async with running(tmp_path) as it:
        status, answer = await it.send(recorded.body(name), path)
    assert status == 200
    assert answer["response"]["uid"] == recorded.document(name)["request"]["uid"]


async def test_the_query_and_the_headers_of_the_api_server_are_understood(tmp_path: Path):
    sent = recorded.INDEX[0]
    headers = {key: value for key, value in sent["headers"].items() if key != "Content-Length"}
    async with running(tmp_path) as it:
        status, _ = await it.send(recorded.body(sent["file"]), f"{VALIDATE_PATH}?{sent['query']}", headers)
    assert status == 200


@pytest.mark.parametrize(
    ("body", "how", "status", "reason"),
    [
        pytest.param(b"{", {}, 400, "BadRequest", id="no JSON"),
        pytest.param(b"{}", {}, 400, "BadRequest", id="no review"),
        pytest.param(b"{}", {"headers": {"Content-Type": "text/plain"}}, 415, "UnsupportedMediaType", id="plain text"),
        pytest.param(b"", {"method": "GET"}, 405, "MethodNotAllowed", id="GET"),
        pytest.param(b"{}", {"method": "PUT"}, 405, "MethodNotAllowed", id="PUT"),
        pytest.param(b"{}", {"path": "/elsewhere"}, 404, "NotFound", id="another path"),
        pytest.param(b" " * (LARGEST_BODY + 1), {}, 413, "RequestEntityTooLarge", id="too large"),
        pytest.param(b" " * LARGEST_BODY, {}, 400, "BadRequest", id="as large as may be"),
    ],
)
async def test_what_cannot_be_answered_gets_a_status_with_the_right_code(
    tmp_path: Path, body: bytes, how: dict, status: int, reason: str
):
    async with running(tmp_path) as it:
        answered, document = await it.send(body, **how)
        assert (answered, document["kind"], document["code"], document["reason"]) == (status, "Status", status, reason)
        assert (await it.send(recorded.body("create.json")))[0] == 200


async def test_a_body_that_is_too_large_without_saying_so_is_refused_too(tmp_path: Path):
    async def endless() -> AsyncIterator[bytes]:
        for _ in range(9):
            yield b" " * 1024 * 1024

    async with (
        running(tmp_path) as it,
        it.session.post(it.url(VALIDATE_PATH), data=endless(), headers=JSON) as answer,
    ):
        assert answer.status == 413


async def test_a_body_near_the_limit_is_judged(tmp_path: Path):
    document = recorded.document("create.json")
    document["request"]["object"]["metadata"]["annotations"] = {"large": "x" * (LARGEST_BODY - 4096)}
    async with running(tmp_path) as it:
        assert (await it.send(json.dumps(document).encode()))[0] == 200


async def test_a_mistake_of_ours_is_a_status_and_harms_nobody_else(tmp_path: Path):
    async with running(tmp_path, no_idea) as it:
        for _ in range(2):
            status, document = await it.send(recorded.body("create.json"))
            assert (status, document["reason"]) == (500, "InternalError")
            assert "ZeroDivisionError" not in document["message"]


async def test_a_client_that_never_finishes_sending_is_let_go(tmp_path: Path):
    async def slow() -> AsyncIterator[bytes]:
        yield b"{"
        await asyncio.Event().wait()

    async with (
        running(tmp_path, body_within_seconds=0.1) as it,
        it.session.post(it.url(VALIDATE_PATH), data=slow(), headers=JSON) as answer,
    ):
        assert answer.status == 408


async def test_hundreds_of_silent_connections_keep_nobody_out(tmp_path: Path):
    async with running(tmp_path) as it:
        silent = [await asyncio.open_connection("127.0.0.1", it.address.port) for _ in range(500)]
        assert (await it.send(recorded.body("create.json")))[0] == 200
        for _, writer in silent:
            writer.transport.abort()


async def test_a_request_in_flight_is_answered_although_the_server_is_closing(tmp_path: Path):
    begun, may_end = asyncio.Event(), asyncio.Event()

    async def slow(review: Review) -> Answer:
        begun.set()
        await may_end.wait()
        return await yes(review)

    async with running(tmp_path, slow) as it:
        asked = asyncio.create_task(it.send(recorded.body("create.json")))
        await begun.wait()
        it.server.drain()
        closing = asyncio.create_task(it.server.close())
        await asyncio.sleep(0)
        may_end.set()
        assert (await asked)[0] == 200
        await closing


async def test_connections_are_closed_after_the_answer_once_draining(tmp_path: Path):
    async with running(tmp_path) as it:
        it.server.drain()
        async with it.session.post(it.url(VALIDATE_PATH), data=recorded.body("create.json"), headers=JSON) as answer:
            assert answer.status == 200
            assert answer.headers["Connection"] == "close"


async def test_reviews_are_counted_by_webhook_operation_and_outcome(tmp_path: Path):
    async with running(tmp_path) as it:
        await it.send(recorded.body("create.json"))
        await it.send(recorded.body("update-spec.json"), MUTATE_PATH)
    for path, operation in ((VALIDATE_PATH, "CREATE"), (MUTATE_PATH, "UPDATE")):
        labels = {"webhook": path, "operation": operation, "outcome": "allowed"}
        assert it.registry.get_sample_value("configmapsync_admission_reviews_total", labels) == 1
