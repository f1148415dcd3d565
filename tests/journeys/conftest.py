"""The stage of the journeys: the CRD as `make install` would install it, and the reconciler as a real process with its own rights."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.config.installation import wait_until_served
from tests.journeys.accounts import kubeconfig_of
from tests.journeys.stage import Stage
from tests.support.cluster import Cluster
from tests.support.processes import Process, free_port

ROOT = Path(__file__).parents[2]
CRD = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/configmapsyncs.apps.nishaf.info"


@pytest.fixture
def crd(cluster: Cluster) -> None:
    """The ConfigMapSync API is served."""
    install_crd(cluster)


def install_crd(cluster: Cluster) -> None:
    """Install it once for each cluster."""
    if cluster.find(CRD) is None:
        cluster.kubectl("apply", "-k", ROOT / "config" / "crd")
        wait_until_served(cluster)


@pytest.fixture
def stage(cluster: Cluster, crd: None, new_namespace: Callable[..., str]) -> Iterator[Stage]:
    """A cluster with the CRD, and namespaces of the test's own; no reconciler yet."""
    made = Stage(cluster, new_namespace)
    yield made
    made.remove_syncs()


@pytest.fixture
def start_reconciler(
    cluster: Cluster, start_process: Callable[..., Process]
) -> Callable[..., Process]:
    """Start the reconciler as a process and wait until it is ready; `port` is that of its health server."""

    def start(*arguments: str, port: int | None = None) -> Process:
        port = port or free_port()
        process = start_process(
            *("reconciler", "--kubeconfig", kubeconfig_of(cluster, "reconciler")),
            *("--health-address", f"127.0.0.1:{port}", *arguments),
        )
        process.wait_until_answering(f"http://127.0.0.1:{port}/readyz")
        return process

    return start


@pytest.fixture
def reconciler(stage: Stage, start_reconciler: Callable[..., Process]) -> Process:
    """A running reconciler; it outlives the test's syncs, so that their finalizers come off."""
    return start_reconciler()
