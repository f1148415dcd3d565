"""Every kind of cluster gives the same interface to the tests."""

from collections.abc import Callable

import pytest

from tests.support.cluster import Cluster, UnexpectedAnswerError
from tests.support.control_plane import ControlPlane
from tests.support.eventually import wait_until


def configmaps(namespace: str, name: str = "") -> str:
    return f"/api/v1/namespaces/{namespace}/configmaps{name and '/' + name}"


def test_kubectl_and_plain_requests_see_the_same_cluster(cluster: Cluster, namespace: str) -> None:
    cluster.kubectl(
        "create", "configmap", "settings", "--from-literal=colour=blue", f"--namespace={namespace}"
    )

    assert cluster.get(configmaps(namespace, "settings"))["data"] == {"colour": "blue"}


def test_kubectl_reads_its_standard_input(cluster: Cluster, namespace: str) -> None:
    manifest = (
        f"apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: piped, namespace: {namespace}}}\n"
    )

    done = cluster.kubectl("apply", "-f", "-", input=manifest)

    assert done.stdout == "configmap/piped created\n"


def test_a_kubectl_that_fails_says_why(cluster: Cluster, namespace: str) -> None:
    with pytest.raises(AssertionError, match='configmaps "missing" not found'):
        cluster.kubectl("get", "configmap", "missing", f"--namespace={namespace}")
    assert (
        cluster.kubectl(
            "get", "configmap", "missing", f"--namespace={namespace}", check=False
        ).returncode
        == 1
    )


def test_a_missing_object_is_none_and_a_refused_request_is_an_error(
    cluster: Cluster, namespace: str
) -> None:
    assert cluster.find(configmaps(namespace, "missing")) is None
    with pytest.raises(UnexpectedAnswerError, match="422"):
        cluster.create(configmaps(namespace), {"metadata": {"name": "Not A Name"}})


def test_alice_starts_without_rights(cluster: Cluster, namespace: str) -> None:
    refused = cluster.kubectl_as("alice")(
        "get", "configmaps", f"--namespace={namespace}", check=False
    )

    assert refused.returncode == 1
    assert 'User "alice" cannot list resource "configmaps"' in refused.stderr
    assert cluster.request("GET", configmaps(namespace), user="alice").status == 403


@pytest.mark.controllers
def test_the_namespaces_of_a_test_are_deleted_with_it(
    cluster: Cluster, new_namespace: Callable[..., str]
) -> None:
    name = new_namespace(prefix="short-lived", labels={"team": "web"})
    assert cluster.get(f"/api/v1/namespaces/{name}")["metadata"]["labels"]["team"] == "web"

    cluster.remove_namespaces()

    wait_until(lambda: cluster.find(f"/api/v1/namespaces/{name}") is None, within=30)


def test_a_fresh_cluster_shares_nothing(
    cluster: Cluster, namespace: str, fresh_cluster: Cluster
) -> None:
    assert cluster.find(f"/api/v1/namespaces/{namespace}") is not None

    assert fresh_cluster.find(f"/api/v1/namespaces/{namespace}") is None


@pytest.mark.only_on("real")
def test_a_real_api_server_that_was_restarted_has_kept_everything(fresh_cluster: Cluster) -> None:
    assert isinstance(fresh_cluster.server, ControlPlane)
    fresh_cluster.add_namespace("before")

    fresh_cluster.server.restart()

    assert fresh_cluster.find("/api/v1/namespaces/before") is not None
