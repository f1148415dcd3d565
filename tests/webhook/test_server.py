import asyncio
import io
import json
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientError, ClientSession, ClientTimeout, TCPConnector
from prometheus_client import CollectorRegistry, generate_latest

from certs.authority import new_authority, new_serving_pair
from runtime.listening import SWEEP_SECONDS, ConnectionLimits
from runtime.settings import Address
from tests.support.eventually import eventually
from tests.support.pki import Authority, KeyPair
from tests.support.transports import transports_closed
from tests.webhook import recorded
from webhook.admission import Answer
from webhook.admission_review import Review
from webhook.answers import allowed
from webhook.certwatcher import CertWatcher
from webhook.metrics import Metrics
from webhook.paths import (
    FORMER_SERVED_SECONDS,
    MUTATE_PATH,
    PREVIOUS_TOKEN_FILE,
    TOKEN_FILE,
    VALIDATE_PATH,
    ServedPaths,
)
from webhook.server import LARGEST_BODY, WebhookServer, accepts

NOW = datetime.now(UTC)  # noqa: TID251 - TLS looks at the real clock
AUTHORITY = new_authority(NOW, timedelta(days=2))
PAIR = new_serving_pair(AUTHORITY, ["127.0.0.1"], NOW, timedelta(days=1))
JSON = {"Content-Type": "application/json"}


async def yes(review: Review) -> Answer:
    return Answer(allowed(review.uid), "allowed")


async def no_idea(_review: Review) -> Answer:
    raise ZeroDivisionError("a mistake of ours")


def trusting_context(client: KeyPair | None = None) -> ssl.SSLContext:
    context = ssl.create_default_context(cadata=AUTHORITY.certificate_pem.decode())
    if client is not None:
        context.load_cert_chain(client.certificate, client.key)
    return context


class Answering:
    """Answers both webhooks with one function."""

    def __init__(self, decide: Callable) -> None:
        self.mutate = self.validate = decide


class Running:
    """A server, and a client that trusts it."""

    watcher: CertWatcher
    paths: ServedPaths

    def __init__(
        self, server: WebhookServer, session: ClientSession, registry: CollectorRegistry
    ) -> None:
        self.server, self.session, self.registry = server, session, registry
        self.clock = 0.0
        self.address = Address("", 0)

    def url(self, path: str) -> str:
        return f"https://{self.address}{path}"

    async def post(self, body: AsyncIterator[bytes], path: str = VALIDATE_PATH) -> int:
        async with self.session.post(self.url(path), data=body, headers=JSON) as answer:
            return answer.status

    async def send(
        self,
        body: bytes,
        path: str = VALIDATE_PATH,
        headers: dict[str, str] | None = None,
        method: str = "POST",
    ) -> tuple[int, dict]:
        async with self.session.request(
            method, self.url(path), data=io.BytesIO(body), headers=headers or JSON
        ) as answer:
            assert answer.content_type == "application/json"
            return answer.status, await answer.json()


@asynccontextmanager
async def running(
    folder: Path,
    decide: Callable = yes,
    client_ca: Path | None = None,
    client: KeyPair | None = None,
    **options: Any,
) -> AsyncIterator[Running]:
    (folder / "tls.crt").write_bytes(PAIR.certificate_pem)
    (folder / "tls.key").write_bytes(PAIR.key_pem)
    watcher = CertWatcher(folder, Metrics(CollectorRegistry()), client_ca=client_ca)
    watcher.look()
    registry = CollectorRegistry()
    paths = ServedPaths(folder, lambda: running.clock)
    server = WebhookServer(
        Address("127.0.0.1", 0),
        watcher,
        paths,
        Answering(decide),
        Metrics(registry),
        **options,
    )
    trusting = trusting_context(client)
    async with ClientSession(
        connector=TCPConnector(ssl=trusting, limit=0), timeout=ClientTimeout(30)
    ) as session:
        running = Running(server, session, registry)
        running.watcher, running.paths = watcher, paths
        paths.look()
        running.address = await server.start()
        try:
            yield running
        finally:
            await server.close()
    await transports_closed()


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
        status, _ = await it.send(
            recorded.body(sent["file"]), f"{VALIDATE_PATH}?{sent['query']}", headers
        )
    assert status == 200


