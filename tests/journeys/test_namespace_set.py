"""With `config/overlays/namespaces` copies are written only in bound namespaces."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.config.installation import deploy, let_syncs_in
from tests.journeys.stage import Stage
from tests.support.cluster import Cluster
from tests.support.eventually import wait_until
from tests.support.kubelet import Kubelet
from tests.support.manifests import CONFIG

NAMESPACE = "configmapsync-system"


@pytest.fixture
def kubelet(fresh_cluster: Cluster, tmp_path: Path) -> Iterator[Kubelet]:
    running = Kubelet(fresh_cluster, tmp_path)
    yield running
    running.stop()


def overlay_for(namespace: str, folder: Path) -> Path:
    """Return the overlay after the edits of a user."""
    overlay = shutil.copytree(CONFIG, folder / "config") / "overlays" / "namespaces"
    bindings = overlay / "bindings.yaml"
    bindings.write_text(
        bindings.read_text().replace("namespace: web\n", f"namespace: {namespace}\n")
    )
    flags = overlay / "kustomization.yaml"
    flags.write_text(flags.read_text().replace("=web,checkout", f"={namespace},checkout"))
    return overlay


def test_copies_are_written_only_in_the_set_and_the_status_names_the_rest(
    kubelet: Kubelet, tmp_path: Path
) -> None:
    stage = Stage(kubelet.cluster, kubelet.cluster.new_namespace)
    home, inside, outside = stage.namespace(), stage.namespace(), stage.namespace()
    stage.cluster.add_namespace("checkout")
    deploy(stage.cluster, overlay_for(inside, tmp_path))
    let_syncs_in(stage.cluster)
    kubelet.run(
        stage.cluster.get(
            f"/apis/apps/v1/namespaces/{NAMESPACE}/deployments/configmapsync-reconciler"
        )
    ).wait_until_ready()
    content = stage.source(home)

    sync = stage.sync(home, destinationNamespaces=[inside, outside])

    stage.copy_becomes(content, inside, within=30)
    wait_until(lambda: destinations(stage, sync) == {"desired": 2, "synced": 1, "failed": 1})
    [failure] = stage.cluster.get(sync)["status"]["failures"]
    assert failure["namespace"] == outside
    assert "the reconciler may not create ConfigMaps there" in failure["message"]
    assert stage.find(outside) is None

    # A forged copy outside the set cannot be deleted, and must block nothing.
    copy = stage.find(inside)
    marks = {"labels": copy["metadata"]["labels"], "annotations": copy["metadata"]["annotations"]}
    forged = json.loads(json.dumps(marks).replace(f"{inside}/config", f"{outside}/config"))
    path = f"/api/v1/namespaces/{outside}/configmaps"
    body = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "config", **forged},
        "data": {"a": "b"},
    }
    stage.cluster.create(path, body)
    stage.cluster.delete(sync)
    stage.copy_goes(inside)
    wait_until(lambda: stage.cluster.find(sync) is None, within=30)
    assert stage.find(outside)["data"] == {"a": "b"}


def destinations(stage: Stage, sync: str) -> Any:
    """Return the destination counts of the status, once there is one."""
    return stage.cluster.get(sync).get("status", {}).get("destinations")
