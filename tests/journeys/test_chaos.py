"""Broken connections, restarts, killed and frozen processes, expired credentials.

Each case has a bound, and a log line that names it. `docs/reliability.md` lists them.
"""

import signal
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.request import urlopen

import pytest

from configmapsync.names import API_VERSION, KIND, PLURAL
from tests.journeys.accounts import NAMESPACE, name_of
from tests.journeys.bounds import within
from tests.journeys.chaos import (
    CONFIGMAP_WATCHES,
    IDLE_SECONDS,
    OPEN_WATCHES,
    RECONNECT_SECONDS,
    RECOVERY_SECONDS,
    Chaos,
    compact,
    new_chaos,
    open_proxy,
    restart,
)
from tests.journeys.faults import Faults
from tests.journeys.stage import Stage
from tests.journeys.test_leader import SHORT_LEASE, TAKEOVER_SECONDS, Replicas
from tests.journeys.webhook_process import WebhookProcess
from tests.support.control_plane import ControlPlane
from tests.support.eventually import wait_until
from tests.support.processes import LOCAL_ADDRESS, Process, free_port
from tests.support.users import write_kubeconfig
from tests.support.web import Web

pytestmark = pytest.mark.only_on("devcluster", "real")

FAN_OUT = 20
# One edit takes a handful of requests one after the other.
SLOW_BOUND_SECONDS = 12.0
# The name of a ServiceAccount is too long for a common name.
MASTERS = ["system:masters"]
ADMISSION_SECONDS = 5.0  # timeoutSeconds of the webhook configurations


@pytest.fixture
def chaos(stage: Stage, tmp_path: Path) -> Iterator[Chaos]:
    with open_proxy(stage.cluster, tmp_path / "proxy") as proxy:
        yield new_chaos(stage, proxy, tmp_path)
        proxy.accept()
        proxy.delay(0)


@pytest.fixture
def start(chaos: Chaos, start_process: Callable[..., Process]) -> Callable[..., Process]:
    """Start a reconciler behind the proxy, and wait for its first copy."""

    def start(*arguments: str | Path, port: int | None = None) -> Process:
        health = f"{LOCAL_ADDRESS}:{port or free_port()}"
        kubeconfig = () if "--kubeconfig" in arguments else ("--kubeconfig", _proxied(chaos))
        process = start_process(
            "reconciler", *kubeconfig, "--health-address", health, "--log-level=debug", *arguments
        )
        process.wait_until_answering(f"http://{health}/readyz")
        chaos.copied("value")
        return process

    return start


def _proxied(chaos: Chaos) -> Path:
    return chaos.kubeconfig("reconciler")


def test_a_frozen_watch_is_replaced_within_its_idle_timeout(
    chaos: Chaos, start: Callable[..., Process]
) -> None:
    reconciler = start("--watch-idle-timeout", str(IDLE_SECONDS))

    # Neither is between two tries: the pauses get longer with each idle timeout.
    wait_until(lambda: chaos.proxy.freeze_watches("/api/v1/configmaps") == CONFIGMAP_WATCHES)

    with chaos.copies_within(IDLE_SECONDS + RECONNECT_SECONDS, "while frozen", reconciler):
        chaos.edit("while frozen")

    assert "watch idle timeout, reconnecting" in reconciler.output()


def test_cut_connections_are_opened_again_and_lose_no_edit(
    chaos: Chaos, start: Callable[..., Process]
) -> None:
    reconciler = start()

    with chaos.copies_within(RECOVERY_SECONDS, "while cut", reconciler):
        assert chaos.proxy.cut() >= OPEN_WATCHES
        chaos.edit("while cut")

    reconciler.wait_for_line("cannot list or watch")
    reconciler.wait_for_line("list and watch recovered")


def test_an_api_server_that_restarts_with_a_compacted_history_loses_no_edit(
    chaos: Chaos, start: Callable[..., Process]
) -> None:
    reconciler = start()
    chaos.proxy.refuse()
    chaos.edit("before the restart")
    chaos.stage.delete(chaos.there, "config")
    compact(chaos.cluster)
    restart(chaos.cluster)
    reconciler.wait_for_line("cannot list or watch")

    with chaos.copies_within(RECOVERY_SECONDS, "before the restart", reconciler):
        chaos.proxy.accept()

    reconciler.wait_for_line("watch expired, reconnecting")
    reconciler.wait_for_line("list and watch recovered")


