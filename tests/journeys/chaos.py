"""A reconciler behind a proxy, and the faults of an API server of every kind."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from tests.journeys.accounts import NAMESPACE, Program, kubeconfig_of, name_of
from tests.journeys.bounds import within
from tests.journeys.faults import stop_for
from tests.journeys.stage import Stage
from tests.support.cluster import Cluster
from tests.support.control_plane import ControlPlane
from tests.support.eventually import wait_until
from tests.support.processes import Process
from tests.support.proxy import Proxy
from tests.support.users import write_kubeconfig

# The processes of these tests open a silent watch again after this time. IDLE_SECONDS=80 is the
# default of the product.
IDLE_SECONDS = float(os.environ.get("IDLE_SECONDS", "2"))
# After the idle time: a pause, the check of the history, and the new watch.
RECONNECT_SECONDS = 10.0
RECOVERY_SECONDS = 5.0  # after a cut, or when the API server is back
OPEN_WATCHES = 4  # of a reconciler without leader election
CONFIGMAP_WATCHES = 2  # of those: one of sources, and one of copies
RESTART_SECONDS = 1.0


@dataclass
class Chaos:
    """One source, one copy, and a proxy between the cluster and the process under test."""

    stage: Stage
    proxy: Proxy
    folder: Path
    home: str
    there: str
    sync: str

    @property
    def cluster(self) -> Cluster:
        """Return the cluster without the proxy."""
        return self.stage.cluster

    def kubeconfig(self, program: Program, credentials: dict[str, str] | None = None) -> Path:
        """Return a kubeconfig of a program's ServiceAccount whose requests pass the proxy."""
        kubeconfig_of(self.cluster, program)  # installs the account
        if credentials is None:
            credentials = {"token": self.cluster.token_of_account(NAMESPACE, name_of(program))}
        path = self.folder / f"{program}-proxied.kubeconfig"
        return write_kubeconfig(path, self.proxy.url, self.proxy.authority_file, credentials)

    def edit(self, value: str) -> None:
        """Edit the source, past the proxy."""
        self.stage.edit(self.home, "config", data={"key": value})

    def copied(self, value: str) -> None:
        """Wait until the copy has this content."""
        self.stage.copy_becomes({"data": {"key": value}}, self.there, within=120)

    @contextmanager
    def copies_within(self, seconds: float, value: str, *processes: Process) -> Iterator[None]:
        """Check that the copy has this content so many seconds after the block began."""
        with within(seconds, self.cluster, *processes):
            yield
            self.copied(value)


def compact(cluster: Cluster) -> None:
    """Let the API server forget its history, so that no older watch can be resumed."""
    if isinstance(cluster.server, ControlPlane):
        cluster.server.compact()
    else:
        cluster.create("/devcluster/compact", {})


def restart(cluster: Cluster) -> None:
    """Restart the API server and wait until it answers."""
    if isinstance(cluster.server, ControlPlane):
        cluster.server.restart()
        return
    stop_for(cluster, RESTART_SECONDS)
    wait_until(lambda: cluster.request("GET", "/readyz").status == 200)


def new_chaos(stage: Stage, proxy: Proxy, folder: Path) -> Chaos:
    """Create a source and a sync with one copy."""
    home, there = stage.namespace("home"), stage.namespace("there")
    stage.source(home)
    return Chaos(stage, proxy, folder, home, there, stage.sync(home, destinationNamespace=there))


def open_proxy(cluster: Cluster, folder: Path) -> Proxy:
    """Return a proxy in front of the cluster."""
    folder.mkdir()
    now = datetime.now(UTC)  # noqa: TID251 - certificates begin by the real clock
    return Proxy(cluster.url, cluster.authority_file, folder, now)
