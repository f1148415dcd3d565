"""A running reconciler follows a cluster whose storage is restored from a backup."""

import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.journeys.accounts import kubeconfig_of
from tests.journeys.conftest import install_crd
from tests.journeys.stage import Stage
from tests.support.cluster import Cluster
from tests.support.clusters import started
from tests.support.control_plane import ControlPlane
from tests.support.devcluster import DevCluster
from tests.support.eventually import wait_until
from tests.support.processes import LOCAL_ADDRESS, Process, free_port

RECOVERY_SECONDS = 90.0
# Devcluster skips this many versions when it starts from its file.
SKIPPED_VERSIONS = 1_000_000


class Backup:
    """Backs up and restores the storage of one cluster."""

    def __init__(self, cluster: Cluster, snapshot: Path, arguments: tuple[str, ...]) -> None:
        self._cluster = cluster
        self._snapshot = snapshot
        self._arguments = arguments
        self._kept = ""

    def make(self, seen: Callable[[Mapping[str, Any]], bool]) -> None:
        """Make a backup.

        A cluster that saves by itself provides the first snapshot for which `seen` holds.
        """
        server = self._cluster.server
        if isinstance(server, ControlPlane):
            server.back_up()
            return

        def saved() -> str:
            text = self._snapshot.read_text(encoding="utf-8")
            assert seen(json.loads(text)["store"])
            return text

        self._kept = wait_until(saved, 30)

    def restore(self) -> None:
        """Restore the backup."""
        server = self._cluster.server
        if isinstance(server, ControlPlane):
            server.restore()
            return
        server.stop()
        snapshot = json.loads(self._kept)
        snapshot["store"]["version"] -= SKIPPED_VERSIONS
        self._snapshot.write_text(json.dumps(snapshot), encoding="utf-8")
        self._cluster.server = DevCluster(
            self._cluster.folder, tuple(self._cluster.users.values()), *self._arguments
        )


@pytest.fixture
def own_cluster(cluster: Cluster, tmp_path: Path) -> Iterator[tuple[Cluster, Backup]]:
    folder = tmp_path / "cluster"
    folder.mkdir()
    snapshot = tmp_path / "snapshot.json"
    arguments = (f"--data={snapshot}", f"--listen={LOCAL_ADDRESS}:{free_port()}")
    with started(cluster.kind, folder, *(arguments if cluster.kind == "devcluster" else ())) as own:
        yield own, Backup(own, snapshot, arguments)
        own.server.stop()


@pytest.mark.only_on("devcluster", "real")
@pytest.mark.parametrize("later_writes", [2, 200], ids=["a little", "far"])
def test_a_resource_version_that_goes_back_is_detected_and_syncing_continues(
    own_cluster: tuple[Cluster, Backup], start_process: Callable[..., Process], later_writes: int
) -> None:
    cluster, backup = own_cluster
    install_crd(cluster)
    stage = Stage(cluster, cluster.new_namespace)
    home, target, later = (
        stage.namespace("home"),
        stage.namespace("target"),
        stage.namespace("later"),
    )
    stage.sync(home, destinationNamespaces=[target, later])
    first = stage.source(home, data={"key": "before the backup"})
    port = free_port()
    reconciler = start_process(
        "reconciler",
        *(
            "--kubeconfig",
            kubeconfig_of(cluster, "reconciler"),
            "--health-address",
            f"{LOCAL_ADDRESS}:{port}",
        ),
    )
    reconciler.wait_until_answering(f"http://{LOCAL_ADDRESS}:{port}/readyz")
    stage.copy_becomes(first, target)
    stage.copy_becomes(first, later)
    copies = {(target, "config"), (later, "config")}

    def holds_the_copies(store: Mapping[str, Any]) -> bool:
        destinations = {
            (each["object"]["metadata"].get("namespace"), each["object"]["metadata"]["name"])
            for each in store["objects"]
        }
        return copies <= destinations

    backup.make(holds_the_copies)
    stage.copy_becomes(
        stage.edit(home, "config", data={"key": "after the backup"}),
        target,
        within=RECOVERY_SECONDS,
    )
    for number in range(later_writes):
        stage.put_configmap(home, f"filler-{number}", data={})

    backup.restore()
    assert stage.find(home)["data"] == {"key": "before the backup"}
    stage.copy_becomes(first, target, within=RECOVERY_SECONDS)
    edited = stage.edit(home, "config", data={"key": "after the restore"})
    stage.copy_becomes(edited, target, within=RECOVERY_SECONDS)
    stage.copy_becomes(edited, later, within=RECOVERY_SECONDS)
    new = stage.namespace("new")
    stage.sync(home, destinationNamespace=new, destinationConfigMapName="new")
    stage.copy_becomes(edited, new, "new", within=RECOVERY_SECONDS)
    reconciler.check_running()
    assert "resource versions went back" in reconciler.output()
