"""The roles and bindings that every new cluster has for people and programs.

kube-apiserver also makes about sixty roles for its own components; only the one that
a controller here needs is included. The server stores them at its first start.
"""

from collections.abc import Iterator, Sequence
from typing import Any

from devcluster.access.rbac import RBAC_GROUP
from devcluster.access.users import (
    AUTHENTICATED_GROUP,
    MASTERS_GROUP,
    SERVICE_ACCOUNTS_GROUP,
    UNAUTHENTICATED_GROUP,
)

API_VERSION = f"{RBAC_GROUP}/v1"
BOOTSTRAP_LABELS = {"kubernetes.io/bootstrapping": "rbac-defaults"}
AUTO_UPDATE = {"rbac.authorization.kubernetes.io/autoupdate": "true"}
AGGREGATE = "rbac.authorization.k8s.io/aggregate-to-"

READ = ["get", "list", "watch"]
WRITE = ["create", "delete", "deletecollection", "patch", "update"]
READ_WRITE = sorted([*READ, *WRITE])

HEALTH_PATHS = ["/healthz", "/livez", "/readyz"]
PUBLIC_PATHS = [*HEALTH_PATHS, "/version", "/version/"]
DISCOVERY_PATHS = [
    "/api",
    "/api/*",
    "/apis",
    "/apis/*",
    "/healthz",
    "/livez",
    "/openapi",
    "/openapi/*",
    "/readyz",
]
ISSUER_PATHS = ["/.well-known/openid-configuration", "/openid/v1/jwks"]

Rule = dict[str, Any]


def default_objects() -> Iterator[dict[str, Any]]:
    """Yield them all, roles before the bindings that refer to them."""
    yield from _user_facing_roles()
    yield from _system_roles()
    yield from _aggregation_controller()
    yield _binding("cluster-admin", MASTERS_GROUP)
    yield _binding("system:basic-user", AUTHENTICATED_GROUP)
    yield _binding("system:discovery", AUTHENTICATED_GROUP)
    yield _binding("system:monitoring", "system:monitoring")
    yield _binding("system:public-info-viewer", AUTHENTICATED_GROUP, UNAUTHENTICATED_GROUP)
    yield _binding("system:service-account-issuer-discovery", SERVICE_ACCOUNTS_GROUP)


def _user_facing_roles() -> Iterator[dict[str, Any]]:
    """`admin` aggregates `edit`, and `edit` aggregates `view`, by labels (aggregation.py)."""
    yield _role(
        "cluster-admin",
        [_resources(["*"], ["*"], ["*"]), {"nonResourceURLs": ["*"], "verbs": ["*"]}],
    )
    yield _aggregating("admin", None)
    yield _aggregating("edit", "admin")
    yield _aggregating("view", "edit")
    yield _role("system:aggregate-to-admin", _admin_rules(), aggregate_to="admin")
    yield _role("system:aggregate-to-edit", _edit_rules(), aggregate_to="edit")
    yield _role("system:aggregate-to-view", _view_rules(), aggregate_to="view")


def _system_roles() -> Iterator[dict[str, Any]]:
    yield _role(
        "system:basic-user",
        [
            _resources(
                ["authorization.k8s.io"],
                ["selfsubjectaccessreviews", "selfsubjectrulesreviews"],
                ["create"],
            ),
            _resources(["authentication.k8s.io"], ["selfsubjectreviews"], ["create"]),
        ],
    )
    yield _role("system:discovery", [_paths([*DISCOVERY_PATHS, "/version", "/version/"])])
    yield _role("system:public-info-viewer", [_paths(PUBLIC_PATHS)])
    monitoring = sorted(
        [*HEALTH_PATHS, *(f"{path}/*" for path in HEALTH_PATHS), "/metrics", "/metrics/slis"]
    )
    yield _role(
        "system:monitoring", [_paths(monitoring), _resources([""], ["nodes/metrics"], ["get"])]
    )
    yield _role(
        "system:auth-delegator",
        [
            _resources(["authentication.k8s.io"], ["tokenreviews"], ["create"]),
            _resources(["authorization.k8s.io"], ["subjectaccessreviews"], ["create"]),
        ],
    )
    issuer = sorted([*ISSUER_PATHS, *(f"{path}/" for path in ISSUER_PATHS)])
    yield _role("system:service-account-issuer-discovery", [_paths(issuer)])


def _aggregation_controller() -> Iterator[dict[str, Any]]:
    """The role of the one controller that writes roles with rights that it does not hold."""
    name = "clusterrole-aggregation-controller"
    verbs = ["escalate", "get", "list", "patch", "update", "watch"]
    yield _role(f"system:controller:{name}", [_resources([RBAC_GROUP], ["clusterroles"], verbs)])
    subject = {"kind": "ServiceAccount", "name": name, "namespace": "kube-system"}
    yield {**_binding(f"system:controller:{name}"), "subjects": [subject]}


