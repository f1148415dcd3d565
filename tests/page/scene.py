"""Fill a cluster with a platform's syncs, so that every state of the page can be seen.

The browser tests and `pictures.py` use it. The names are those of the documentation's
examples; `wait` returns once the reconciler has reported on every sync.
"""

import json
from typing import Any

from configmapsync.names import API_VERSION, KIND, PLURAL, SYNC_DISABLED_LABEL
from tests.support.cluster import Cluster
from tests.support.eventually import wait_until

TEAMS = ("checkout", "payments", "search", "web", "mobile", "data", "billing", "fraud")
SYNCS: dict[str, dict[str, Any]] = {
    "platform/ca-bundle": {
        "sourceNamespace": "trust",
        "configMapName": "ca-bundle",
        "destinationNamespaceSelector": {"matchLabels": {"team": "yes"}},
    },
    "platform/feature-flags": {
        "sourceNamespace": "platform",
        "configMapName": "feature-flags",
        "destinationNamespaces": ["team-*"],
        "excludedNamespaces": ["team-data"],
    },
    "platform/log-settings": {
        "sourceNamespace": "observability",
        "configMapName": "log-settings",
        "destinationNamespaces": ["team-web", "team-mobile", "team-search"],
    },
    "platform/rate-limits": {
        "sourceNamespace": "platform",
        "configMapName": "rate-limits",
        "destinationNamespaces": ["team-payments", "team-billing", "team-fraud", "team-returns"],
    },
    "observability/dashboards": {
        "configMapName": "dashboards",
        "destinationNamespaces": ["grafana"],
    },
    "grafana/dashboards-for-teams": {
        "sourceNamespace": "grafana",
        "configMapName": "dashboards",
        "destinationConfigMapName": "team-dashboards",
        "destinationNamespaces": ["team-web", "team-data"],
    },
    "platform/mail-templates": {
        "configMapName": "mail-templates",
        "destinationNamespace": "team-checkout",
    },
    "platform/maintenance-window": {
        "configMapName": "maintenance-window",
        "destinationNamespaces": ["team-*"],
        "suspend": True,
    },
    "data/warehouse": {
        "configMapName": "warehouse",
        "destinationNamespaces": ["team-data", "team-fraud"],
        "keys": [{"key": "*.yaml"}],
    },
}
SOURCES = (
    "trust/ca-bundle",
    "platform/feature-flags",
    "observability/log-settings",
    "platform/rate-limits",
    "observability/dashboards",
    "platform/maintenance-window",
    "data/warehouse",
)
# No page, picture or answer may show it.
SECRET_VALUE = "value-that-no-page-may-show"


def create(cluster: Cluster) -> None:
    """Create the namespaces, the sources, the syncs, and a ConfigMap in the way of a copy."""
    places = {name.split("/")[0] for name in (*SOURCES, *SYNCS)} | {"grafana"}
    for namespace in sorted(places):
        create_namespace(cluster, namespace)
    for team in TEAMS:
        create_namespace(cluster, f"team-{team}", {"team": "yes"})
    create_namespace(cluster, "team-archive", {SYNC_DISABLED_LABEL: "disabled"})
    for source in SOURCES:
        create_configmap(cluster, *source.split("/"))
    create_configmap(cluster, "team-search", "log-settings")
    for sync, spec in SYNCS.items():
        create_sync(cluster, *sync.split("/"), **spec)


def create_namespace(cluster: Cluster, name: str, labels: dict[str, str] | None = None) -> None:
    """Create a namespace."""
    metadata = {"name": name, "labels": labels or {}}
    cluster.create(
        "/api/v1/namespaces", {"apiVersion": "v1", "kind": "Namespace", "metadata": metadata}
    )


def create_configmap(cluster: Cluster, namespace: str, name: str) -> None:
    """Create a ConfigMap with a value that must stay secret."""
    cluster.create(
        f"/api/v1/namespaces/{namespace}/configmaps",
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": name, "namespace": namespace},
            "data": {"settings.yaml": json.dumps({"value": SECRET_VALUE})},
        },
    )


def create_sync(cluster: Cluster, namespace: str, name: str, **spec: Any) -> None:
    """Create a sync."""
    cluster.create(
        f"/apis/{API_VERSION}/namespaces/{namespace}/{PLURAL}",
        {
            "apiVersion": API_VERSION,
            "kind": KIND,
            "metadata": {"name": name, "namespace": namespace},
            "spec": spec,
        },
    )


def wait(cluster: Cluster, most: float = 60.0) -> None:
    """Wait until each sync has a status."""

    def reported() -> None:
        items = cluster.get(f"/apis/{API_VERSION}/{PLURAL}")["items"]
        assert len(items) >= len(SYNCS)
        for item in items:
            assert "Progressing" not in json.dumps(item.get("status", "Progressing")), item

    wait_until(reported, most)