@pytest.mark.only_on("devcluster")
def test_writes_that_failed_in_an_outage_are_retried_when_the_watches_recover(
    chaos: Chaos, start: Callable[..., Process], fault: Faults
) -> None:
    """Only devcluster refuses the writes of one namespace on demand."""
    reconciler = start()
    fault("fail", verb="write", resource="configmaps", namespace=chaos.there, status=503)
    chaos.edit("in the outage")
    wait_until(lambda: reconciler.output().count("write failed") >= 7, 30)  # the next pause: 6.4 s
    fault.clear()

    with chaos.copies_within(RECOVERY_SECONDS, "in the outage", reconciler):
        chaos.proxy.cut()

    assert reconciler.output().count("write failed") == 7


def test_an_api_server_that_takes_a_second_for_each_answer_costs_no_lease_and_no_copy(
    chaos: Chaos, start: Callable[..., Process]
) -> None:
    reconciler = start("--leader-elect", "--leader-election-namespace", _election(chaos.stage))
    label = {"slow": chaos.stage.tag}
    targets = [chaos.stage.namespace("slow", label) for _ in range(FAN_OUT)]
    chaos.proxy.delay(1.0)

    with within(SLOW_BOUND_SECONDS, chaos.cluster, reconciler):
        selector = {"matchLabels": label}
        sync = chaos.stage.sync(chaos.home, destinationNamespaceSelector=selector)
        for target in targets:
            chaos.stage.copy_becomes({"data": {"key": "value"}}, target, within=60)
        chaos.stage.ready_becomes(sync, "True", "Synced", within=60)

    reconciler.wait_for_line("API server answers slowly")
    assert "lost leader lease" not in reconciler.output()
    assert "write failed" not in reconciler.output()


def _election(stage: Stage) -> str:
    return stage.election_namespace()


def test_a_leader_without_an_api_server_ends_and_the_standby_takes_over(
    chaos: Chaos, start_process: Callable[..., Process]
) -> None:
    replicas = Replicas(chaos.stage, start_process)
    leader = replicas.leader(SHORT_LEASE, kubeconfig=_proxied(chaos))
    standby = replicas.standby(SHORT_LEASE)
    chaos.copied("value")
    duration, deadline, _ = map(float, SHORT_LEASE)

    with within(duration + TAKEOVER_SECONDS, chaos.cluster, leader.process, standby.process):
        chaos.proxy.refuse()
        chaos.edit("orphaned")
        standby.process.wait_for_line("acquired leader lease")

    assert leader.process.wait(within=deadline + TAKEOVER_SECONDS) == 1
    leader.process.wait_for_line("lost leader lease")
    chaos.copied("orphaned")


def test_a_frozen_reconciler_catches_up_when_it_wakes(
    chaos: Chaos, start: Callable[..., Process]
) -> None:
    reconciler = start()
    reconciler.send(signal.SIGSTOP)
    for number in range(50):
        chaos.edit(str(number))
    chaos.stage.delete(chaos.there, "config")

    with chaos.copies_within(RECOVERY_SECONDS, "49", reconciler):
        reconciler.send(signal.SIGCONT)


@pytest.mark.parametrize("how", [signal.SIGSTOP, signal.SIGKILL])
def test_without_a_webhook_edits_are_copied_and_syncs_are_refused_until_it_is_back(
    chaos: Chaos, start: Callable[..., Process], webhook: WebhookProcess, how: signal.Signals
) -> None:
    reconciler = start()
    assert webhook.process is not None
    webhook.process.send(how)

    with chaos.copies_within(RECOVERY_SECONDS, "without the webhook", reconciler):
        chaos.edit("without the webhook")
    with within(2 * ADMISSION_SECONDS, chaos.cluster):
        status, text = _create_sync(chaos, "refused")
    assert status == 500
    assert "failed calling webhook" in text

    if how is signal.SIGKILL:
        webhook.process.wait()
        webhook.start()
    with within(RECOVERY_SECONDS, chaos.cluster, webhook.process):
        webhook.process.send(signal.SIGCONT)
        wait_until(lambda: _create_sync(chaos, "accepted")[0] == 201, 30)


def _create_sync(chaos: Chaos, name: str) -> tuple[int, str]:
    document = {
        "apiVersion": API_VERSION,
        "kind": KIND,
        "metadata": {"name": name},
        "spec": {"configMapName": name, "destinationNamespace": chaos.there},
    }
    path = f"/apis/{API_VERSION}/namespaces/{chaos.home}/{PLURAL}?dryRun=All"
    return chaos.cluster.request("POST", path, document)[:2]