def _admin_rules() -> list[Rule]:
    return [
        _resources(["authorization.k8s.io"], ["localsubjectaccessreviews"], ["create"]),
        _resources([RBAC_GROUP], ["rolebindings", "roles"], READ_WRITE),
    ]


def _edit_rules() -> list[Rule]:
    connections = ["pods/attach", "pods/exec", "pods/portforward", "pods/proxy"]
    core = [
        "configmaps",
        "persistentvolumeclaims",
        "replicationcontrollers",
        "replicationcontrollers/scale",
    ]
    core += ["secrets", "serviceaccounts", "services", "services/proxy"]
    return [
        _resources([""], [*connections, "secrets", "services/proxy"], READ),
        _resources([""], ["serviceaccounts"], ["impersonate"]),
        _resources([""], ["pods", *connections], WRITE),
        _resources([""], ["pods/eviction"], ["create"]),
        _resources([""], core, WRITE),
        _resources([""], ["serviceaccounts/token"], ["create"]),
        _resources(["", "events.k8s.io"], ["events"], WRITE),
        _resources(
            ["apps"],
            [*_scalable("deployments", "replicasets", "statefulsets"), "daemonsets"],
            WRITE,
        ),
        _resources(["autoscaling"], ["horizontalpodautoscalers"], WRITE),
        _resources(["batch"], ["cronjobs", "jobs"], WRITE),
        _resources(["policy"], ["poddisruptionbudgets"], WRITE),
        _resources(["networking.k8s.io"], ["ingresses", "networkpolicies"], WRITE),
        _resources(["coordination.k8s.io"], ["leases"], READ_WRITE),
    ]


def _view_rules() -> list[Rule]:
    core = [
        "configmaps",
        "endpoints",
        "persistentvolumeclaims",
        "persistentvolumeclaims/status",
        "pods",
    ]
    core += [
        "replicationcontrollers",
        "replicationcontrollers/scale",
        "serviceaccounts",
        "services",
        "services/status",
    ]
    reports = ["bindings", "limitranges", "namespaces/status", "pods/log", "pods/status"]
    reports += ["replicationcontrollers/status", "resourcequotas", "resourcequotas/status"]
    workloads = [
        "controllerrevisions",
        *_with_status("daemonsets", "deployments", "replicasets", "statefulsets"),
    ]
    workloads += ["deployments/scale", "replicasets/scale", "statefulsets/scale"]
    return [
        _resources([""], core, READ),
        _resources([""], reports, READ),
        _resources([""], ["namespaces"], READ),
        _resources(["", "events.k8s.io"], ["events"], READ),
        _resources(["discovery.k8s.io"], ["endpointslices"], READ),
        _resources(["apps"], workloads, READ),
        _resources(["autoscaling"], _with_status("horizontalpodautoscalers"), READ),
        _resources(["batch"], _with_status("cronjobs", "jobs"), READ),
        _resources(["policy"], _with_status("poddisruptionbudgets"), READ),
        _resources(["networking.k8s.io"], [*_with_status("ingresses"), "networkpolicies"], READ),
    ]


def _scalable(*resources: str) -> list[str]:
    return [form for resource in resources for form in (resource, f"{resource}/scale")]


def _with_status(*resources: str) -> list[str]:
    return [form for resource in resources for form in (resource, f"{resource}/status")]


def _resources(groups: Sequence[str], resources: Sequence[str], verbs: Sequence[str]) -> Rule:
    return {"verbs": list(verbs), "apiGroups": list(groups), "resources": sorted(resources)}


def _paths(paths: Sequence[str]) -> Rule:
    return {"verbs": ["get"], "nonResourceURLs": list(paths)}


def _role(name: str, rules: Sequence[Rule], aggregate_to: str | None = None) -> dict[str, Any]:
    labels = dict(BOOTSTRAP_LABELS)
    if aggregate_to is not None:
        labels[AGGREGATE + aggregate_to] = "true"
    metadata = {"name": name, "labels": labels, "annotations": dict(AUTO_UPDATE)}
    return {
        "apiVersion": API_VERSION,
        "kind": "ClusterRole",
        "metadata": metadata,
        "rules": list(rules),
    }


def _aggregating(name: str, aggregate_to: str | None) -> dict[str, Any]:
    selector = {"matchLabels": {AGGREGATE + name: "true"}}
    return {
        **_role(name, [], aggregate_to),
        "aggregationRule": {"clusterRoleSelectors": [selector]},
    }


def _binding(role: str, *groups: str) -> dict[str, Any]:
    return {
        "apiVersion": API_VERSION,
        "kind": "ClusterRoleBinding",
        "metadata": {
            "name": role,
            "labels": dict(BOOTSTRAP_LABELS),
            "annotations": dict(AUTO_UPDATE),
        },
        "subjects": [{"kind": "Group", "apiGroup": RBAC_GROUP, "name": group} for group in groups],
        "roleRef": {"apiGroup": RBAC_GROUP, "kind": "ClusterRole", "name": role},
    }
