"""All worst inputs of a hostile tenant at once stop no other tenant.

Both processes stay within the memory of their manifests. The inputs are in
`hostile.py`; each once stopped one of the processes. The test prints its measurements.
"""

import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from configmapsync.names import API_VERSION, KIND, PLURAL
from tests.journeys.accounts import kubeconfig_of
from tests.journeys.conftest import install_crd
from tests.journeys.hostile import IN_THE_CLUSTER, Step, repeated, reviews
from tests.journeys.scrape import Scrape, scrape
from tests.journeys.stage import Stage
from tests.journeys.test_admission import ALL_ON_CONFIGMAPS
from tests.journeys.test_memory import PEAK_BYTES, peak
from tests.journeys.user_shell import UserShell
from tests.journeys.webhook_process import WebhookProcess, running_webhook
from tests.support.cluster import Cluster
from tests.support.devcluster import DevCluster
from tests.support.processes import LOCAL_ADDRESS, Process, free_port
from webhook.paths import MUTATE_PATH, PATHS, VALIDATE_PATH

# Only devcluster refuses writes with a message of any length; the test reads memory from /proc.
pytestmark = [
    pytest.mark.timeout(400),  # on a loaded machine
    pytest.mark.only_on("devcluster"),
    pytest.mark.skipif(
        not Path("/proc/self/status").exists(), reason="the peak is read from /proc"
    ),
]

ROUNDS = 20
GOOD_TENANT = "bob"
MEBIBYTE = 1024 * 1024
MEMORY_LIMIT = 256 * MEBIBYTE  # of config/manager/reconciler.yaml and webhook.yaml
LAG = "configmapsync_event_loop_lag_seconds"
LATENCY = "controller_runtime_webhook_latency_seconds"

# Two cores carry an API server in Python, both processes and the attack; the bounds leave room
# for a loaded machine.
MOST_SHARE = 0.9
LONGEST_EDIT_SECONDS = 10.0
MEDIAN_EDIT_SECONDS = 1.0


@dataclass
class Measured:
    """The measurements of the good tenant, in seconds."""

    edits: list[float] = field(default_factory=list)
    creates: list[float] = field(default_factory=list)
    updates: list[float] = field(default_factory=list)

    def lines(self) -> Iterator[str]:
        """Return a line for each kind of request."""
        for name, seconds in vars(self).items():
            if seconds:
                median, longest = statistics.median(seconds), max(seconds)
                yield f"{name}: median {median:.3f} s, longest {longest:.3f} s"


@contextmanager
def timed(into: list[float]) -> Iterator[None]:
    """Measure the block."""
    begin = time.monotonic()
    yield
    into.append(time.monotonic() - begin)


class GoodTenant:
    """Edits a source that has one copy, and writes small syncs through admission."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self.home, self._there = stage.namespace("good"), stage.namespace("good")
        self._syncs = f"/apis/{API_VERSION}/namespaces/{self.home}/{PLURAL}"
        shell = UserShell(stage.cluster, stage.namespace)
        shell.may_write_syncs(GOOD_TENANT, self.home)
        for namespace in (self.home, self._there):
            shell.allow(GOOD_TENANT, namespace, ALL_ON_CONFIGMAPS)
        stage.source(self.home)
        stage.sync(self.home, destinationNamespace=self._there)

    def edit(self, value: str) -> None:
        """Edit the source, and wait for the copy."""
        content = self._stage.edit(self.home, "config", data={"key": value})
        self._stage.copy_becomes(content, self._there, within=30)

    def create(self, number: int) -> None:
        """Create a sync."""
        name = f"small-{number}"
        spec = {"configMapName": name, "destinationNamespace": self._there}
        document = {
            "apiVersion": API_VERSION,
            "kind": KIND,
            "metadata": {"name": name},
            "spec": spec,
        }
        self._send("POST", self._syncs, document)

    def update(self, number: int) -> None:
        """Update a sync."""
        change = {"spec": {"destinationConfigMapName": f"renamed-{number}"}}
        self._send(
            "PATCH",
            f"{self._syncs}/small-{number}",
            change,
            content_type="application/merge-patch+json",
        )

    def _send(self, method: str, path: str, body: object, **how: Any) -> None:
        answer = self._stage.cluster.request(method, path, body, user=GOOD_TENANT, **how)
        assert answer.status in {200, 201}, answer.text


def measure(tenant: GoodTenant) -> Measured:
    """Work as the good tenant."""
    measured = Measured()
    for number in range(ROUNDS):
        with timed(measured.edits):
            tenant.edit(str(number))
        with timed(measured.creates):
            tenant.create(number)
        with timed(measured.updates):
            tenant.update(number)
    return measured


def scheduled(*processes: Process) -> tuple[float, float]:
    """Return the nanoseconds that processes have run, and waited for a core, so far."""
    ran, waited = 0, 0
    for process in processes:
        fields = Path(f"/proc/{process.id}/schedstat").read_text(encoding="ascii").split()
        ran, waited = ran + int(fields[0]), waited + int(fields[1])
    return ran, waited


def share_up_to(scraped: Scrape, name: str, bound: float, **labels: str) -> float:
    """Return the share of a histogram's observations up to a bound that is one of its buckets."""
    return scraped.value(f"{name}_bucket", le=str(bound), **labels) / scraped.value(
        f"{name}_count", **labels
    )


