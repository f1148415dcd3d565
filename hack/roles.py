"""Gather the RBAC roles of each process, and render them with their bindings as YAML.

`hack/manifests.py` writes `config/rbac/` from this module. The rules themselves stay
beside the requests in the code.
"""

from collections.abc import Iterable, Iterator
from typing import Any

import yaml

from certs.pods import pod_rules
from certs.secret_store import secret_rules
from certs.trust import trust_rules
from kube import access, events, lease_record
from kube.rbac import Role, Rule, merged
from reconciler.known import caches, orphans, sources
from reconciler.reports import status
from reconciler.writes import contention, writer
from webhook import cluster_state

API_VERSION = "rbac.authorization.k8s.io/v1"
API_GROUP = "rbac.authorization.k8s.io"
# kustomize replaces it.
NAMESPACE = "system"

RECONCILER_READS = (
    *caches.RULES,
    *sources.RULES,
    *contention.RULES,
    *orphans.RULES,
    *writer.READS,
    *status.RULES,
    *events.RULES,
    *access.RULES,
)
WEBHOOK_READS = (*cluster_state.RULES, *access.RULES)

# By process. The writes of copies are a role of their own, so that an administrator can bind them
# in some namespaces only.
ROLES = {
    "reconciler": (
        Role("reconciler", "ClusterRole", merged(RECONCILER_READS), "reconciler"),
        Role("reconciler-copies", "ClusterRole", merged(writer.WRITES), "reconciler"),
        Role("reconciler", "Role", lease_record.rules("reconciler"), "reconciler"),
    ),
    "webhook": (Role("webhook", "ClusterRole", merged(WEBHOOK_READS), "webhook"),),
    "certs": (
        Role("certs", "Role", (*secret_rules("webhook"), *pod_rules()), "certs"),
        Role("webhook-ca", "Role", secret_rules("webhook-ca"), "certs"),
        Role("certs", "ClusterRole", trust_rules("webhook"), "certs"),
    ),
}


def documents(roles: Iterable[Role], component: str) -> str:
    """Return each role with its binding as YAML; the reason of a rule becomes a comment."""
    return "---\n".join(
        text for role in roles for text in (_role(role, component), _binding(role, component))
    )


def _role(role: Role, component: str) -> str:
    head = {"apiVersion": API_VERSION, "kind": role.kind, "metadata": _metadata(role, component)}
    return _dumped(head) + "rules:\n" + "".join(_rules(role.rules))


def _rules(rules: Iterable[Rule]) -> Iterator[str]:
    for rule in rules:
        if rule.why:
            yield f"  # {rule.why}\n"
        entry: dict[str, Any] = {"apiGroups": [rule.group], "resources": [rule.resource]}
        if rule.names:
            entry["resourceNames"] = list(rule.names)
        lines = _dumped([entry | {"verbs": list(rule.verbs)}]).splitlines()
        yield "".join(f"  {line}\n" for line in lines)


def _binding(role: Role, component: str) -> str:
    return _dumped(
        {
            "apiVersion": API_VERSION,
            "kind": f"{role.kind}Binding",
            "metadata": _metadata(role, component),
            "roleRef": {"apiGroup": API_GROUP, "kind": role.kind, "name": role.name},
            "subjects": [{"kind": "ServiceAccount", "name": role.account, "namespace": NAMESPACE}],
        }
    )


def _metadata(role: Role, component: str) -> dict[str, Any]:
    labels = {"app.kubernetes.io/name": "configmapsync", "app.kubernetes.io/component": component}
    return {
        "name": role.name,
        **({"namespace": NAMESPACE} if role.kind == "Role" else {}),
        "labels": labels,
    }


def _dumped(document: object) -> str:
    return yaml.safe_dump(document, sort_keys=False, width=120)
