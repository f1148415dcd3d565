"""Whose rights the processes of the journeys have: those of their ServiceAccounts, bound to the roles of `config/default` and to no others.

So every journey proves that the roles suffice. An existing cluster is reached through a proxy that speaks as its admin: there they cannot
be told apart, and nothing is installed.
"""

import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

from tests.support.cluster import Cluster
from tests.support.eventually import wait_until
from tests.support.manifests import Manifest, build, named, of_kind

Program = Literal["reconciler", "webhook", "certs"]
NAMESPACE = "configmapsync-system"
PROGRAMS: tuple[Program, ...] = ("reconciler", "webhook", "certs")
COMPONENT = "app.kubernetes.io/component"
RIGHTS = ("ServiceAccount", "ClusterRole", "ClusterRoleBinding", "Role", "RoleBinding")
SYSTEM = f"/api/v1/namespaces/{NAMESPACE}"
REVIEWS = "/apis/authorization.k8s.io/v1/subjectaccessreviews"


def name_of(program: Program) -> str:
    """What its ServiceAccount is called, and its roles."""
    return f"configmapsync-{program}"


def kubeconfig_of(cluster: Cluster, program: Program) -> Path:
    """A kubeconfig with a token of the program's ServiceAccount, as a kubelet would ask for one."""
    if cluster.kind == "existing":
        return cluster.kubeconfig
    _install(cluster)
    return cluster.kubeconfig_for_account(NAMESPACE, name_of(program))


def let_elect(cluster: Cluster, namespace: str) -> None:
    """Give the reconciler in another namespace what it has in its own: a test that ends leaders wants a Lease of its own."""
    if cluster.kind == "existing":
        return
    _install(cluster)
    rights = [
        copy.deepcopy(named(build(), kind, name_of("reconciler")))
        for kind in ("Role", "RoleBinding")
    ]
    for manifest in rights:
        manifest["metadata"]["namespace"] = namespace
    _apply(cluster, rights)


def _install(cluster: Cluster) -> None:
    """Apply accounts, roles and bindings, once for each cluster."""
    if cluster.find(SYSTEM) is not None:
        return
    wanted = [
        manifest
        for manifest in of_kind(build(), *RIGHTS)
        if manifest["metadata"]["labels"][COMPONENT] in PROGRAMS
    ]
    _apply(cluster, [named(build(), "Namespace", NAMESPACE), *wanted])


def _apply(cluster: Cluster, manifests: list[Manifest]) -> None:
    """Apply them, and wait until the API server decides by them: it follows its own store a moment later."""
    cluster.kubectl(
        "apply",
        "-f",
        "-",
        input=json.dumps({"apiVersion": "v1", "kind": "List", "items": manifests}),
    )
    for question in _questions(manifests):
        wait_until(lambda question=question: cluster.create(REVIEWS, question)["status"]["allowed"])


def _questions(manifests: list[Manifest]) -> Iterator[dict[str, Any]]:
    """Ask for the first right of each role that is bound."""
    for binding in of_kind(manifests, "ClusterRoleBinding", "RoleBinding"):
        rule = named(manifests, binding["roleRef"]["kind"], binding["roleRef"]["name"])["rules"][0]
        resource, _, subresource = rule["resources"][0].partition("/")
        [subject] = binding["subjects"]
        attributes = {
            "group": rule["apiGroups"][0],
            "resource": resource,
            "subresource": subresource,
            "name": rule.get("resourceNames", [""])[0],
            "verb": rule["verbs"][0],
            "namespace": binding["metadata"].get("namespace", ""),
        }
        user = f"system:serviceaccount:{subject['namespace']}:{subject['name']}"
        yield {
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SubjectAccessReview",
            "spec": {"user": user, "resourceAttributes": attributes},
        }
