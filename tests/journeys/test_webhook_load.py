"""What other pods and hostile tenants can do to the webhook, with the processes that are really used: little, and for a short time."""

import json
import re
import socket
import ssl
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from http.client import HTTPSConnection
from pathlib import Path

import pytest

from tests.journeys.conftest import install_crd
from tests.journeys.guard import CONFIGURATIONS, NAME, RESOURCES, Guard, guarding
from tests.journeys.test_admission import ALL_ON_CONFIGMAPS, Desk, sync
from tests.support.cluster import Cluster
from tests.support.eventually import wait_until
from tests.support.processes import LOCAL_ADDRESS
from tests.webhook import recorded
from webhook.certwatcher import generation_of
from webhook.listener import ConnectionLimits
from webhook.paths import TOKEN_FILE, VALIDATE_PATH

pytestmark = pytest.mark.only_on("devcluster", "real")

TOKEN = "0123456789abcdef0123456789abcdef"
MEBIBYTE = 1024 * 1024
MEMORY_LIMIT = 256 * MEBIBYTE  # of config/manager/webhook.yaml
JSON = {"Content-Type": "application/json"}
SMALL = recorded.body("create.json")


@pytest.fixture(scope="module")
def guard(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guard]:
    install_crd(cluster)
    with guarding(cluster, tmp_path_factory.mktemp("guard")) as guard:
        yield guard


@pytest.fixture
def desk(cluster: Cluster, guard: Guard, new_namespace: Callable[..., str]) -> Desk:
    return Desk(cluster, new_namespace)


def token_of(guard: Guard) -> str:
    file = generation_of(guard.folder / "tls") / TOKEN_FILE
    return file.read_text().strip() if file.exists() else ""


def use_token(guard: Guard) -> str:
    """Give the webhook a token if it has none, and the API server the paths below it, as the certificate tool does."""
    token = token_of(guard)
    if not token:
        token = TOKEN
        (generation_of(guard.folder / "tls") / TOKEN_FILE).write_text(token)
    for resource in RESOURCES.values():
        path = f"{CONFIGURATIONS}/{resource}/{NAME}"
        configuration = guard.cluster.get(path)
        for webhook in configuration["webhooks"]:
            plain = re.sub(r"^https://[^/]*(/[a-z0-9]{32,})?", "", webhook["clientConfig"]["url"])
            webhook["clientConfig"]["url"] = f"https://{LOCAL_ADDRESS}:{guard.port}/{token}{plain}"
        guard.cluster.replace(path, configuration)
    return token


def served_path(guard: Guard) -> str:
    token = token_of(guard)
    return f"/{token}{VALIDATE_PATH}" if token else VALIDATE_PATH


