"""Fixtures of the journeys: the CRD, and the reconciler with its own rights."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from configmapsync.names import API_VERSION, MANAGED_BY_LABEL, MANAGED_BY_VALUE, PLURAL
from tests.config.installation import wait_until_served
from tests.journeys.accounts import NAMESPACE, kubeconfig_of
from tests.journeys.faults import Faults
from tests.journeys.stage import Stage
from tests.journeys.user_shell import UserShell
from tests.journeys.webhook_process import WebhookProcess, running_webhook
from tests.support.cluster import NAMESPACES, Cluster
from tests.support.processes import Process, free_port
from tests.support.users import PEOPLE

ROOT = Path(__file__).parents[2]
RBAC_GROUP = "rbac.authorization.k8s.io"
RBAC = f"/apis/{RBAC_GROUP}/v1"
SYNCS = f"/apis/{API_VERSION}/{PLURAL}"
COPIES = f"/api/v1/configmaps?labelSelector={MANAGED_BY_LABEL}={MANAGED_BY_VALUE}"
Rule = dict[str, Any]
CRD = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/configmapsyncs.apps.nishaf.info"


@pytest.fixture
def crd(cluster: Cluster) -> None:
    """Serve the ConfigMapSync API."""
    install_crd(cluster)


def install_crd(cluster: Cluster) -> None:
    """Install the CRD once for each cluster."""
    if cluster.find(CRD) is None:
        cluster.kubectl("apply", "-k", ROOT / "config" / "crd")
        wait_until_served(cluster)


@pytest.fixture
def stage(cluster: Cluster, crd: None, new_namespace: Callable[..., str]) -> Iterator[Stage]:
    """A cluster with the CRD and namespaces of this test, without a reconciler."""
    made = Stage(cluster, new_namespace)
    yield made
    made.remove_syncs()
    remove_finalizers(cluster)


def remove_finalizers(cluster: Cluster) -> None:
    """Remove the finalizers of the test's syncs, so that its namespaces can be deleted."""
    for document in cluster.get(SYNCS)["items"]:
        metadata = document["metadata"]
        if metadata["namespace"] in cluster.own_namespaces and metadata.get("finalizers"):
            path = f"/apis/{API_VERSION}/namespaces/{metadata['namespace']}/{PLURAL}"
            answer = cluster.request(
                "PATCH",
                f"{path}/{metadata['name']}",
                {"metadata": {"finalizers": None}},
                content_type="application/merge-patch+json",
            )
            assert answer.status in {200, 404}, answer.text


@pytest.fixture(autouse=True)
def _nothing_left(request: pytest.FixtureRequest) -> Iterator[None]:
    """Fail a test that leaves a namespace, sync, copy, or a user with rights in the whole cluster.

    Later tests of the same run share the cluster and its users: they count on refusals, and
    their reconcilers would reconcile that sync.
    """
    if "cluster" not in request.fixturenames:
        yield
        return
    cluster: Cluster = request.getfixturevalue("cluster")
    if cluster.kind == "existing":
        yield
        return
    before = lasting_objects(cluster)
    yield
    assert bound_users(cluster) == {}
    assert lasting_objects(cluster) - before <= {NAMESPACE}


def lasting_objects(cluster: Cluster) -> set[str]:
    """Return the namespaces that are not being deleted, and the syncs and copies in them."""
    namespaces, copies, syncs = (
        [item["metadata"] for item in (cluster.find(path) or {"items": []})["items"]]
        for path in (NAMESPACES, COPIES, SYNCS)
    )
    lasting = {item["name"] for item in namespaces if "deletionTimestamp" not in item}
    return lasting | {
        f"{item['namespace']}/{item['name']}"
        for item in (*copies, *syncs)
        if item["namespace"] in lasting
    }


def bound_users(cluster: Cluster) -> dict[str, str]:
    """Return the ClusterRoleBindings of the test users, each with the name of its user."""
    return {
        binding["metadata"]["name"]: subject["name"]
        for binding in cluster.get(f"{RBAC}/clusterrolebindings")["items"]
        for subject in binding.get("subjects", ())
        if subject["kind"] == "User" and subject["name"] in PEOPLE
    }


@pytest.fixture
def allow_everywhere(cluster: Cluster) -> Iterator[Callable[[str, list[Rule]], None]]:
    """Grant a user rights in the whole cluster; the end of the test takes them back.

    `allow_everywhere("bob", [{"apiGroups": [""], "resources": ["secrets"], "verbs": ["get"]}])`
    """
    paths: list[str] = []

    def allow(user: str, rules: list[Rule]) -> None:
        metadata = {"name": f"everywhere-{user}-{len(paths)}"}
        role = {"apiGroup": RBAC_GROUP, "kind": "ClusterRole", "name": metadata["name"]}
        subject = {"apiGroup": RBAC_GROUP, "kind": "User", "name": user}
        bodies: dict[str, dict[str, object]] = {
            "clusterroles": {"rules": rules},
            "clusterrolebindings": {"roleRef": role, "subjects": [subject]},
        }
        for resource, body in bodies.items():
            cluster.create(f"{RBAC}/{resource}", {"metadata": metadata, **body})
            paths.append(f"{RBAC}/{resource}/{metadata['name']}")

    yield allow
    for path in paths:
        cluster.delete(path)


@pytest.fixture
def fault(cluster: Cluster) -> Iterator[Faults]:
    """Add faults to devcluster; the end of the test removes them."""
    faults = Faults(cluster)
    yield faults
    faults.clear()


@pytest.fixture
def health_port() -> int:
    """A port for the health server of the reconciler."""
    return free_port()


@pytest.fixture(scope="module")
def webhook(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[WebhookProcess]:
    """A running webhook for the tests of a module that do not break it."""
    install_crd(cluster)
    with running_webhook(cluster, tmp_path_factory.mktemp("webhook")) as process:
        yield process


@pytest.fixture
def shell(
    cluster: Cluster, webhook: WebhookProcess, new_namespace: Callable[..., str]
) -> Iterator[UserShell]:
    """A user's shell on a cluster with the webhook and without a reconciler."""
    shell = UserShell(cluster, new_namespace)
    yield shell
    remove_finalizers(cluster)


@pytest.fixture
def start_reconciler(
    cluster: Cluster, start_process: Callable[..., Process]
) -> Callable[..., Process]:
    """Start the reconciler as a process and wait until it is ready.

    `port` is that of its health server.
    """

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
    """A running reconciler."""
    return start_reconciler()
