"""Check what takes a replica of the reconciler out of service, and what does not."""

import signal
from collections.abc import Callable
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest

from tests.journeys.accounts import kubeconfig_of
from tests.journeys.conftest import install_crd
from tests.journeys.faults import Faults
from tests.journeys.stage import Stage
from tests.support.eventually import wait_until
from tests.support.processes import LOCAL_ADDRESS, START_SECONDS, Process, free_port

pytestmark = pytest.mark.only_on("devcluster", "real")


def probe(port: int, path: str) -> str:
    """Return the body of a probe's answer."""
    try:
        with urlopen(f"http://{LOCAL_ADDRESS}:{port}/{path}", timeout=10) as answer:
            return str(answer.read().decode())
    except HTTPError as refusal:
        with refusal:
            return refusal.read().decode()
    except OSError as problem:
        raise AssertionError("no answer") from problem


@pytest.mark.only_on("devcluster")
def test_a_reconciler_that_is_stopping_is_not_ready_and_alive(
    stage: Stage, start_reconciler: Callable[..., Process], fault: Faults, health_port: int
) -> None:
    reconciler = start_reconciler(port=health_port)
    home, slow = stage.namespace("home"), stage.namespace("slow")
    stage.source(home)
    fault("delay", verb="create", resource="configmaps", namespace=slow, seconds=8)
    stage.sync(home, destinationNamespace=slow)
    wait_until(lambda: sum(fault.hits()) == 1)

    reconciler.send(signal.SIGTERM)

    wait_until(lambda: probe(health_port, "readyz") == "stopping: the process is stopping\n")
    assert probe(health_port, "healthz") == "ok\n"
    assert reconciler.wait() == 0


def test_a_replica_without_a_right_to_the_lease_is_not_ready_and_alive(
    stage: Stage, start_process: Callable[..., Process], health_port: int
) -> None:
    """The reconciler's role has the right in the namespace of the installation only."""
    elsewhere = stage.namespace("elsewhere")
    reconciler = start_process(
        "reconciler",
        *("--kubeconfig", kubeconfig_of(stage.cluster, "reconciler"), "--leader-elect"),
        *("--leader-election-namespace", elsewhere),
        *("--health-address", f"{LOCAL_ADDRESS}:{health_port}"),
    )

    reconciler.wait_for_line("cannot read or write the leader lease")

    wait_until(
        lambda: probe(health_port, "readyz").startswith("lease: cannot read or write the Lease: "),
        START_SECONDS,
    )
    assert probe(health_port, "healthz") == "ok\n"


@pytest.mark.parametrize("program", ["reconciler", "webhook"])
def test_a_process_without_a_right_to_list_is_not_ready_and_alive(
    stage: Stage, start_process: Callable[..., Process], tmp_path: Path, program: str
) -> None:
    port = free_port()
    install_crd(stage.cluster)
    certificates = ("--certificate-dir", tmp_path) if program == "webhook" else ()
    start_process(
        program,
        *("--kubeconfig", stage.cluster.kubeconfig_for("alice"), "--relaxed-tls"),
        *("--health-address", f"{LOCAL_ADDRESS}:{port}", *certificates),
    )

    def forbidden() -> bool:
        lines = probe(port, "readyz").splitlines()
        return any(
            line.startswith("configmapsyncs: cannot be listed: ") and "alice" in line
            for line in lines
        )

    wait_until(forbidden, START_SECONDS)
    assert probe(port, "healthz") == "ok\n"