def trusting() -> ssl.SSLContext:
    """A client as anybody can write it: it looks at no certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


def post(guard: Guard, path: str, body: bytes) -> tuple[int, bytes]:
    connection = HTTPSConnection(LOCAL_ADDRESS, guard.port, context=trusting(), timeout=30)
    try:
        connection.request("POST", path, body, JSON)
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def resident(guard: Guard) -> int:
    """Return the most memory that the process ever had, in bytes."""
    assert guard.process is not None
    status = Path(f"/proc/{guard.process.id}/status").read_text()
    return int(re.search(r"VmHWM:\s+(\d+)", status)[1]) * 1024


def test_a_caller_who_does_not_know_the_path_learns_nothing(desk: Desk, guard: Guard) -> None:
    token = use_token(guard)
    assert guard.process is not None
    guard.process.stop()
    guard.start()
    home, other = desk.namespace(), desk.namespace()
    wait_until(lambda: desk.apply(sync(home, destinationNamespace=other))[0] == 0)

    for path in (VALIDATE_PATH, "/", f"/{'0' * len(token)}{VALIDATE_PATH}"):
        status, answer = post(guard, path, SMALL)
        assert status == 404
        assert json.loads(answer)["kind"] == "Status"
    assert post(guard, f"/{token}{VALIDATE_PATH}", SMALL)[0] == 200
    assert post(guard, f"/{token}{VALIDATE_PATH}", b"{")[0] == 400
    assert token not in guard.process.output()
    assert token not in guard.metric("")


def test_thousands_of_silent_connections_end_soon_and_keep_no_write_out(
    desk: Desk, guard: Guard
) -> None:
    home, other = desk.namespace(), desk.namespace()
    silent = [socket.create_connection((LOCAL_ADDRESS, guard.port)) for _ in range(1500)]
    context = trusting()

    def shake_hands(number: int) -> None:
        with suppress(OSError):
            silent[number] = context.wrap_socket(silent[number])

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(shake_hands, range(1100, 1500)))

    desk.accepted(sync(home, destinationNamespace=other))

    deadline = (
        time.monotonic()
        + ConnectionLimits().unproven_seconds
        + ConnectionLimits().handshake_seconds
        + 20
    )
    for connection in silent:
        if connection.fileno() < 0:
            continue  # closed before the handshake was done
        connection.settimeout(max(deadline - time.monotonic(), 0.1))
        with suppress(ConnectionError, ssl.SSLError):
            assert connection.recv(1) == b""
        connection.close()
    assert resident(guard) < MEMORY_LIMIT / 2


def hostile_bodies() -> dict[str, bytes]:
    """Large reviews of a user who may write syncs, each wrong in its own way."""
    specs = {
        "a million and a half wrong names": '{"configMapName": "a", "destinationNamespaces": ['
        + "1," * 1_500_000
        + "1]}",
        "objects as names": '{"configMapName": "a", "destinationNamespaces": ['
        + "{}," * 170_000
        + "{}]}",
        "wrong labels": '{"configMapName": "a", "destinationNamespaceSelector": {"matchExpressions": ['
        + ",".join(
            '{"key": "a", "operator": "In", "values": [' + '"!",' * 511 + '"!"]}' for _ in range(60)
        )
        + "]}}",
        "nested": '{"configMapName": "a", "keys": ' + "[" * 900 + "]" * 900 + "}",
        "nested deeply": '{"configMapName": "a", "keys": ' + "[" * 200_000 + "]" * 200_000 + "}",
    }
    document = recorded.document("create.json")
    document["request"]["object"]["spec"] = "@spec"
    document["request"]["userInfo"]["username"] = "tenant"
    text = json.dumps(document)
    return {name: text.replace('"@spec"', spec).encode() for name, spec in specs.items()}


def test_hostile_reviews_cost_little_and_delay_no_other_user(desk: Desk, guard: Guard) -> None:
    bodies, path = hostile_bodies(), served_path(guard)
    end = time.monotonic() + 8

    def attack(number: int) -> list[int]:
        statuses, answers = [], []
        while time.monotonic() < end:
            body = list(bodies.values())[(number + len(statuses)) % len(bodies)]
            status, answer = post(guard, path, body)
            statuses.append(status)
            answers.append(len(answer))
        assert max(answers) < 64 * 1024
        return statuses

    home, other = desk.namespace(), desk.namespace()
    desk.may_write_syncs("alice", home)
    for namespace in (home, other):
        desk.allow("alice", namespace, ALL_ON_CONFIGMAPS)
    with ThreadPoolExecutor(8) as pool:
        attackers = [pool.submit(attack, number) for number in range(8)]
        names = [f"sync-{number}" for number in range(5)]
        for name in names:
            desk.accepted(
                sync(home, name, destinationNamespace=other, destinationConfigMapName=name),
                user="alice",
            )
        statuses = {status for attacker in attackers for status in attacker.result()}

    assert statuses <= {200, 400, 503}
    assert resident(guard) < MEMORY_LIMIT
    assert guard.process is not None
    assert max(map(len, guard.process.output().splitlines())) < 20_000
    assert "Traceback" not in guard.process.output()
