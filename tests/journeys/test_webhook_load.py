"""Hostile pods and tenants cost the webhook little, and only for a short time."""

import json
import re
import socket
import ssl
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from http.client import HTTPSConnection
from pathlib import Path

import pytest

from runtime.listening import ConnectionLimits
from tests.journeys.test_admission import ALL_ON_CONFIGMAPS, sync
from tests.journeys.user_shell import UserShell
from tests.journeys.webhook_process import (
    CONFIGURATIONS,
    NAME,
    RESOURCES,
    WebhookProcess,
)
from tests.support.eventually import wait_until
from tests.support.processes import LOCAL_ADDRESS
from tests.webhook import recorded
from webhook.certwatcher import generation_of
from webhook.paths import TOKEN_FILE, VALIDATE_PATH

pytestmark = pytest.mark.only_on("devcluster", "real")

TOKEN = "0123456789abcdef0123456789abcdef"
MEBIBYTE = 1024 * 1024
MEMORY_LIMIT = 256 * MEBIBYTE  # of config/manager/webhook.yaml
JSON = {"Content-Type": "application/json"}
SMALL = recorded.body("create.json")


def token_of(webhook: WebhookProcess) -> str:
    file = generation_of(webhook.folder / "tls") / TOKEN_FILE
    return file.read_text().strip() if file.exists() else ""


def use_token(webhook: WebhookProcess) -> str:
    """Give the webhook a path token and set its paths, as the certificate tool does."""
    token = token_of(webhook)
    if not token:
        token = TOKEN
        (generation_of(webhook.folder / "tls") / TOKEN_FILE).write_text(token)
    for resource in RESOURCES.values():
        path = f"{CONFIGURATIONS}/{resource}/{NAME}"
        configuration = webhook.cluster.get(path)
        for entry in configuration["webhooks"]:
            plain = re.sub(r"^https://[^/]*(/[a-z0-9]{32,})?", "", entry["clientConfig"]["url"])
            entry["clientConfig"]["url"] = f"https://{LOCAL_ADDRESS}:{webhook.port}/{token}{plain}"
        webhook.cluster.replace(path, configuration)
    return token


def served_path(webhook: WebhookProcess) -> str:
    token = token_of(webhook)
    return f"/{token}{VALIDATE_PATH}" if token else VALIDATE_PATH


def trusting() -> ssl.SSLContext:
    """Return a TLS client that verifies no certificate, as any user can write one."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


def post(webhook: WebhookProcess, path: str, body: bytes) -> tuple[int, bytes]:
    connection = HTTPSConnection(LOCAL_ADDRESS, webhook.port, context=trusting(), timeout=30)
    try:
        connection.request("POST", path, body, JSON)
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def resident(webhook: WebhookProcess) -> int:
    """Return the peak memory of the process, in bytes."""
    assert webhook.process is not None
    status = Path(f"/proc/{webhook.process.id}/status").read_text()
    return int(re.search(r"VmHWM:\s+(\d+)", status)[1]) * 1024


def test_a_caller_without_the_path_learns_nothing(
    shell: UserShell, webhook: WebhookProcess
) -> None:
    token = use_token(webhook)
    assert webhook.process is not None
    webhook.process.stop()
    webhook.start()
    home, other = shell.namespace(), shell.namespace()
    wait_until(lambda: shell.apply(sync(home, destinationNamespace=other))[0] == 0)

    for path in (VALIDATE_PATH, "/", f"/{'0' * len(token)}{VALIDATE_PATH}"):
        status, answer = post(webhook, path, SMALL)
        assert status == 404
        assert json.loads(answer)["kind"] == "Status"
    assert post(webhook, f"/{token}{VALIDATE_PATH}", SMALL)[0] == 200
    assert post(webhook, f"/{token}{VALIDATE_PATH}", b"{")[0] == 400
    assert token not in webhook.process.output()
    assert token not in webhook.metric("")


def test_thousands_of_silent_connections_end_soon_and_keep_no_write_out(
    shell: UserShell, webhook: WebhookProcess
) -> None:
    home, other = shell.namespace(), shell.namespace()
    silent = [socket.create_connection((LOCAL_ADDRESS, webhook.port)) for _ in range(1500)]
    context = trusting()

    def shake_hands(number: int) -> None:
        with suppress(OSError):
            silent[number] = context.wrap_socket(silent[number])

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(shake_hands, range(1100, 1500)))

    shell.accepted(sync(home, destinationNamespace=other))

    deadline = (
        time.monotonic()
        + ConnectionLimits().unproven_seconds
        + ConnectionLimits().handshake_seconds
        + 20
    )
    for connection in silent:
        if connection.fileno() < 0:
            continue  # closed before the handshake ended
        connection.settimeout(max(deadline - time.monotonic(), 0.1))
        with suppress(ConnectionError, ssl.SSLError):
            assert connection.recv(1) == b""
        connection.close()
    assert resident(webhook) < MEMORY_LIMIT / 2


def hostile_bodies() -> dict[str, bytes]:
    """Return large reviews of a user that may write syncs, each invalid in its own way."""
    specs = {
        "a million and a half wrong names": '{"configMapName": "a", "destinationNamespaces": ['
        + "1," * 1_500_000
        + "1]}",
        "objects as names": '{"configMapName": "a", "destinationNamespaces": ['
        + "{}," * 170_000
        + "{}]}",
        "wrong labels": '{"configMapName": "a", "destinationNamespaceSelector": '
        '{"matchExpressions": ['
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


def test_hostile_reviews_cost_little_and_delay_no_other_user(
    shell: UserShell, webhook: WebhookProcess
) -> None:
    bodies, path = hostile_bodies(), served_path(webhook)
    end = time.monotonic() + 8

    def attack(number: int) -> list[int]:
        statuses, answers = [], []
        while time.monotonic() < end:
            body = list(bodies.values())[(number + len(statuses)) % len(bodies)]
            status, answer = post(webhook, path, body)
            statuses.append(status)
            answers.append(len(answer))
        assert max(answers) < 64 * 1024
        return statuses

    home, other = shell.namespace(), shell.namespace()
    shell.may_write_syncs("alice", home)
    for namespace in (home, other):
        shell.allow("alice", namespace, ALL_ON_CONFIGMAPS)
    with ThreadPoolExecutor(8) as pool:
        attackers = [pool.submit(attack, number) for number in range(8)]
        names = [f"sync-{number}" for number in range(5)]
        for name in names:
            shell.accepted(
                sync(home, name, destinationNamespace=other, destinationConfigMapName=name),
                user="alice",
            )
        statuses = {status for attacker in attackers for status in attacker.result()}

    assert statuses <= {200, 400, 503}
    assert resident(webhook) < MEMORY_LIMIT
    assert webhook.process is not None
    assert max(map(len, webhook.process.output().splitlines())) < 20_000
    assert "Traceback" not in webhook.process.output()
