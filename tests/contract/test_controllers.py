"""The controllers of a cluster behave the same on every kind of cluster."""

from collections.abc import Callable

import pytest

from tests.support import eventually
from tests.support.cluster import Cluster

pytestmark = pytest.mark.controllers
HOLD = "example.com/hold"
EXTENSIONS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
# kube-controller-manager begins to empty a namespace after five seconds, and retries a step that
# failed some seconds later.
CONTROLLERS_SECONDS = 60.0


def wait_until(check: Callable[[], bool]) -> None:
    eventually.wait_until(check, CONTROLLERS_SECONDS)


def configmaps(namespace: str, name: str = "") -> str:
    return f"/api/v1/namespaces/{namespace}/configmaps" + (f"/{name}" if name else "")


def new_configmap(cluster: Cluster, namespace: str, name: str, *owners: dict, **metadata):
    references = [reference(owner) for owner in owners]
    document = {"kind": "ConfigMap", "apiVersion": "v1", "metadata": {"name": name, **metadata}}
    if references:
        document["metadata"]["ownerReferences"] = references
    return cluster.create(configmaps(namespace), document)


def reference(owner: dict, **more) -> dict:
    metadata = owner["metadata"]
    kind, api_version = owner["kind"], owner["apiVersion"]
    return {
        "kind": kind,
        "apiVersion": api_version,
        "name": metadata["name"],
        "uid": metadata["uid"],
        **more,
    }


def is_gone(cluster: Cluster, path: str) -> bool:
    return cluster.find(path) is None


def release(cluster: Cluster, path: str) -> None:
    cluster.patch(path, {"metadata": {"finalizers": None}})


def condition(cluster: Cluster, namespace: str, name: str) -> dict:
    found = cluster.get(f"/api/v1/namespaces/{namespace}")["status"].get("conditions") or []
    return next((one for one in found if one["type"] == name), {})


def test_a_namespace_is_deleted_with_its_content_and_reports_what_remains(cluster, new_namespace):
    namespace = new_namespace()
    new_configmap(cluster, namespace, "plain")
    new_configmap(cluster, namespace, "held", finalizers=[HOLD])
    cluster.delete(f"/api/v1/namespaces/{namespace}")
    wait_until(lambda: is_gone(cluster, configmaps(namespace, "plain")))
    wait_until(
        lambda: (
            condition(cluster, namespace, "NamespaceFinalizersRemaining").get("status") == "True"
        )
    )
    message = condition(cluster, namespace, "NamespaceFinalizersRemaining")["message"]
    assert (
        message
        == f"Some content in the namespace has finalizers remaining: {HOLD} in 1 resource instances"
    )
    message = condition(cluster, namespace, "NamespaceContentRemaining")["message"]
    assert message == "Some resources are remaining: configmaps. has 1 resource instances"
    release(cluster, configmaps(namespace, "held"))
    wait_until(lambda: is_gone(cluster, f"/api/v1/namespaces/{namespace}"))


def test_a_namespace_comes_back_empty_under_its_old_name(cluster, new_namespace):
    namespace = new_namespace()
    new_configmap(cluster, namespace, "old")
    cluster.delete(f"/api/v1/namespaces/{namespace}")
    wait_until(lambda: is_gone(cluster, f"/api/v1/namespaces/{namespace}"))
    cluster.add_namespace(namespace)
    assert is_gone(cluster, configmaps(namespace, "old"))
    wait_until(
        lambda: not is_gone(cluster, f"/api/v1/namespaces/{namespace}/serviceaccounts/default")
    )


def test_the_default_objects_of_a_namespace_are_restored(cluster, namespace):
    account, authority = (
        f"/api/v1/namespaces/{namespace}/serviceaccounts/default",
        configmaps(namespace, "kube-root-ca.crt"),
    )
    wait_until(lambda: not is_gone(cluster, account) and not is_gone(cluster, authority))
    content = cluster.get(authority)["data"]
    assert content["ca.crt"].startswith("-----BEGIN CERTIFICATE-----")
    before = cluster.get(account)["metadata"]["uid"]
    cluster.delete(account)
    wait_until(
        lambda: (
            (cluster.find(account) or {"metadata": {"uid": before}})["metadata"]["uid"] != before
        )
    )
    cluster.patch(authority, {"data": {"ca.crt": "wrong"}})
    wait_until(lambda: cluster.get(authority)["data"] == content)
    cluster.delete(authority)
    wait_until(lambda: (cluster.find(authority) or {}).get("data") == content)


