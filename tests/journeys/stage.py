"""The actions and observations of the journeys: sources, syncs and copies over HTTP."""

import base64
import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from configmapsync.names import (
    API_VERSION,
    DIGEST,
    KIND,
    MANAGED_BY_LABEL,
    MANAGED_BY_VALUE,
    PLURAL,
    SYNC_UID_LABEL,
)
from configmapsync.reasons import Reason
from tests.journeys.accounts import let_elect
from tests.support.cluster import Cluster
from tests.support.eventually import WINDOW_SECONDS, wait_until

CLUSTER_CA = "kube-root-ca.crt"
QUIET_SECONDS = 1.0  # without a write: the reconciler is idle, also on a busy machine
Content = dict[str, Any]


def content_of(configmap: Mapping[str, Any]) -> Content:
    """Return the content that must be equal in a source and its copy."""
    return {
        part: configmap[part] for part in ("data", "binaryData", "immutable") if configmap.get(part)
    }


class OneCopy(NamedTuple):
    """A source with one copy: their namespaces, the content, and the path of the sync."""

    home: str
    there: str
    content: Content
    sync: str


@dataclass
class Stage:
    """A cluster with the CRD, and namespaces of one test."""

    cluster: Cluster
    new_namespace: Callable[..., str]
    tag: str = field(default_factory=lambda: secrets.token_hex(4))
    _syncs: list[str] = field(default_factory=list)

    def namespace(self, prefix: str = "test", labels: Mapping[str, str] | None = None) -> str:
        """Create a namespace for this test."""
        return self.new_namespace(prefix, labels)

    def election_namespace(self) -> str:
        """Create a namespace with the reconciler's election role, for a Lease of this test."""
        namespace = self.namespace("election")
        let_elect(self.cluster, namespace)
        return namespace

    def source(self, namespace: str, name: str = "config", **parts: Any) -> Content:
        """Create a ConfigMap with `data={"a": "b"}` or the given parts, and return its content."""
        return content_of(
            self.put_configmap(namespace, name, **(parts or {"data": {"key": "value"}}))
        )

    def put_configmap(
        self, namespace: str, name: str, labels: Mapping[str, str] | None = None, **parts: Any
    ) -> Any:
        """Create any ConfigMap."""
        metadata = {"name": name, "namespace": namespace, "labels": dict(labels or {})}
        document = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, **parts}
        return self.cluster.create(f"/api/v1/namespaces/{namespace}/configmaps", document)

    def edit(self, namespace: str, name: str, **parts: Any) -> Content:
        """Merge-patch a ConfigMap and return its content."""
        return content_of(self.cluster.patch(self.configmap_path(namespace, name), parts))

    def delete(self, namespace: str, name: str) -> None:
        """Delete a ConfigMap."""
        self.cluster.delete(self.configmap_path(namespace, name))

    def service_account(self, namespace: str, name: str = "robot") -> str:
        """Create a service account and return its path."""
        metadata = {"name": name, "namespace": namespace}
        document = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata}
        self.cluster.create(f"/api/v1/namespaces/{namespace}/serviceaccounts", document)
        return f"/api/v1/namespaces/{namespace}/serviceaccounts/{name}"

    def sync(self, namespace: str, name: str | None = None, **spec: Any) -> str:
        """Create a ConfigMapSync and return its path."""
        name = name or f"sync-{self.tag}-{len(self._syncs)}"
        metadata = {"name": name, "namespace": namespace}
        document = {
            "apiVersion": API_VERSION,
            "kind": KIND,
            "metadata": metadata,
            "spec": {"configMapName": "config", **spec},
        }
        collection = f"/apis/{API_VERSION}/namespaces/{namespace}/{PLURAL}"
        self.cluster.create(collection, document)
        self._syncs.append(f"{collection}/{name}")
        return self._syncs[-1]

    def one_copy(self, **spec: Any) -> OneCopy:
        """Create a source and a sync, each with new namespaces, and wait for the copy."""
        home, there = self.namespace(), self.namespace()
        content = self.source(home)
        sync = self.sync(home, destinationNamespace=there, **spec)
        self.copy_becomes(content, there)
        return OneCopy(home, there, content, sync)

    def younger_sync(self, than: str, namespace: str, **spec: Any) -> str:
        """Create a sync with a later creation time; the API's times are whole seconds."""
        created = datetime.fromisoformat(self.cluster.get(than)["metadata"]["creationTimestamp"])
        wait_until(lambda: datetime.now(UTC) >= created + timedelta(seconds=1))  # noqa: TID251 - the clock is what is waited for
        return self.sync(namespace, **spec)

    def edit_sync(self, sync: str, **spec: Any) -> None:
        """Merge-patch the spec of a sync."""
        self.cluster.patch(sync, {"spec": spec})

    def remove_syncs(self) -> None:
        """Delete every sync of this test without waiting."""
        for sync in self._syncs:
            self.cluster.delete(sync)

    @staticmethod
    def configmap_path(namespace: str, name: str) -> str:
        """Return the path of a ConfigMap."""
        return f"/api/v1/namespaces/{namespace}/configmaps/{name}"

    def find(self, namespace: str, name: str = "config") -> Any | None:
        """Return a ConfigMap, or None."""
        return self.cluster.find(self.configmap_path(namespace, name))

    def copy_becomes(
        self, content: Content, namespace: str, name: str = "config", within: float = WINDOW_SECONDS
    ) -> Any:
        """Wait until the copy has exactly this content, and return the copy."""

        def right() -> Any:
            copy = self.find(namespace, name)
            assert copy is not None, f"there is no {namespace}/{name}"
            assert content_of(copy) == content, f"{namespace}/{name} differs"
            assert copy["metadata"].get("labels", {}).get(MANAGED_BY_LABEL) == MANAGED_BY_VALUE
            return copy

        return wait_until(right, within)

    def copy_goes(self, namespace: str, name: str = "config") -> None:
        """Wait until the ConfigMap does not exist."""
        wait_until(lambda: self.find(namespace, name) is None)

    def condition(self, sync: str, kind: str = "Ready") -> Mapping[str, Any]:
        """Return a condition of a sync; empty if there is none."""
        conditions: Sequence[Mapping[str, Any]] = (
            self.cluster.get(sync).get("status", {}).get("conditions", [])
        )
        return next((condition for condition in conditions if condition["type"] == kind), {})

    def ready_becomes(
        self, sync: str, status: str, reason: str, within: float = WINDOW_SECONDS
    ) -> Mapping[str, Any]:
        """Wait for status and reason of Ready at the newest generation; return the condition."""

        def so() -> Mapping[str, Any]:
            ready = self.condition(sync)
            generation = self.cluster.get(sync)["metadata"]["generation"]
            found = (ready.get("status"), ready.get("reason"), ready.get("observedGeneration"))
            assert found == (status, reason, generation), ready
            return ready

        return wait_until(so, within)

    def summary_becomes(self, sync: str, summary: str) -> None:
        """Wait until the status counts the copies so: a failure may be reported before the rest."""

        def so() -> None:
            found = self.cluster.get(sync)["status"].get("summary")
            assert found == summary, f"{sync}: {found}"

        wait_until(so)

    def versions(self) -> dict[str, str]:
        """Return the version of every ConfigMap and sync, except in terminating namespaces.

        The versions must not change while the reconciler is idle. The cluster publishes its CA in
        a namespace a moment after the creation, so that ConfigMap does not count.
        """
        namespaces = self.cluster.get("/api/v1/namespaces")["items"]
        leaving = {
            item["metadata"]["name"]
            for item in namespaces
            if "deletionTimestamp" in item["metadata"]
        }
        paths = ("/api/v1/configmaps", f"/apis/{API_VERSION}/{PLURAL}")
        items = [item["metadata"] for path in paths for item in self.cluster.get(path)["items"]]
        return {
            f"{item['namespace']}/{item['name']}/{item['uid']}": item["resourceVersion"]
            for item in items
            if item["namespace"] not in leaving and item["name"] != CLUSTER_CA
        }

    def assert_idle(self, seconds: float = 2.0) -> None:
        """Wait until the reconciler is idle, and check that it writes nothing for some seconds.

        A busy machine may delay a status for longer than the two reads are apart.
        """
        wait_until(lambda: all(map(self._is_reported, self._syncs)))
        wait_until(lambda: self.versions() == (time.sleep(QUIET_SECONDS), self.versions())[1])  # noqa: TID251 - two reads some time apart
        before = self.versions()
        time.sleep(seconds)  # noqa: TID251 - the test observes this time
        assert self.versions() == before

    def _is_reported(self, sync: str) -> bool:
        """Return whether the status of a sync describes its spec and the content of its copies."""
        document = self.cluster.find(sync)
        if document is None:
            return True
        metadata, status = document["metadata"], document.get("status", {})
        if status.get("observedGeneration") != metadata["generation"]:
            return False
        if self.condition(sync).get("reason") != Reason.SYNCED:
            return True
        copies = self.cluster.get(
            f"/api/v1/configmaps?labelSelector={SYNC_UID_LABEL}={metadata['uid']}"
        )
        digests = {copy["metadata"]["annotations"][DIGEST] for copy in copies["items"]}
        return digests <= {status.get("source", {}).get("digest")}


def encoded(raw: bytes) -> str:
    """Return bytes as binaryData carries them."""
    return base64.b64encode(raw).decode()
