"""Thousands of syncs, a namespace storm, a burst of edits, and a hostile tenant.

The sizes are those of a frequent run. The variables SYNCS, NAMESPACES, STORM and EDITS
set other sizes; those of the promise (5000, 2000, 1000, 1000) need minutes.
"""

import os
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.journeys.accounts import kubeconfig_of
from tests.journeys.conftest import install_crd
from tests.journeys.crowd import (
    HostileTenant,
    Sent,
    count_copies,
    edit,
    label,
    namespace,
    removal,
    send_all,
    source,
    sync,
)
from tests.journeys.scrape import scrape
from tests.journeys.stage import Stage
from tests.journeys.test_memory import peak
from tests.journeys.test_worst_inputs import MEMORY_LIMIT, scheduled
from tests.support.cluster import Cluster
from tests.support.eventually import wait_until
from tests.support.processes import LOCAL_ADDRESS, Process, free_port

pytestmark = [
    pytest.mark.timeout(3600),  # the sizes are configurable
    pytest.mark.only_on("devcluster", "real"),
    pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="memory is read from /proc"),
    pytest.mark.long_steps("threads of the test share the interpreter"),
]

SYNCS = int(os.environ.get("SYNCS", "300"))
NAMESPACES = int(os.environ.get("NAMESPACES", "120"))
STORM = int(os.environ.get("STORM", "60"))
EDITS = int(os.environ.get("EDITS", "200"))
STORMY = [f"storm-{number}" for number in range(STORM)]
SELECTING = 5  # syncs that select the namespaces of the storm
BURST_SOURCES = 10
ROUNDS = 20
PATIENCE_SECONDS = 1800.0
PROPAGATION_SECONDS = 1.0
# Finalizer, copy and status, and some statuses that report progress.
WRITES_FOR_EACH_SYNC = 4
MEBIBYTE = 1 << 20
# What the allocator may keep after the load is gone.
KEPT_BYTES = 24 * MEBIBYTE
WRITES = ("POST", "PUT", "PATCH", "DELETE")


@dataclass
class Load:
    """A crowded cluster and one reconciler."""

    stage: Stage
    port: int
    start: Callable[[], Process]
    capsys: pytest.CaptureFixture[str]
    report: list[str] = field(default_factory=list)

    @property
    def cluster(self) -> Cluster:
        return self.stage.cluster

    def write_count(self) -> float:
        """Return how many writes the reconciler has sent; access reviews are none here."""
        scraped = scrape(self.port)
        return sum(scraped.value("rest_client_requests_total", method=each) for each in WRITES)

    @contextmanager
    def measured(self, what: str) -> Iterator[None]:
        """Add the duration of the block to the report."""
        began = time.monotonic()
        yield
        self.note(f"{what}: {time.monotonic() - began:.1f} s")

    def note(self, line: str) -> None:
        """Add a line to the report, and print it at once: the log of CI shows it."""
        self.report.append(line)
        with self.capsys.disabled():
            print(f"\n  {line}", end="")  # noqa: T201 - the measurements are for people


@pytest.fixture
def load(
    fresh_cluster: Cluster,
    start_process: Callable[..., Process],
    capsys: pytest.CaptureFixture[str],
) -> Load:
    install_crd(fresh_cluster)
    port = free_port()

    def start() -> Process:
        address = f"{LOCAL_ADDRESS}:{port}"
        account = kubeconfig_of(fresh_cluster, "reconciler")
        process = start_process("reconciler", "--kubeconfig", account, "--health-address", address)
        process.wait_until_answering(f"http://{address}/readyz")
        return process

    return Load(Stage(fresh_cluster, fresh_cluster.new_namespace), port, start, capsys)


def test_a_crowd_a_storm_a_burst_and_a_hostile_tenant(load: Load) -> None:
    settle_in(load)
    reconciler = load.start()
    with load.measured(f"{SYNCS} syncs in {NAMESPACES} namespaces, all copies made"):
        _wait_for_copies(load, SYNCS)
    wait_until(lambda: scrape(load.port).value("workqueue_depth") == 0, PATIENCE_SECONDS)
    assert load.write_count() <= WRITES_FOR_EACH_SYNC * SYNCS + 100
    settled = _resident(reconciler)

    send_all(load.cluster, (namespace(name) for name in STORMY))
    first = _storm(load, reconciler)
    _burst(load)
    _hostility(load, reconciler)
    second = _storm(load, reconciler)

    wait_until(lambda: _resident(reconciler) <= settled + KEPT_BYTES, 60)
    sizes = {"settled": settled, "first storm": first, "second": second, "peak": peak(reconciler)}
    sizes["afterwards"] = _resident(reconciler)
    load.note("memory: " + ", ".join(f"{k} {size // MEBIBYTE} MiB" for k, size in sizes.items()))
    assert second <= first + KEPT_BYTES, load.report
    assert peak(reconciler) < MEMORY_LIMIT, load.report
    assert "Traceback" not in reconciler.output()


