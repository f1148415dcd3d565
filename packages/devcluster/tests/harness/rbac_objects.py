"""Roles and bindings in a dictionary, for tests of what reads them."""

from collections.abc import Iterable, Mapping
from typing import Any

from devcluster.access.aggregation import aggregated
from devcluster.access.default_roles import default_objects

RESOURCES = {
    "Role": "roles",
    "ClusterRole": "clusterroles",
    "RoleBinding": "rolebindings",
    "ClusterRoleBinding": "clusterrolebindings",
}


class StoredRbac:
    """Answers like the store does."""

    def __init__(self) -> None:
        self.objects: dict[tuple[str, str, str], dict[str, Any]] = {}

    @classmethod
    def with_defaults(cls) -> "StoredRbac":
        stored = cls()
        for document in default_objects():
            stored.add(document)
        for role in aggregated(list(stored.list("clusterroles", ""))):
            stored.add(role)
        return stored

    def add(self, document: Mapping[str, Any]) -> None:
        metadata = document["metadata"]
        key = (RESOURCES[document["kind"]], metadata.get("namespace", ""), metadata["name"])
        self.objects[key] = dict(document)

    def role(self, namespace: str, name: str, *rules: Mapping[str, Any]) -> dict[str, Any]:
        """Add a Role, or a ClusterRole where the namespace is empty."""
        kind = "Role" if namespace else "ClusterRole"
        document = {
            "kind": kind,
            "metadata": {"name": name, "namespace": namespace},
            "rules": list(rules),
        }
        self.add(document)
        return document

    def bind(
        self, namespace: str, name: str, role: str, *subjects: Mapping[str, str]
    ) -> dict[str, Any]:
        """Add a binding of `Role/name` or `ClusterRole/name`."""
        kind, _, role_name = role.partition("/")
        document = {
            "kind": "RoleBinding" if namespace else "ClusterRoleBinding",
            "metadata": {"name": name, "namespace": namespace},
            "roleRef": {"kind": kind, "name": role_name},
            "subjects": list(subjects),
        }
        self.add(document)
        return document

    def get(self, resource: str, namespace: str, name: str) -> Mapping[str, Any] | None:
        return self.objects.get((resource, namespace, name))

    def list(self, resource: str, namespace: str) -> Iterable[Mapping[str, Any]]:
        return [found for key, found in self.objects.items() if key[:2] == (resource, namespace)]


def person(name: str) -> dict[str, str]:
    return {"kind": "User", "name": name}


def group(name: str) -> dict[str, str]:
    return {"kind": "Group", "name": name}


def rule(verbs: str, resources: str, names: str = "", groups: str = "core") -> dict[str, Any]:
    """Write a rule in words: `rule("get list", "pods pods/log")`."""
    api_groups = ["" if name == "core" else name for name in groups.split()]
    written = {"verbs": verbs.split(), "apiGroups": api_groups, "resources": resources.split()}
    return written | ({"resourceNames": names.split()} if names else {})
