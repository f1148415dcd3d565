"""Apply syncs with kubectl as a user, for the journeys through admission."""

import json
import secrets
from collections.abc import Callable
from typing import Any

from configmapsync.names import API_VERSION, GROUP, PLURAL
from tests.support.cluster import Cluster

RBAC = "/apis/rbac.authorization.k8s.io/v1"


class UserShell:
    """A user's shell: applies syncs with kubectl and returns its output."""

    def __init__(self, cluster: Cluster, new_namespace: Callable[..., str]) -> None:
        self.cluster = cluster
        self.namespace = new_namespace
        self.tag = secrets.token_hex(4)

    def apply(
        self, *documents: dict[str, Any], user: str = "admin", arguments: tuple[str, ...] = ()
    ) -> tuple[int, str]:
        """Apply documents in one call and return the exit code and the output."""
        kubectl = self.cluster.kubectl if user == "admin" else self.cluster.kubectl_as(user)
        text = json.dumps({"apiVersion": "v1", "kind": "List", "items": list(documents)})
        done = kubectl("apply", *arguments, "-f", "-", input=text, check=False)
        return done.returncode, done.stdout + done.stderr

    def accepted(self, *documents: dict[str, Any], **how: Any) -> str:
        """Apply documents that must be accepted, and return the output."""
        code, output = self.apply(*documents, **how)
        assert code == 0, output
        return output

    def refused(self, *documents: dict[str, Any], **how: Any) -> str:
        """Apply documents that must be refused, and return the output."""
        code, output = self.apply(*documents, **how)
        assert code != 0, output
        return output

    def stored(self, namespace: str, name: str) -> dict[str, Any] | None:
        """Return the stored sync."""
        return self.cluster.find(f"/apis/{API_VERSION}/namespaces/{namespace}/{PLURAL}/{name}")

    def delete(self, namespace: str, name: str) -> None:
        """Delete a sync with kubectl, and remove its finalizer as the reconciler would."""
        path = f"/apis/{API_VERSION}/namespaces/{namespace}/{PLURAL}/{name}"
        arguments = ("-n", namespace, f"{PLURAL}.{GROUP}/{name}", "--wait=false")
        self.cluster.kubectl("delete", *arguments)
        self.cluster.patch(path, {"metadata": {"finalizers": None}})

    def configmap(self, namespace: str, name: str = "cfg") -> None:
        """Create a ConfigMap."""
        document = {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": name},
            "data": {"a": "b"},
        }
        self.cluster.create(f"/api/v1/namespaces/{namespace}/configmaps", document)

    def allow(
        self,
        user: str,
        namespace: str,
        verbs: tuple[str, ...],
        group: str = "",
        resource: str = "configmaps",
    ) -> None:
        """Give a user (or `namespace/name`, a service account) rights in one namespace."""
        name = f"role-{secrets.token_hex(4)}"
        rules = [{"apiGroups": [group], "resources": [resource], "verbs": list(verbs)}]
        role = {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "Role",
            "metadata": {"name": name},
            "rules": rules,
        }
        self.cluster.create(f"{RBAC}/namespaces/{namespace}/roles", role)
        account_namespace, slash, account = user.partition("/")
        subject = (
            {"kind": "ServiceAccount", "namespace": account_namespace, "name": account}
            if slash
            else {"kind": "User", "name": user, "apiGroup": "rbac.authorization.k8s.io"}
        )
        binding = {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "RoleBinding",
            "metadata": {"name": name},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": name},
            "subjects": [subject],
        }
        self.cluster.create(f"{RBAC}/namespaces/{namespace}/rolebindings", binding)

    def may_write_syncs(self, user: str, namespace: str) -> None:
        """Let a user write and read syncs in a namespace."""
        self.allow(
            user,
            namespace,
            ("get", "create", "update", "patch", "delete"),
            "apps.nishaf.info",
            PLURAL,
        )
