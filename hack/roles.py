"""Render the roles and bindings of a process as YAML.

`hack/manifests.py` calls `documents`. The rules themselves stay beside the requests in
the code.
"""

from collections.abc import Iterable, Iterator
from typing import Any

import yaml

from kube.rbac import Role, Rule

API_VERSION = "rbac.authorization.k8s.io/v1"
API_GROUP = "rbac.authorization.k8s.io"
# kustomize replaces it.
NAMESPACE = "system"


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
