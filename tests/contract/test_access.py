"""Access rules through kubectl, on every kind of cluster."""

import json

import pytest

from tests.support.eventually import wait_until
from tests.support.kubectl import KubectlError

RBAC = "/apis/rbac.authorization.k8s.io/v1"
RBAC_GROUP = "rbac.authorization.k8s.io"


def refused(kubectl, *arguments: str, **options) -> str:
    with pytest.raises(KubectlError) as caught:
        kubectl(*arguments, **options)
    return str(caught.value)


def can(kubectl, *arguments: str) -> bool:
    answer = kubectl("auth", "can-i", *arguments, check=False).stdout.strip()
    assert answer in ("yes", "no"), answer
    return answer == "yes"


def role_binding(namespace: str, name: str, role: str, user: str) -> dict:
    kind, _, role_name = role.partition("/")
    return {
        "apiVersion": f"{RBAC_GROUP}/v1",
        "kind": "RoleBinding",
        "metadata": {"name": name, "namespace": namespace},
        "roleRef": {"apiGroup": RBAC_GROUP, "kind": kind, "name": role_name},
        "subjects": [{"kind": "User", "apiGroup": RBAC_GROUP, "name": user}],
    }


def test_kubectl_prints_the_current_user(cluster):
    shown = json.loads(cluster.kubectl_as("alice")("auth", "whoami", "-o", "json").stdout)
    assert shown["status"]["userInfo"]["username"] == "alice"
    assert shown["status"]["userInfo"]["groups"] == ["system:authenticated"]


def test_a_right_counts_from_the_binding_until_its_end(cluster, namespace):
    alice = cluster.kubectl_as("alice")
    assert not can(alice, "get", "configmaps", "-n", namespace)
    assert "is forbidden" in refused(alice, "get", "configmaps", "-n", namespace)
    cluster.kubectl(
        "create", "rolebinding", "viewers", "--clusterrole=view", "--user=alice", "-n", namespace
    )
    wait_until(lambda: can(alice, "get", "configmaps", "-n", namespace))
    alice("get", "configmaps", "-n", namespace)
    assert not can(alice, "get", "secrets", "-n", namespace)
    assert not can(alice, "create", "configmaps", "-n", namespace)
    cluster.kubectl("delete", "rolebinding", "viewers", "-n", namespace)
    wait_until(lambda: not can(alice, "get", "configmaps", "-n", namespace))


def test_kubectl_lists_the_rights_of_the_user(cluster, namespace):
    cluster.kubectl(
        "create", "rolebinding", "editors", "--clusterrole=edit", "--user=alice", "-n", namespace
    )
    alice = cluster.kubectl_as("alice")
    wait_until(lambda: can(alice, "create", "configmaps", "-n", namespace))
    listed = alice("auth", "can-i", "--list", "-n", namespace).stdout
    assert "configmaps" in listed
    assert "selfsubjectaccessreviews.authorization.k8s.io" in listed


def test_only_the_administrator_may_impersonate_users(cluster, namespace):
    shown = cluster.kubectl(
        "auth", "whoami", "--as=carol", "--as-group=team-a", "-o", "json"
    ).stdout
    assert json.loads(shown)["status"]["userInfo"]["groups"] == ["team-a", "system:authenticated"]
    assert 'User "carol" cannot list' in refused(
        cluster.kubectl, "get", "cm", "-n", namespace, "--as=carol"
    )
    assert "impersonate" in refused(
        cluster.kubectl_as("alice"), "get", "cm", "-n", namespace, "--as=bob"
    )


def test_a_token_of_a_service_account_is_valid_until_the_account_is_deleted(cluster, namespace):
    cluster.kubectl("create", "serviceaccount", "robot", "-n", namespace)
    token = cluster.kubectl("create", "token", "robot", "-n", namespace).stdout.strip()
    robot = cluster.kubectl
    answer = robot("auth", "whoami", "-o", "json", "--token", token).stdout
    # The admin's kubeconfig carries a token too; the flag overrides it.
    assert (
        json.loads(answer)["status"]["userInfo"]["username"]
        == f"system:serviceaccount:{namespace}:robot"
    )
    cluster.kubectl("delete", "serviceaccount", "robot", "-n", namespace)
    wait_until(
        lambda: "Unauthorized" in robot("auth", "whoami", "--token", token, check=False).stderr,
        within=30,
    )