def shares(scraped: Scrape, name: str, **labels: str) -> str:
    """Return a line with the shares up to some bounds."""
    parts = (
        f"{share_up_to(scraped, name, bound, **labels):.0%} <= {bound} s"
        for bound in (0.05, 0.1, 0.25, 0.5, 1.0)
    )
    return f"{name}: {', '.join(parts)}"


@pytest.fixture
def hostile_stage(fresh_cluster: Cluster) -> Stage:
    """A cluster of this test, because many objects stay behind."""
    install_crd(fresh_cluster)
    return Stage(fresh_cluster, fresh_cluster.new_namespace)


@pytest.fixture
def start(hostile_stage: Stage, start_process: Callable[..., Process]) -> Callable[[int], Process]:
    """Start a reconciler whose health server listens on a port, and wait until it is ready."""

    def start(port: int) -> Process:
        address = f"{LOCAL_ADDRESS}:{port}"
        account = kubeconfig_of(hostile_stage.cluster, "reconciler")
        process = start_process("reconciler", "--kubeconfig", account, "--health-address", address)
        process.wait_until_answering(f"http://{address}/readyz")
        return process

    return start


def test_the_worst_inputs_at_once_stop_no_other_tenant(
    hostile_stage: Stage,
    start: Callable[[int], Process],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    stage, port, server = hostile_stage, free_port(), hostile_stage.cluster.server
    assert isinstance(server, DevCluster)
    # Past the webhook, as before its installation.
    steps: list[Step] = [step for attack in IN_THE_CLUSTER for step in attack(stage)]
    tenant = GoodTenant(stage)
    with running_webhook(stage.cluster, tmp_path) as webhook:
        reconciler = start(port)
        with repeated([*steps, *reviews(stage, webhook)]):
            tenant.edit("first")
            ran, waited = scheduled(reconciler, server.process)
            measured = measure(tenant)
            ran_since, waited_since = scheduled(reconciler, server.process)
            stretch = 1 + (waited_since - waited) / (ran_since - ran)
            scraped, admission = scrape(port), scrape(webhook.health_port)
            peaks = {"reconciler": peak(reconciler), "webhook": webhook_peak(webhook)}
            assert reconciler.terminate() == 0
            again = start(port)
            peaks["reconciler at its start"] = peak(again)
            tenant.edit("after the restart")
            peaks["reconciler after a restart"] = peak(again)

    report = [
        *measured.lines(),
        f"waiting for a core slowed reconciler and API server down {stretch:.1f} times",
        f"reconciler, {shares(scraped, LAG)}",
        f"webhook, {shares(admission, LAG)}",
        *(f"{webhook}, {shares(admission, LATENCY, webhook=webhook)}" for webhook in PATHS),
        *(f"{name}: at most {size // MEBIBYTE} MiB" for name, size in peaks.items()),
    ]
    with capsys.disabled():
        print("", *report, sep="\n  ")  # noqa: T201 - the log of CI shows it
    assert statistics.median(measured.edits) < MEDIAN_EDIT_SECONDS * stretch, report
    assert max(measured.edits) < LONGEST_EDIT_SECONDS * stretch, report
    for process in (scraped, admission):
        assert share_up_to(process, LAG, 0.5) > MOST_SHARE, report
    # The first webhook sends no request to the API server: all of its time is its own.
    assert share_up_to(admission, LATENCY, 0.1, webhook=MUTATE_PATH) > MOST_SHARE, report
    assert share_up_to(admission, LATENCY, 1.0, webhook=VALIDATE_PATH) > MOST_SHARE, report
    assert scraped.value("controller_runtime_reconcile_panics_total") == 0
    assert max(peaks.values()) < MEMORY_LIMIT, report
    assert peaks["reconciler at its start"] < PEAK_BYTES, report
    assert "Traceback" not in reconciler.output() + again.output()


def webhook_peak(webhook: WebhookProcess) -> int:
    """Return the peak memory of the webhook, in bytes."""
    assert webhook.process is not None
    return peak(webhook.process)
