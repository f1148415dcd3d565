"""A service account in the spec authorizes a sync for as long as it has its rights."""

from collections.abc import Callable
from typing import Any

import pytest

from tests.journeys.stage import Stage
from tests.support.cluster import Cluster
from tests.support.eventually import wait_until
from tests.support.processes import Process

RBAC = "/apis/rbac.authorization.k8s.io/v1"
INTERVAL_SECONDS = 1.0


@pytest.fixture
def reconciler(stage: Stage, start_reconciler: Callable[..., Process]) -> Process:
    """A reconciler that checks rights every second instead of every minute."""
    return start_reconciler("--authorization-interval", str(INTERVAL_SECONDS))


def grant(cluster: Cluster, account_namespace: str, namespace: str, *verbs: str) -> str:
    """Let service account `robot` write ConfigMaps in a namespace; return the binding's path."""
    api = {"apiVersion": "rbac.authorization.k8s.io/v1"}
    metadata = {"name": "robot"}
    rules = [{"apiGroups": [""], "resources": ["configmaps"], "verbs": list(verbs)}]
    cluster.create(
        f"{RBAC}/namespaces/{namespace}/roles",
        {**api, "kind": "Role", "metadata": metadata, "rules": rules},
    )
    binding: dict[str, Any] = {
        **api,
        "kind": "RoleBinding",
        "metadata": metadata,
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "robot"},
        "subjects": [{"kind": "ServiceAccount", "namespace": account_namespace, "name": "robot"}],
    }
    cluster.create(f"{RBAC}/namespaces/{namespace}/rolebindings", binding)
    return f"{RBAC}/namespaces/{namespace}/rolebindings/robot"


def bind_again(cluster: Cluster, path: str, binding: dict[str, Any]) -> None:
    """Create a deleted binding again."""
    cluster.create(
        path.rpartition("/")[0], {**binding, "metadata": {"name": binding["metadata"]["name"]}}
    )


def test_copies_appear_and_disappear_with_the_right(stage: Stage, reconciler: Process) -> None:
    home, there = stage.namespace(), stage.namespace()
    content = stage.source(home)
    stage.service_account(home)
    sync = stage.sync(home, destinationNamespace=there, serviceAccountName="robot")
    ready = stage.ready_becomes(sync, "False", "NotAuthorized")
    assert (
        f'service account "{home}/robot" may not get the ConfigMap "config" in namespace "{home}"'
        in ready["message"]
    )
    assert (
        f'may not create, update, delete the ConfigMap "config" in namespace "{there}"'
        in ready["message"]
    )
    assert stage.find(there) is None

    grant(stage.cluster, home, home, "get")
    path = grant(stage.cluster, home, there, "create", "update", "delete")
    stage.copy_becomes(content, there)
    stage.ready_becomes(sync, "True", "Synced")
    binding = stage.cluster.get(path)
    stage.cluster.delete(path)

    stage.copy_goes(there)
    ready = stage.ready_becomes(sync, "False", "NotAuthorized")
    assert f'in namespace "{home}"' not in ready["message"]
    bind_again(stage.cluster, path, binding)

    stage.copy_becomes(content, there)
    stage.ready_becomes(sync, "True", "Synced")


def test_an_adopted_copy_stays_when_the_right_is_removed(stage: Stage, reconciler: Process) -> None:
    home, there = stage.namespace(), stage.namespace()
    content = stage.source(home)
    stage.service_account(home)
    stage.put_configmap(there, "config", data={"old": "1"})
    grant(stage.cluster, home, home, "get")
    path = grant(stage.cluster, home, there, "create", "update", "delete")
    sync = stage.sync(
        home, destinationNamespace=there, serviceAccountName="robot", conflictPolicy="Adopt"
    )
    uid = stage.copy_becomes(content, there)["metadata"]["uid"]

    stage.cluster.delete(path)

    stage.ready_becomes(sync, "False", "NotAuthorized")

    def released() -> None:
        left = stage.find(there)
        assert left is not None
        assert left["metadata"]["uid"] == uid
        assert "app.kubernetes.io/managed-by" not in left["metadata"].get("labels", {})

    wait_until(released)


def test_a_sync_whose_right_is_gone_can_be_deleted(stage: Stage, reconciler: Process) -> None:
    home, there = stage.namespace(), stage.namespace()
    stage.source(home)
    stage.service_account(home)
    sync = stage.sync(home, destinationNamespace=there, serviceAccountName="robot")
    stage.ready_becomes(sync, "False", "NotAuthorized")

    stage.cluster.delete(sync)

    wait_until(lambda: stage.cluster.find(sync) is None)


def test_rights_for_a_glob_are_those_for_the_whole_cluster(
    stage: Stage, reconciler: Process
) -> None:
    home, there = stage.namespace("glob"), stage.namespace("glob")
    stage.source(home)
    stage.service_account(home)
    grant(stage.cluster, home, home, "get")
    grant(stage.cluster, home, there, "create", "update", "delete")

    sync = stage.sync(home, destinationNamespaces=[f"{there[:-1]}*"], serviceAccountName="robot")

    ready = stage.ready_becomes(sync, "False", "NotAuthorized")
    assert "in every namespace" in ready["message"]


def test_copies_are_deleted_with_the_service_account_even_if_bindings_remain(
    stage: Stage, reconciler: Process
) -> None:
    home, there = stage.namespace(), stage.namespace()
    content = stage.source(home)
    account = stage.service_account(home)
    grant(stage.cluster, home, home, "get")
    grant(stage.cluster, home, there, "create", "update", "delete")
    sync = stage.sync(home, destinationNamespace=there, serviceAccountName="robot")
    stage.copy_becomes(content, there)

    stage.cluster.delete(account)

    ready = stage.ready_becomes(sync, "False", "NotAuthorized")
    assert f'service account "{home}/robot" does not exist' in ready["message"]
    stage.copy_goes(there)