def test_a_revoked_token_is_replaced_by_the_newer_one_in_its_file(
    chaos: Chaos, start: Callable[..., Process]
) -> None:
    token_file = chaos.folder / "token"
    chaos.kubeconfig("reconciler")  # installs the account
    secret, token = _bound_token(chaos)
    token_file.write_text(token)
    reconciler = start(
        "--kubeconfig", chaos.kubeconfig("reconciler", {"tokenFile": str(token_file)})
    )
    chaos.cluster.delete(secret)
    direct = Web(chaos.cluster.url, chaos.cluster.authority_file)
    # A real API server believes a token that it has seen for some seconds more.
    wait_until(lambda: direct.request("GET", "/api/v1/namespaces", token=token).status == 401, 30)
    chaos.edit("refused")
    reconciler.wait_for_line("Unauthorized")

    with chaos.copies_within(RECOVERY_SECONDS, "refused", reconciler):
        token_file.write_text(chaos.cluster.token_of_account(NAMESPACE, name_of("reconciler")))

    reconciler.wait_for_line("API server refused the credentials, using newer ones")


def _bound_token(chaos: Chaos) -> tuple[str, str]:
    """Return the path of a Secret, and a token of the reconciler that is valid while it exists."""
    secret = chaos.cluster.create(
        f"/api/v1/namespaces/{NAMESPACE}/secrets", {"metadata": {"generateName": "bound-"}}
    )
    name = secret["metadata"]["name"]
    request = {
        "apiVersion": "authentication.k8s.io/v1",
        "kind": "TokenRequest",
        "spec": {"boundObjectRef": {"apiVersion": "v1", "kind": "Secret", "name": name}},
    }
    account = f"/api/v1/namespaces/{NAMESPACE}/serviceaccounts/{name_of('reconciler')}"
    answer = chaos.cluster.create(f"{account}/token", request)
    return f"/api/v1/namespaces/{NAMESPACE}/secrets/{name}", answer["status"]["token"]


@pytest.mark.only_on("real")
def test_an_expired_client_certificate_is_replaced_by_the_newer_one_in_its_file(
    chaos: Chaos, start_process: Callable[..., Process]
) -> None:
    """The proxy ends TLS, so this reconciler has no proxy."""
    server = chaos.cluster.server
    assert isinstance(server, ControlPlane)
    now = datetime.now(UTC)  # noqa: TID251 - certificates expire by the real clock
    expires = now + timedelta(seconds=12)
    first = server.client_certificate("short", "reconciler", MASTERS, expires)
    kubeconfig = chaos.cluster.folder / "short.kubeconfig"
    _write_kubeconfig(chaos, kubeconfig, first.certificate, first.key)
    reconciler = start_process(
        "reconciler", "--kubeconfig", kubeconfig, "--health-address", f"{LOCAL_ADDRESS}:0"
    )
    chaos.copied("value")
    wait_until(lambda: datetime.now(UTC) > expires, 30)  # noqa: TID251 - the clock is waited for
    chaos.edit("refused")
    reconciler.wait_for_line("Unauthorized")

    with chaos.copies_within(RECOVERY_SECONDS, "refused", reconciler):
        # The same files, as a tool renews them.
        server.client_certificate("short", "reconciler", MASTERS, now + timedelta(days=1))

    reconciler.wait_for_line("loaded new certificates")


def _write_kubeconfig(chaos: Chaos, path: Path, certificate: Path, key: Path) -> None:
    credentials = {"client-certificate": str(certificate), "client-key": str(key)}
    write_kubeconfig(path, chaos.cluster.url, chaos.cluster.authority_file, credentials)


def test_an_outage_of_the_api_server_fails_no_probe(
    chaos: Chaos, start: Callable[..., Process], proxied_webhook: WebhookProcess
) -> None:
    assert proxied_webhook.process is not None
    port = free_port()
    processes = {port: start(port=port), proxied_webhook.health_port: proxied_webhook.process}

    chaos.proxy.refuse()

    for port, process in processes.items():
        process.wait_for_line("cannot list or watch")
        for path in ("healthz", "readyz"):
            with urlopen(f"http://{LOCAL_ADDRESS}:{port}/{path}", timeout=10) as answer:
                assert answer.read() == b"ok\n"
    chaos.proxy.accept()
    for process in processes.values():
        process.wait_for_line("list and watch recovered")


@pytest.fixture
def proxied_webhook(chaos: Chaos, webhook: WebhookProcess) -> Iterator[WebhookProcess]:
    """The webhook of this module, behind the proxy."""
    assert webhook.process is not None
    webhook.process.terminate()
    webhook.kubeconfig = chaos.kubeconfig("webhook")
    webhook.start()
    yield webhook
    webhook.process.terminate()
    webhook.kubeconfig = None
    webhook.start()