def test_a_dependent_is_deleted_after_its_last_owner(cluster, namespace):
    first, second = (new_configmap(cluster, namespace, name) for name in ("first", "second"))
    new_configmap(cluster, namespace, "child", first, second)
    cluster.delete(configmaps(namespace, "first"))
    wait_until(
        lambda: len(cluster.get(configmaps(namespace, "child"))["metadata"]["ownerReferences"]) == 1
    )
    cluster.delete(configmaps(namespace, "second"))
    wait_until(lambda: is_gone(cluster, configmaps(namespace, "child")))


def test_a_namesake_of_the_owner_is_no_owner(cluster, namespace):
    owner = new_configmap(cluster, namespace, "owner")
    owner["metadata"]["uid"] = "00000000-0000-0000-0000-00000000dead"
    new_configmap(cluster, namespace, "child", owner)
    wait_until(lambda: is_gone(cluster, configmaps(namespace, "child")))
    assert not is_gone(cluster, configmaps(namespace, "owner"))


def test_dependents_of_dependents_are_deleted_too(cluster, namespace):
    owner = new_configmap(cluster, namespace, "a")
    child = new_configmap(cluster, namespace, "b", owner)
    new_configmap(cluster, namespace, "c", child)
    cluster.delete(configmaps(namespace, "a"))
    wait_until(lambda: is_gone(cluster, configmaps(namespace, "c")))


def test_foreground_deletion_waits_for_blocking_dependents(cluster, namespace):
    owner = new_configmap(cluster, namespace, "owner")
    document = {
        "kind": "ConfigMap",
        "apiVersion": "v1",
        "metadata": {"name": "child", "finalizers": [HOLD]},
    }
    document["metadata"]["ownerReferences"] = [reference(owner, blockOwnerDeletion=True)]
    cluster.create(configmaps(namespace), document)
    # The collector sees the new reference before the deletion, because one watch brings both.
    cluster.delete(configmaps(namespace, "owner"), {"propagationPolicy": "Foreground"})
    wait_until(
        lambda: "deletionTimestamp" in cluster.get(configmaps(namespace, "child"))["metadata"]
    )
    assert cluster.get(configmaps(namespace, "owner"))["metadata"]["finalizers"] == [
        "foregroundDeletion"
    ]
    release(cluster, configmaps(namespace, "child"))
    wait_until(lambda: is_gone(cluster, configmaps(namespace, "child")))
    wait_until(lambda: is_gone(cluster, configmaps(namespace, "owner")))


def test_dependents_are_deleted_with_a_cluster_scoped_owner(cluster, namespace, new_namespace):
    elsewhere = new_namespace()
    owner = cluster.get(f"/api/v1/namespaces/{elsewhere}")
    new_configmap(cluster, namespace, "child", owner | {"kind": "Namespace", "apiVersion": "v1"})
    cluster.delete(f"/api/v1/namespaces/{elsewhere}")
    wait_until(lambda: is_gone(cluster, configmaps(namespace, "child")))


def test_custom_objects_are_deleted_before_their_definition(cluster, namespace):
    group = f"{namespace}.example.com"
    names = {"plural": "things", "singular": "thing", "kind": "Thing", "listKind": "ThingList"}
    schema = {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}}
    version = {"name": "v1", "served": True, "storage": True, "schema": schema}
    definition = f"{EXTENSIONS}/things.{group}"
    cluster.create(
        EXTENSIONS,
        {
            "apiVersion": "apiextensions.k8s.io/v1",
            "kind": "CustomResourceDefinition",
            "metadata": {"name": f"things.{group}"},
            "spec": {"group": group, "scope": "Namespaced", "names": names, "versions": [version]},
        },
    )
    things = f"/apis/{group}/v1/namespaces/{namespace}/things"
    thing = {
        "apiVersion": f"{group}/v1",
        "kind": "Thing",
        "metadata": {"name": "held", "finalizers": [HOLD]},
    }
    wait_until(lambda: cluster.request("POST", things, thing).status == 201)
    cluster.delete(definition)
    wait_until(lambda: "deletionTimestamp" in cluster.get(f"{things}/held")["metadata"])
    assert not is_gone(cluster, definition)
    release(cluster, f"{things}/held")
    wait_until(lambda: is_gone(cluster, definition))
    wait_until(lambda: cluster.request("GET", things).status == 404)