def test_a_user_cannot_grant_rights_that_the_user_lacks(cluster, namespace):
    cluster.kubectl(
        "create", "role", "role-writer", "-n", namespace,
        "--verb=get,create,update,patch", f"--resource=roles.{RBAC_GROUP},rolebindings.{RBAC_GROUP}",
    )  # fmt: skip
    cluster.create(
        f"{RBAC}/namespaces/{namespace}/rolebindings",
        role_binding(namespace, "writers", "Role/role-writer", "alice"),
    )
    alice = cluster.kubectl_as("alice")
    wait_until(lambda: can(alice, "create", f"roles.{RBAC_GROUP}", "-n", namespace))
    said = refused(
        alice, "create", "role", "secrets", "--verb=get", "--resource=secrets", "-n", namespace
    )
    assert "is attempting to grant RBAC permissions not currently held" in said
    assert '{APIGroups:[""], Resources:["secrets"], Verbs:["get"]}' in said
    said = refused(
        alice, "create", "rolebinding", "me", "--clusterrole=edit", "--user=alice", "-n", namespace
    )
    assert "is attempting to grant RBAC permissions not currently held" in said
    alice("create", "role", "mine", "--verb=get", f"--resource=roles.{RBAC_GROUP}", "-n", namespace)


def test_a_role_with_the_right_label_becomes_part_of_view(cluster, namespace):
    name = f"aggregated-{namespace}"
    role = {
        "apiVersion": f"{RBAC_GROUP}/v1",
        "kind": "ClusterRole",
        "metadata": {
            "name": name,
            "labels": {"rbac.authorization.k8s.io/aggregate-to-view": "true"},
        },
        "rules": [
            {"apiGroups": [f"{namespace}.example.com"], "resources": ["things"], "verbs": ["get"]}
        ],
    }
    if cluster.is_real and not cluster.has_controllers:
        pytest.skip("aggregation is done by a controller")
    cluster.create(f"{RBAC}/clusterroles", role)
    try:
        rule = role["rules"][0]
        wait_until(lambda: rule in cluster.get(f"{RBAC}/clusterroles/view")["rules"])
        wait_until(lambda: rule in cluster.get(f"{RBAC}/clusterroles/admin")["rules"])
    finally:
        cluster.delete(f"{RBAC}/clusterroles/{name}")
    wait_until(lambda: rule not in cluster.get(f"{RBAC}/clusterroles/admin")["rules"])


def test_a_review_is_not_stored_and_answers_for_another_user(cluster, namespace):
    path = "/apis/authorization.k8s.io/v1/subjectaccessreviews"
    attributes = {"namespace": namespace, "verb": "get", "resource": "configmaps"}
    spec = {"user": "another", "groups": ["system:masters"], "resourceAttributes": attributes}
    review = {"apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview", "spec": spec}
    assert cluster.create(path, review)["status"]["allowed"]
    assert cluster.request("GET", path).status == 405
    assert cluster.request("POST", path, review, user="alice").status == 403


def test_a_binding_is_listed_with_its_role_and_subjects(cluster, namespace):
    cluster.kubectl("create", "serviceaccount", "robot", "-n", namespace)
    cluster.kubectl(
        "create", "rolebinding", "all", "--clusterrole=view", "-n", namespace,
        "--user=alice", "--user=bob", "--group=team-a", f"--serviceaccount={namespace}:robot",
    )  # fmt: skip
    shown = cluster.kubectl(
        "get", "rolebindings", "all", "-n", namespace, "-o", "wide"
    ).stdout.splitlines()
    assert shown[0].split() == ["NAME", "ROLE", "AGE", "USERS", "GROUPS", "SERVICEACCOUNTS"]
    cells = [cell.strip() for cell in shown[1].split("  ") if cell.strip()]
    assert cells[:2] == ["all", "ClusterRole/view"]
    assert cells[3:] == ["alice, bob", "team-a", f"{namespace}/robot"]
