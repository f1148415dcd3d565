"""A cluster accepts `config/`, and an upgrade leaves syncs and copies unchanged.

Uninstalling works in any order and leaves no object behind.
"""

import json
from collections.abc import Callable, Iterator

import pytest

from configmapsync.names import API_VERSION, FINALIZER
from tests.config.installation import (
    by_hand,
    deploy,
    let_syncs_in,
    start_reconciler,
    undeploy,
    uninstall,
)
from tests.journeys.stage import Stage
from tests.support.cluster import Cluster
from tests.support.clusters import started
from tests.support.eventually import wait_until
from tests.support.manifests import DEFAULT, build, of_kind, pod_specs
from tests.support.processes import Process

NAMESPACE = "configmapsync-system"


@pytest.fixture(scope="module")
def own_cluster(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A cluster for this module alone."""
    if cluster.kind == "existing":
        pytest.skip("the tests do not install on an existing cluster")
    with started(cluster.kind, tmp_path_factory.mktemp("own")) as own:
        yield own


@pytest.fixture
def empty(own_cluster: Cluster) -> Iterator[Cluster]:
    """A cluster without any object of the operator."""
    yield own_cluster
    uninstall(own_cluster)
    undeploy(own_cluster)
    nothing_is_left(own_cluster)


@pytest.fixture
def stage(empty: Cluster) -> Stage:
    return Stage(empty, empty.new_namespace)


def nothing_is_left(cluster: Cluster) -> None:
    """Wait until no object of the installation is left, not even one that is being deleted."""
    wait_until(
        lambda: (
            cluster.kubectl("get", "-k", DEFAULT, "--ignore-not-found", "-o", "name").stdout == ""
        ),
        within=30,
    )


@pytest.mark.parametrize("how", ["--server-side=false", "--server-side=true"])
def test_the_api_server_takes_every_object_and_applying_it_again_changes_nothing(
    empty: Cluster, how: str
) -> None:
    # A dry run creates no namespace, so the namespace must exist before.
    empty.kubectl("apply", how, "-f", "-", input=json.dumps(of_kind(build(), "Namespace")[0]))
    rehearsed = empty.kubectl("apply", how, "--dry-run=server", "-k", DEFAULT)
    applied = empty.kubectl("apply", how, "-k", DEFAULT)
    wait_until(lambda: quotas_are_counted(empty))
    before = versions(empty)
    again = empty.kubectl("apply", how, "-k", DEFAULT)

    assert len(rehearsed.stdout.splitlines()) == len(build())
    assert "Warning" not in rehearsed.stderr + applied.stderr + again.stderr
    assert versions(empty) == before


def versions(cluster: Cluster) -> dict[str, str]:
    """Return the generation of every object, or its resource version if it has none.

    Controllers may write the status, which leaves the generation unchanged. A quota has none.
    """
    items = json.loads(cluster.kubectl("get", "-k", DEFAULT, "-o", "json").stdout)["items"]
    return {
        f"{item['kind']}/{item['metadata']['name']}": str(
            item["metadata"].get("generation", item["metadata"]["resourceVersion"])
        )
        for item in items
    }


def quotas_are_counted(cluster: Cluster) -> bool:
    """Return whether the quota controller, if there is one, has written its statuses."""
    if not (cluster.is_real and cluster.has_controllers):
        return True
    quotas = cluster.get(f"/api/v1/namespaces/{NAMESPACE}/resourcequotas")["items"]
    return all("hard" in quota["status"] for quota in quotas)


@pytest.mark.only_on("real")
@pytest.mark.controllers
def test_the_real_pod_security_admission_lets_every_pod_in_and_no_other(empty: Cluster) -> None:
    deploy(empty)

    def create(spec: dict[str, object]) -> str:
        pod = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": "pod", "namespace": NAMESPACE},
            "spec": spec,
        }
        done = empty.kubectl(
            "create", "--dry-run=server", "-f", "-", input=json.dumps(pod), check=False
        )
        return done.stdout + done.stderr

    # Until the quota of the namespace has a status, the API server refuses pods.
    wait_until(lambda: "created" in create(next(pod for _, pod in pod_specs(build()))))
    for _, pod in pod_specs(build()):
        assert "pod/pod created" in create(pod)
        assert 'violates PodSecurity "restricted:' in create({**pod, "hostNetwork": True})


def test_uninstall_then_undeploy_leaves_nothing(
    stage: Stage, start_process: Callable[..., Process]
) -> None:
    """This order cleans up: the reconciler runs until the last sync is deleted."""
    deploy(stage.cluster)
    let_syncs_in(stage.cluster)
    start_reconciler(stage.cluster, start_process)
    home, there = stage.namespace(), stage.namespace()
    content = stage.source(home)
    stage.sync(home, destinationNamespace=there)
    stage.copy_becomes(content, there)

    said = uninstall(stage.cluster, patience="30")

    assert "No reconciler" not in said
    assert stage.find(there) is None
    assert stage.find(home) is not None
    undeploy(stage.cluster)
    nothing_is_left(stage.cluster)


def test_undeploy_then_uninstall_leaves_nothing_but_the_copies(
    stage: Stage, start_process: Callable[..., Process]
) -> None:
    deploy(stage.cluster)
    let_syncs_in(stage.cluster)
    reconciler = start_reconciler(stage.cluster, start_process)
    home, there = stage.namespace(), stage.namespace()
    content = stage.source(home)
    sync = stage.sync(home, destinationNamespace=there)
    stage.copy_becomes(content, there)
    assert reconciler.terminate() == 0

    undeploy(stage.cluster)
    assert FINALIZER in stage.cluster.get(sync)["metadata"]["finalizers"]
    said = uninstall(stage.cluster)

    assert home in said
    stage.copy_becomes(content, there)
    nothing_is_left(stage.cluster)


@pytest.mark.parametrize(
    "way_out", [uninstall, by_hand("no reconciler runs, and a sync")], ids=["make", "by-hand"]
)
def test_deleting_everything_at_once_can_be_completed(
    stage: Stage, way_out: Callable[[Cluster], str]
) -> None:
    """`kubectl delete -k config/default` deletes the reconciler too early.

    The CRD is then stuck in deletion until the finalizers are removed by hand.
    """
    deploy(stage.cluster)
    let_syncs_in(stage.cluster)
    home = stage.namespace()
    sync = stage.sync(home, destinationNamespace=home)
    stage.cluster.patch(sync, {"metadata": {"finalizers": [FINALIZER]}})

    stage.cluster.kubectl("delete", "--ignore-not-found", "--wait=false", "-k", DEFAULT)
    wait_until(lambda: "deletionTimestamp" in stage.cluster.get(sync)["metadata"])

    assert sync.rpartition("/")[2] in way_out(stage.cluster)
    nothing_is_left(stage.cluster)


def test_a_missing_webhook_does_not_block_the_uninstallation(stage: Stage) -> None:
    """Both admission configurations outlive the namespace of the webhook.

    They refuse new syncs until they are deleted as docs/installation.md says.
    """
    deploy(stage.cluster)
    let_syncs_in(stage.cluster)
    home = stage.namespace()
    sync = stage.sync(home, destinationNamespace=home)
    stage.cluster.patch(sync, {"metadata": {"finalizers": [FINALIZER]}})
    deploy(stage.cluster)

    stage.cluster.kubectl("delete", "namespace", NAMESPACE)
    document = {
        "apiVersion": API_VERSION,
        "kind": "ConfigMapSync",
        "metadata": {"name": "new"},
        "spec": {"configMapName": "a", "destinationNamespace": home},
    }
    refused = stage.cluster.request("POST", sync.rpartition("/")[0], document)
    assert refused.status == 500
    assert "failed calling webhook" in refused.text

    let_syncs_in(stage.cluster)
    stage.cluster.create(sync.rpartition("/")[0], document)
    assert home in uninstall(stage.cluster)
    undeploy(stage.cluster)
    nothing_is_left(stage.cluster)


def test_uninstalling_twice_is_no_error(empty: Cluster) -> None:
    assert "There is no ConfigMapSync" in uninstall(empty)
    undeploy(empty)
