"""What `make deploy` has applied, running: the pods by a kubelet in small, the API server with RBAC enforced and the webhook behind its Service."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from tests.config.installation import deploy
from tests.support.cluster import Cluster, Kind
from tests.support.clusters import started
from tests.support.kubelet import Kubelet, Pod
from tests.support.manifests import DEFAULT
from tests.support.processes import LOCAL_ADDRESS, free_port

SHORT_GRACE = (
    "3"  # seconds; the one setting that is not the manifest's, for nobody waits ten minutes here
)
ADMISSION = "/apis/admissionregistration.k8s.io/v1"


class Names(NamedTuple):
    """Where it is installed and how its objects are called."""

    namespace: str = "configmapsync-system"
    prefix: str = "configmapsync-"


class Installation:
    """All of its processes, each as its manifest says."""

    def __init__(self, cluster: Cluster, folder: Path, webhook_port: int, names: Names) -> None:
        self.cluster = cluster
        self.audit_log = folder / "audit.log"
        self.kubelet = Kubelet(cluster, folder)
        self.names = names
        self._webhook_port = webhook_port
        self.reconcilers: list[Pod] = []
        self.webhooks: list[Pod] = []

    def set_variable(self, deployment: str, name: str, value: str) -> None:
        """Add an environment variable to a Deployment, as an administrator would."""
        path = f"/apis/apps/v1/namespaces/{self.names.namespace}/deployments/{self.names.prefix}{deployment}"
        entry = {
            "op": "add",
            "path": "/spec/template/spec/containers/0/env/-",
            "value": {"name": name, "value": value},
        }
        self.cluster.patch(path, [entry], "application/json-patch+json")

    def start(self) -> None:
        """Do what the controllers and the kubelet of a cluster would do now."""
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
        """Start the certificate tool as the Job or the CronJob says."""
        return self.kubelet.run(self._get("batch", resource, name))

    def revoke_certificates(self) -> Pod:
        """Start the certificate tool as the runbook says after a leak: the CronJob's pod with another command."""
        job = self._get("batch", "cronjobs", "certs")
        job["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"][0]["args"] = ["revoke"]
        return self.kubelet.run(job)

    def leader(self) -> Pod:
        """The reconciler that holds the Lease. Both have the host name of this machine, so it is told by its log."""
        [leading] = [
            pod
            for pod in self.reconcilers
            if "leading" in pod.process.output() and pod.process.exit_code is None
        ]
        return leading

    def lease(self) -> Any:
        """The Lease as it is now."""
        return self._get("coordination.k8s.io", "leases", "reconciler")

    def _route(self) -> None:
        """Lead the Service here: devcluster was told at its start, a real API server follows an external name."""
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
    """Deploy a kustomization, whose names are these, on a cluster of its own, and run it until the end of the block."""
    port = free_port()
    address = f"{names.namespace}/{names.prefix}webhook={LOCAL_ADDRESS}:{port}"
    cluster_folder = folder / "cluster"
    cluster_folder.mkdir()
    audit_log = folder / "audit.log"
    with started(kind, cluster_folder, "--service-address", address, audit_log=audit_log) as own:
        deploy(own, overlay)
        installation = Installation(own, folder, port, names)
        installation.set_variable("reconciler", "CONFIGMAPSYNC_ORPHAN_GRACE", SHORT_GRACE)
        try:
            installation.start()
            yield installation
        finally:
            installation.kubelet.stop()