def settle_in(load: Load) -> None:
    """Create namespaces, and for each sync a source and one destination."""
    names = [f"team-{number}" for number in range(NAMESPACES)]
    send_all(load.cluster, (namespace(name) for name in names))
    home = [names[number % NAMESPACES] for number in range(SYNCS)]
    there = [names[(number + 1) % NAMESPACES] for number in range(SYNCS)]
    send_all(load.cluster, (source(home[n], f"config-{n}") for n in range(SYNCS)))
    send_all(
        load.cluster,
        (
            sync(home[number], f"config-{number}", destinationNamespace=there[number])
            for number in range(SYNCS)
        ),
    )
    selector = {"matchLabels": {"storm": "yes"}}
    send_all(load.cluster, (source(names[0], f"wide-{n}") for n in range(SELECTING)))
    send_all(
        load.cluster,
        (
            sync(names[0], f"wide-{number}", destinationNamespaceSelector=selector)
            for number in range(SELECTING)
        ),
    )


def _storm(load: Load, reconciler: Process) -> int:
    """Let many namespaces be selected at once, and end that; return the memory in between."""
    before = count_copies(load.cluster)
    with load.measured(f"{STORM} namespaces are selected, {STORM * SELECTING} copies made"):
        send_all(load.cluster, (label(name, storm="yes") for name in STORMY))
        _wait_for_copies(load, before + STORM * SELECTING)
    size = _resident(reconciler)
    with load.measured(f"{STORM} namespaces are no longer selected, all copies removed"):
        send_all(load.cluster, (label(name, storm=None) for name in STORMY))
        _wait_for_copies(load, before)
    return size


def _gone(cluster: Cluster, names: list[str]) -> bool:
    present = {item["metadata"]["name"] for item in cluster.get("/api/v1/namespaces")["items"]}
    return present.isdisjoint(names)


def _burst(load: Load) -> None:
    """Edit a few sources many times; each copy ends with the last content."""
    written = load.write_count()
    edits = (_edit(number, str(number)) for number in range(EDITS))
    with load.measured(f"{EDITS} edits of {BURST_SOURCES} sources, sent and copied"):
        with load.measured(f"{EDITS} edits sent"):
            send_all(load.cluster, edits)
        # The requests above may overtake each other.
        send_all(load.cluster, (_edit(number, "last") for number in range(BURST_SOURCES)))
        for number in range(BURST_SOURCES):
            place = f"team-{(number + 1) % NAMESPACES}"
            content = {"data": {"key": "last"}}
            load.stage.copy_becomes(content, place, f"config-{number}", within=60)
    assert load.write_count() - written <= 2 * (EDITS + BURST_SOURCES)


def _edit(number: int, value: str) -> Sent:
    chosen = number % BURST_SOURCES
    return edit(f"team-{chosen}", f"config-{chosen}", value)


def _hostility(load: Load, reconciler: Process) -> None:
    """Measure the edits of one tenant while another does harm."""
    home, there = load.stage.namespace("good"), load.stage.namespace("good")
    content = load.stage.source(home)
    load.stage.sync(home, destinationNamespace=there)
    load.stage.copy_becomes(content, there, within=60)
    tenant = HostileTenant.move_in(load.cluster, load.stage.tag)
    seconds = []
    with tenant.at_work():
        began, (ran, waited) = time.monotonic(), scheduled(reconciler)
        for number in range(ROUNDS):
            begin = time.monotonic()
            content = load.stage.edit(home, "config", data={"key": str(number)})
            load.stage.copy_becomes(content, there, within=60)
            seconds.append(time.monotonic() - begin)
        rate = tenant.sent / (time.monotonic() - began)
        ran_since, waited_since = scheduled(reconciler)
    stretch = 1 + (waited_since - waited) / max(ran_since - ran, 1)
    load.note(f"a hostile tenant sends {rate:.0f} requests a second")
    load.note(f"an edit of another tenant: {_summary(seconds)}")
    load.note(f"waiting for a core slowed the reconciler down {stretch:.1f} times")
    assert statistics.median(seconds) < PROPAGATION_SECONDS * stretch, load.report
    leaving = [tenant.home, *tenant.there]
    send_all(load.cluster, map(removal, leaving))
    wait_until(lambda: _gone(load.cluster, leaving), PATIENCE_SECONDS, every=0.5)


def _summary(seconds: list[float]) -> str:
    return f"median {statistics.median(seconds):.3f} s, longest {max(seconds):.3f} s"


def _wait_for_copies(load: Load, count: int) -> None:
    def so() -> None:
        found = count_copies(load.cluster)
        assert found == count, f"{found} copies, not {count}"

    wait_until(so, PATIENCE_SECONDS, every=0.2)


def _resident(process: Process) -> int:
    """Return the memory of the process now, in bytes."""
    status = Path(f"/proc/{process.id}/status").read_text(encoding="ascii")
    line = next(line for line in status.splitlines() if line.startswith("VmRSS"))
    return int(line.split()[1]) * 1024
