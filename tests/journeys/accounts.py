"""Give the processes of the journeys the rights of their ServiceAccounts.

The accounts are bound to the roles of `config/default` and to no others, so every
journey shows that the roles suffice. On an existing cluster the proxy acts as its
admin: the rights of the processes cannot differ there, and nothing is installed.
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
    """Return the name of a program's ServiceAccount and roles."""
    return f"configmapsync-{program}"


def kubeconfig_of(cluster: Cluster, program: Program) -> Path:
    """Return a kubeconfig with a token of the program's ServiceAccount."""
    if cluster.kind == "existing":
        return cluster.kubeconfig
    _install(cluster)
    return cluster.kubeconfig_for_account(NAMESPACE, name_of(program))


def let_elect(cluster: Cluster, namespace: str) -> None:
    """Bind the reconciler's election role in another namespace.

    A test that ends leaders needs a Lease of its own.
    """
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
    """Apply the manifests, and wait until the API server uses them for authorization.

    It watches its own storage, so new rights count a moment later.
    """
    cluster.kubectl(
        "apply",
        "-f",
        "-",
        input=json.dumps({"apiVersion": "v1", "kind": "List", "items": manifests}),
    )
    for question in _questions(manifests):
        wait_until(lambda question=question: cluster.create(REVIEWS, question)["status"]["allowed"])


def _questions(manifests: list[Manifest]) -> Iterator[dict[str, Any]]:
    """Return an access review for the first right of each bound role."""
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