@pytest.mark.parametrize(
    ("body", "how", "status", "reason"),
    [
        pytest.param(b"{", {}, 400, "BadRequest", id="no JSON"),
        pytest.param(b"{}", {}, 400, "BadRequest", id="no review"),
        pytest.param(
            b"{}",
            {"headers": {"Content-Type": "text/plain"}},
            415,
            "UnsupportedMediaType",
            id="plain text",
        ),
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
        assert (answered, document["kind"], document["code"], document["reason"]) == (
            status,
            "Status",
            status,
            reason,
        )
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


async def test_a_body_near_the_limit_is_answered(tmp_path: Path):
    document = recorded.document("create.json")
    document["request"]["object"]["metadata"]["annotations"] = {
        "large": "x" * (LARGEST_BODY - 4096)
    }
    async with running(tmp_path) as it:
        assert (await it.send(json.dumps(document).encode()))[0] == 200


async def test_an_unexpected_exception_is_a_status_and_other_requests_go_on(tmp_path: Path):
    async with running(tmp_path, no_idea) as it:
        for _ in range(2):
            status, document = await it.send(recorded.body("create.json"))
            assert (status, document["reason"]) == (500, "InternalError")
            assert "ZeroDivisionError" not in document["message"]


async def test_a_client_that_never_finishes_sending_is_disconnected(tmp_path: Path):
    async def slow() -> AsyncIterator[bytes]:
        yield b"{"
        await asyncio.Event().wait()

    async with (
        running(tmp_path, body_seconds=0.1) as it,
        it.session.post(it.url(VALIDATE_PATH), data=slow(), headers=JSON) as answer,
    ):
        assert answer.status == 408


async def test_hundreds_of_silent_connections_keep_no_request_out(tmp_path: Path):
    limits = ConnectionLimits(total=60, unproven=40, unproven_per_address=30)
    async with running(tmp_path, limits=limits) as it:
        assert (await it.send(recorded.body("create.json")))[0] == 200
        silent = [await asyncio.open_connection("127.0.0.1", it.address.port) for _ in range(500)]
        async with (
            ClientSession(connector=TCPConnector(ssl=trusting_context())) as another,
            another.post(
                it.url(VALIDATE_PATH), data=recorded.body("create.json"), headers=JSON
            ) as answer,
        ):
            assert answer.status == 200
        assert it.server._listener.count() <= limits.total
        for _, writer in silent:
            writer.transport.abort()


@pytest.mark.parametrize("tls", [True, False], ids=["after the handshake", "before the handshake"])
async def test_a_connection_without_a_request_is_closed_soon(tmp_path: Path, tls: bool):
    # The handshake of the first case must fit into the time of a connection.
    limits = (
        ConnectionLimits(unproven_seconds=1.0)
        if tls
        else ConnectionLimits(unproven_seconds=0.2, handshake_seconds=0.2)
    )
    async with running(tmp_path, limits=limits) as it:
        options = {"ssl": trusting_context()} if tls else {}
        reader, writer = await asyncio.open_connection("127.0.0.1", it.address.port, **options)
        writer.write(b"POST / HTTP/1.1\r\nHost: x\r\n" if tls else b"\x16")
        with suppress(ConnectionError):
            assert await asyncio.wait_for(reader.read(), 10) == b""
        writer.transport.abort()
        await eventually(lambda: it.server._listener.count() == 0)


async def test_a_connection_with_a_valid_request_is_kept(tmp_path: Path):
    limits = ConnectionLimits(unproven_seconds=1.0)
    used: set[object] = set()
    async with running(tmp_path, limits=limits) as it:
        for _ in range(2):
            assert (await it.send(recorded.body("create.json")))[0] == 200
            used |= it.server._listener._proven.keys()
            await asyncio.sleep(limits.unproven_seconds + 2 * SWEEP_SECONDS)
        assert it.server._listener.count() == 1
    assert len(used) == 1, "the same connection was used each time"


async def test_a_connection_is_closed_after_a_request_that_is_not_valid(tmp_path: Path):
    async with (
        running(tmp_path) as it,
        it.session.post(it.url("/elsewhere"), data=b"{}", headers=JSON) as answer,
    ):
        assert (answer.status, answer.headers["Connection"]) == (404, "close")


async def test_large_bodies_are_rejected_while_many_are_in_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("webhook.server.LARGEST_BODIES", 1024 * 1024)
    document = recorded.document("create.json")
    document["request"]["object"]["metadata"]["annotations"] = {"large": "x" * 900_000}
    large = json.dumps(document).encode()
    more = asyncio.Event()

    async def slow() -> AsyncIterator[bytes]:
        yield large[:-1]
        await more.wait()
        yield large[-1:]

    async with running(tmp_path) as it:
        held = asyncio.create_task(it.post(slow()))
        await eventually(lambda: it.server._held_bytes >= 900_000)
        assert (await it.send(large))[0] == 503
        assert (await it.send(recorded.body("create.json")))[0] == 200
        more.set()
        assert await held == 200
        assert (await it.send(large))[0] == 200
        assert it.server._held_bytes == 0


TOKENS = ["0123456789abcdefghijklmnopqrstuv-_", "another-token-another-token-another"]


async def test_with_a_token_only_the_paths_below_it_are_served(tmp_path: Path):
    (tmp_path / TOKEN_FILE).write_text(f"{TOKENS[0]}\n")
    read = asyncio.Event()

    async def body() -> AsyncIterator[bytes]:
        yield b"{"
        read.set()
        yield b" " * (1 << 20)

    async with running(tmp_path) as it:
        for path in (MUTATE_PATH, VALIDATE_PATH):
            assert (await it.send(recorded.body("create.json"), f"/{TOKENS[0]}{path}"))[0] == 200
            labels = {"webhook": path, "operation": "CREATE", "outcome": "allowed"}
            assert (
                it.registry.get_sample_value("configmapsync_admission_reviews_total", labels) == 1
            )
            for elsewhere in (
                path,
                f"/{TOKENS[1]}{path}",
                f"/{TOKENS[0]}x{path}",
                f"//{TOKENS[0]}{path}",
                f"/{TOKENS[0]}",
            ):
                for method in ("POST", "GET"):
                    status, document = await it.send(
                        recorded.body("create.json"), elsewhere, method=method
                    )
                    assert status == 404
                    assert TOKENS[0] not in str(document)
        assert await it.post(body(), MUTATE_PATH) == 404
        assert TOKENS[0] not in generate_latest(it.registry).decode()


async def test_a_body_is_asked_for_only_on_a_served_path(tmp_path: Path):
    (tmp_path / TOKEN_FILE).write_text(TOKENS[0])
    async with running(tmp_path) as it:
        for path, line in ((VALIDATE_PATH, b"404"), (f"/{TOKENS[0]}{VALIDATE_PATH}", b"100")):
            reader, writer = await asyncio.open_connection(
                "127.0.0.1", it.address.port, ssl=trusting_context()
            )
            head = f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
            writer.write(f"{head}Content-Length: 10\r\nExpect: 100-continue\r\n\r\n".encode())
            assert line in await asyncio.wait_for(reader.readline(), 10)
            writer.transport.abort()


async def test_the_former_paths_are_served_for_some_minutes_after_a_change(tmp_path: Path):
    async def served() -> list[bool]:
        paths = [f"{prefix}{VALIDATE_PATH}" for prefix in ("", f"/{TOKENS[0]}", f"/{TOKENS[1]}")]
        return [(await it.send(recorded.body("create.json"), path))[0] == 200 for path in paths]

    async with running(tmp_path) as it:
        assert await served() == [True, False, False]
        (tmp_path / TOKEN_FILE).write_text(TOKENS[0])
        it.paths.look()
        assert await served() == [True, True, False]
        it.clock += FORMER_SERVED_SECONDS / 2
        (tmp_path / TOKEN_FILE).write_text(TOKENS[1])
        it.paths.look()
        assert await served() == [True, True, True]
        it.clock += FORMER_SERVED_SECONDS / 2
        assert await served() == [False, True, True]
        it.clock += FORMER_SERVED_SECONDS / 2
        assert await served() == [False, False, True]


async def test_a_previous_token_is_served_for_as_long_as_it_lies_there(tmp_path: Path):
    async def served() -> list[bool]:
        it.paths.look()
        paths = [f"{prefix}{VALIDATE_PATH}" for prefix in ("", f"/{TOKENS[0]}", f"/{TOKENS[1]}")]
        return [(await it.send(recorded.body("create.json"), path))[0] == 200 for path in paths]

    token, previous = tmp_path / TOKEN_FILE, tmp_path / PREVIOUS_TOKEN_FILE
    token.write_text(TOKENS[0])
    previous.write_text("")
    async with running(tmp_path) as it:
        assert await served() == [True, True, False]
        previous.write_text(TOKENS[0])
        token.write_text(TOKENS[1])
        assert await served() == [False, True, True]
        it.clock += 10 * FORMER_SERVED_SECONDS
        assert await served() == [False, True, True]
        previous.unlink()
        assert await served() == [False, False, True]


async def test_a_generation_that_goes_while_it_is_read_opens_no_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    for name in ("old", "new"):
        (tmp_path / name).mkdir()
    (tmp_path / "new" / TOKEN_FILE).write_text(TOKENS[0])
    (tmp_path / "..data").symlink_to("old")  # its token was removed already
    paths = ServedPaths(tmp_path, lambda: 0.0)

    def switched(file: Path, **options: Any) -> str:
        (tmp_path / "..data").unlink()
        (tmp_path / "..data").symlink_to("new")
        monkeypatch.undo()
        return file.read_text(**options)

    monkeypatch.setattr(Path, "read_text", switched)
    paths.look()
    assert paths.plain(VALIDATE_PATH) is None
    paths.look()
    assert paths.plain(VALIDATE_PATH) is None
    assert paths.plain(f"/{TOKENS[0]}{VALIDATE_PATH}") == VALIDATE_PATH


@pytest.mark.parametrize(
    "text", ["", "short", "x" * 129, "no/slashes/in/a/token/no/slashes/in", "ä" * 40], ids=str
)
async def test_a_token_that_cannot_be_used_opens_no_path(tmp_path: Path, text: str):
    (tmp_path / TOKEN_FILE).write_text(text)
    async with running(tmp_path) as it:
        assert TOKEN_FILE in (it.paths.problem() or "")
        assert (await it.send(recorded.body("create.json")))[0] == 404
        (tmp_path / TOKEN_FILE).write_text(TOKENS[0])
        it.paths.look()
        assert it.paths.problem() is None
        (tmp_path / TOKEN_FILE).write_text(text)
        it.paths.look()
        assert (await it.send(recorded.body("create.json"), f"/{TOKENS[0]}{VALIDATE_PATH}"))[
            0
        ] == 200


def authority(folder: Path) -> Authority:
    folder.mkdir()
    return Authority(folder, NOW)


@pytest.fixture
def clients(tmp_path: Path) -> Authority:
    """The CA of client certificates."""
    return authority(tmp_path / "clients-ca")


@pytest.fixture
def others(tmp_path: Path) -> Authority:
    """A CA that the server does not trust."""
    return authority(tmp_path / "others-ca")


async def test_with_a_client_ca_a_client_needs_a_certificate_of_it(
    tmp_path: Path, clients: Authority, others: Authority
):
    for stranger in (None, others.client("stranger", "kube-apiserver")):
        async with running(tmp_path, client_ca=clients.pair.certificate, client=stranger) as it:
            with pytest.raises((ClientError, OSError)):
                await it.send(recorded.body("create.json"))
    known = clients.client("known", "anything")
    async with running(tmp_path, client_ca=clients.pair.certificate, client=known) as it:
        assert (await it.send(recorded.body("create.json")))[0] == 200


@pytest.mark.parametrize(("name", "status"), [("kube-apiserver", 200), ("else", 403)])
async def test_a_client_certificate_must_have_a_wanted_name(
    tmp_path: Path, clients: Authority, name: str, status: int
):
    names = frozenset({"front", "kube-apiserver"})
    client = clients.client("client", name)
    async with running(
        tmp_path, client_ca=clients.pair.certificate, client=client, client_names=names
    ) as it:
        assert (await it.send(recorded.body("create.json")))[0] == status


async def test_a_changed_client_ca_counts_for_new_connections(
    tmp_path: Path, clients: Authority, others: Authority
):
    ca = tmp_path / "clients.crt"
    ca.write_bytes(others.pair.certificate.read_bytes())
    async with running(
        tmp_path, client_ca=ca, client=clients.client("client", "kube-apiserver")
    ) as it:
        with pytest.raises((ClientError, OSError)):
            await it.send(recorded.body("create.json"))
        ca.write_bytes(clients.pair.certificate.read_bytes())
        it.watcher.look()
        assert (await it.send(recorded.body("create.json")))[0] == 200


def test_a_name_is_found_as_common_name_and_as_alternative_name():
    certificate = {
        "subject": ((("commonName", "front"),),),
        "subjectAltName": (("DNS", "api"), ("URI", "spiffe://x/y")),
    }
    for name, accepted in (("front", True), ("api", True), ("spiffe://x/y", True), ("else", False)):
        assert accepts(frozenset({name}), certificate) is accepted
    assert not accepts(frozenset({"front"}), None)
    assert accepts(frozenset(), None)
