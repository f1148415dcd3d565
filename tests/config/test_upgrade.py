"""An upgrade from an earlier release by `make deploy` keeps every sync and copy."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.config.installation import deploy, let_syncs_in, start_reconciler, wait_until_served
from tests.journeys.stage import Stage
from tests.support.cluster import Cluster
from tests.support.manifests import build, of_kind
from tests.support.processes import Process

OLDER = Path(__file__).parent / "older.yaml"


@pytest.fixture
def stage(fresh_cluster: Cluster) -> Stage:
    return Stage(fresh_cluster, fresh_cluster.new_namespace)


def test_syncs_and_copies_live_on(stage: Stage, start_process: Callable[..., Process]) -> None:
    cluster = stage.cluster
    cluster.kubectl("apply", "-f", OLDER)
    wait_until_served(cluster)
    let_syncs_in(cluster)
    older = start_reconciler(cluster, start_process)
    home, edited, left_alone = stage.namespace(), stage.namespace(), stage.namespace()
    sync = stage.sync(home, sourceNamespace=home, destinationNamespace=edited)
    stage.copy_becomes(stage.source(home), edited)
    stage.sync(home, sourceNamespace=home, configMapName="other", destinationNamespace=left_alone)
    stage.copy_becomes(stage.source(home, "other"), left_alone, "other")
    before = {
        place: stage.find(place, name)["metadata"]
        for place, name in ((edited, "config"), (left_alone, "other"))
    }
    spec, uid = cluster.get(sync)["spec"], cluster.get(sync)["metadata"]["uid"]
    assert older.terminate() == 0

    deploy(cluster)
    let_syncs_in(cluster)
    start_reconciler(cluster, start_process)
    content = stage.edit(home, "config", data={"key": "after the upgrade"})

    assert stage.copy_becomes(content, edited)["metadata"]["uid"] == before[edited]["uid"]
    assert stage.find(left_alone, "other")["metadata"] == before[left_alone]
    now = cluster.get(sync)
    assert now["metadata"]["uid"] == uid
    assert now["spec"].items() >= spec.items()  # new fields have their defaults now
    assert images(cluster) == {
        c["image"] for d in of_kind(build(), "Deployment") for c in _containers(d)
    }


def images(cluster: Cluster) -> set[str]:
    """Return the images of the Deployments and Jobs."""
    namespace = "configmapsync-system"
    paths = (
        f"/apis/apps/v1/namespaces/{namespace}/deployments",
        f"/apis/batch/v1/namespaces/{namespace}/jobs",
    )
    return {
        c["image"]
        for path in paths
        for item in cluster.get(path)["items"]
        for c in _containers(item)
    }


def _containers(workload: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield from workload["spec"]["template"]["spec"]["containers"]
