"""Run what `make deploy` applies, with a small kubelet.

The API server enforces RBAC and calls the webhook by its Service.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from tests.config.installation import deploy
from tests.support.cluster import Cluster, Kind
from tests.support.clusters import started
from tests.support.eventually import wait_until
from tests.support.kubelet import Kubelet, Pod
from tests.support.manifests import DEFAULT
from tests.support.processes import LOCAL_ADDRESS, free_port

# The only setting that differs from the manifest: a test cannot wait ten minutes.
GRACE_SECONDS = "3"
ADMISSION = "/apis/admissionregistration.k8s.io/v1"


class Names(NamedTuple):
    """The namespace, name prefix and overlay of an installation."""

    namespace: str = "configmapsync-system"
    prefix: str = "configmapsync-"


class Installation:
    """All processes of an installation, each started from its manifest."""

    def __init__(self, cluster: Cluster, folder: Path, webhook_port: int, names: Names) -> None:
        self.cluster = cluster
        self.audit_log = folder / "audit.log"
        self.kubelet = Kubelet(cluster, folder)
        self.names = names
        self._webhook_port = webhook_port
        self.reconcilers: list[Pod] = []
        self.webhooks: list[Pod] = []

    def set_variable(self, deployment: str, name: str, value: str) -> None:
        """Add an environment variable to a Deployment, as an administrator does."""
        deployments = f"/apis/apps/v1/namespaces/{self.names.namespace}/deployments"
        path = f"{deployments}/{self.names.prefix}{deployment}"
        entry = {
            "op": "add",
            "path": "/spec/template/spec/containers/0/env/-",
            "value": {"name": name, "value": value},
        }
        self.cluster.patch(path, [entry], "application/json-patch+json")

    def start(self) -> None:
        """Start the pods that the controllers and the kubelet of a cluster would start."""
        if self.cluster.is_real:
            self._route()
        assert self.run_certificates("jobs", "certs-install").process.wait() == 0
        webhook, reconciler = (
            self._get("apps", "deployments", "webhook"),
            self._get("apps", "deployments", "reconciler"),
        )
        self.webhooks = [
            self.kubelet.run(webhook, {"webhook": self._webhook_port}),
            self.kubelet.run(webhook),
        ]
        self.reconcilers = [
            self.kubelet.run(reconciler) for _ in range(reconciler["spec"]["replicas"])
        ]
        for pod in (*self.webhooks, *self.reconcilers):
            pod.wait_until_ready()

    def run_certificates(self, resource: str, name: str) -> Pod:
        """Start the certificate tool from the Job or the CronJob."""
        return self.kubelet.run(self._get("batch", resource, name))

    def revoke_certificates(self) -> Pod:
        """Start the revocation of the runbook: the CronJob's pod with another command."""
        job = self._get("batch", "cronjobs", "certs")
        job["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"][0]["args"] = ["revoke"]
        return self.kubelet.run(job)

    def leader(self) -> Pod:
        """Wait for the reconciler that holds the Lease, and return it.

        The log identifies it, because both replicas have the host name of this machine.
        """
        return wait_until(self._leading)

    def _leading(self) -> Pod:
        leading = [
            pod
            for pod in self.reconcilers
            if "acquired leader lease" in pod.process.output() and pod.process.exit_code is None
        ]
        assert len(leading) == 1, f"{len(leading)} reconcilers lead"
        return leading[0]

    def lease(self) -> Any:
        """Return the Lease."""
        return self._get("coordination.k8s.io", "leases", "reconciler")

    def _route(self) -> None:
        """Route the Service to this machine.

        devcluster gets the address at its start; a real API server follows an external name.
        """
        name = f"{self.names.prefix}webhook"
        service = {"spec": {"type": "ExternalName", "externalName": "localhost"}}
        self.cluster.patch(f"/api/v1/namespaces/{self.names.namespace}/services/{name}", service)
        change = [
            {
                "op": "add",
                "path": "/webhooks/0/clientConfig/service/port",
                "value": self._webhook_port,
            }
        ]
        for kind in ("mutatingwebhookconfigurations", "validatingwebhookconfigurations"):
            self.cluster.patch(f"{ADMISSION}/{kind}/{name}", change, "application/json-patch+json")

    def _get(self, group: str, resource: str, name: str) -> Any:
        return self.cluster.get(
            f"/apis/{group}/v1/namespaces/{self.names.namespace}/{resource}/{self.names.prefix}{name}"
        )


@contextmanager
def installed(
    kind: Kind,
    folder: Path,
    overlay: Path = DEFAULT,
    names: Names = Names(),  # noqa: B008 - frozen
) -> Iterator[Installation]:
    """Deploy a kustomization on its own cluster, and run it until the end of the block."""
    port = free_port()
    address = f"{names.namespace}/{names.prefix}webhook={LOCAL_ADDRESS}:{port}"
    cluster_folder = folder / "cluster"
    cluster_folder.mkdir()
    audit_log = folder / "audit.log"
    with started(kind, cluster_folder, "--service-address", address, audit_log=audit_log) as own:
        deploy(own, overlay)
        installation = Installation(own, folder, port, names)
        installation.set_variable("reconciler", "CONFIGMAPSYNC_ORPHAN_GRACE", GRACE_SECONDS)
        try:
            installation.start()
            yield installation
        finally:
            installation.kubelet.stop()
