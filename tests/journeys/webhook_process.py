"""Run the webhook as a process in front of a cluster.

The certificate tool makes its certificates, and `config/default` registers it. Only the
address differs from an installation: the API server calls a URL instead of a Service.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from certs.__main__ import main as certificate_tool
from tests.journeys.accounts import kubeconfig_of
from tests.journeys.scrape import metrics_of
from tests.support.cluster import Cluster
from tests.support.logging_state import restored_logging
from tests.support.manifests import build, of_kind
from tests.support.processes import LOCAL_ADDRESS, Process, free_port

CONFIGURATIONS = "/apis/admissionregistration.k8s.io/v1"
NAME = "configmapsync-webhook"
RESOURCES = {
    "MutatingWebhookConfiguration": "mutatingwebhookconfigurations",
    "ValidatingWebhookConfiguration": "validatingwebhookconfigurations",
}
DRAIN_SECONDS = "0.2"


class WebhookProcess:
    """A running webhook; it can stop, start again and rotate its certificates."""

    def __init__(self, cluster: Cluster, folder: Path, *arguments: str) -> None:
        self.cluster = cluster
        self.folder = folder
        self.port, self.health_port = free_port(), free_port()
        self._arguments = arguments
        self.kubeconfig: Path | None = None  # another way to the API server
        self.process: Process | None = None

    def start(self) -> Process:
        """Start the webhook and wait until it is ready."""
        self.process = Process.python(
            "webhook",
            *("--kubeconfig", self.kubeconfig or kubeconfig_of(self.cluster, "webhook")),
            *("--relaxed-tls", "--certificate-dir", self.folder / "tls"),
            *(
                "--listen",
                f"{LOCAL_ADDRESS}:{self.port}",
                "--health-address",
                f"{LOCAL_ADDRESS}:{self.health_port}",
            ),
            *("--drain-seconds", DRAIN_SECONDS),
            *self._arguments,
            log=self.folder / "webhook.log",
        )
        self.process.wait_until_answering(f"http://{LOCAL_ADDRESS}:{self.health_port}/readyz")
        return self.process

    def register(self) -> None:
        """Create both shipped configurations with the webhook's local address."""
        for document in of_kind(build(), *RESOURCES):
            for webhook in document["webhooks"]:
                del webhook["clientConfig"]["service"]
                webhook["clientConfig"]["url"] = (
                    f"https://{LOCAL_ADDRESS}:{self.port}/"  # the certificate tool adds the path
                )
            self.cluster.create(f"{CONFIGURATIONS}/{RESOURCES[document['kind']]}", document)

    def unregister(self) -> None:
        """Delete both configurations."""
        for resource in RESOURCES.values():
            self.cluster.delete(f"{CONFIGURATIONS}/{resource}/{NAME}")

    def ensure_certificates(self) -> None:
        """Run the certificate tool as the CronJob does."""
        tool = Process.python(
            "certs", "ensure", *self._certificate_arguments, log=self.folder / "certs.log"
        )
        assert tool.wait() == 0, tool.explain("the certificate tool failed")

    @property
    def _certificate_arguments(self) -> list[str]:
        return [
            *("--dir", str(self.folder / "tls"), "--inject", "--settling", "1s"),
            *("--kubeconfig", str(kubeconfig_of(self.cluster, "certs")), "--relaxed-tls"),
        ]

    def rotate(self, renewal: str) -> None:
        """Renew the certificates in this process; starting the tool twenty times is slow."""
        with restored_logging():
            code = certificate_tool(["ensure", "--renew", renewal, *self._certificate_arguments])
        assert code == 0, "the certificate tool failed"

    def metric(self, name: str) -> str:
        """Return the lines of one metric."""
        lines = metrics_of(self.health_port).splitlines()
        return "\n".join(line for line in lines if line.startswith(name))


@contextmanager
def running_webhook(cluster: Cluster, folder: Path, *arguments: str) -> Iterator[WebhookProcess]:
    """Run a webhook in front of the cluster until the end of the block."""
    webhook = WebhookProcess(cluster, folder, *arguments)
    webhook.register()
    try:
        webhook.ensure_certificates()
        webhook.start()
        yield webhook
    finally:
        webhook.unregister()
        if webhook.process is not None:
            webhook.process.stop()
            print(webhook.process.explain("its log")[-20_000:])  # noqa: T201 - pytest shows it under a failure only
