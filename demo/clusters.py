"""The two clusters that the demo can run on: one in memory, and an existing one.

`story.py` starts one of them, and stops it at the end. This module prints one line for
each step of the set-up.
"""

import json
import sys
import time
from pathlib import Path
from typing import Protocol

from demo.processes import Processes, free_port
from demo.terminal import StoryError, Terminal

INSTALLED_IN = "configmapsync-system"
WEBHOOK_SERVICE = f"{INSTALLED_IN}/configmapsync-webhook"
CRD = "crd/configmapsyncs.apps.nishaf.info"
PREFIX = "demo-"
# With --keep the demo may run long, and no kubelet replaces the token.
KEPT_FOR = "24h"
NAMESPACES_END_SECONDS = 120


class DemoCluster(Protocol):
    """A cluster with ConfigMapSync, as the story uses it."""

    kubeconfig: Path | None  # None for the kubeconfig of the user
    heading: str
    next_commands: tuple[str, ...]

    def start(self, terminal: Terminal) -> None:
        """Make the cluster ready for the story, or raise StoryError."""

    def hints(self) -> tuple[str, ...]:
        """Return the lines that `--keep` prints."""

    def clean_up(self, terminal: Terminal) -> None:
        """Remove what the story left behind."""


class ClusterInMemory:
    """An API server in memory with the webhook and the reconciler, each as a process."""

    heading = "Start an API server in memory, the webhook and the reconciler"
    next_commands: tuple[str, ...] = (
        "make demo KEEP=1              # leave it running, and try kubectl yourself",
        "make deploy IMG=...           # install it on your cluster: docs/installation.md",
        "make demo CLUSTER=existing    # then watch the same story there",
    )

    def __init__(self, processes: Processes, folder: Path) -> None:
        self._processes = processes
        self._folder = folder
        self._page_port = free_port()
        self.kubeconfig: Path | None = folder / "kubeconfig"

    def start(self, terminal: Terminal) -> None:
        """Start the processes; each has its own ServiceAccount and its rights only."""
        webhook = free_port()
        kubeconfig = self._folder / "kubeconfig"
        self._processes.start(
            "devcluster",
            "devcluster",
            *("--listen", "127.0.0.1:0", "--kubeconfig", str(kubeconfig)),
            *("--service-address", f"{WEBHOOK_SERVICE}=127.0.0.1:{webhook}"),
        )
        self._processes.wait_for_file(kubeconfig)
        terminal.done("an API server in memory answers (devcluster)")
        applied = terminal.set_up("apply -k config/default")
        terminal.set_up(f"wait --for=condition=Established {CRD}")
        terminal.done(f"config/default is applied: {len(applied.splitlines())} objects")
        certificates = str(self._folder / "tls")
        terminal.command(
            *("certs", "ensure", "--dir", certificates, "--inject"),
            *("--kubeconfig", self._identity(terminal, "certs"), "--log-format", "console"),
        )
        terminal.done("the webhook has a certificate, and the API server trusts its CA")
        self._serve(
            terminal,
            "webhook",
            *("--certificate-dir", certificates, "--listen", f"127.0.0.1:{webhook}"),
            *("--drain-seconds", "0.2"),
        )
        self._serve(terminal, "reconciler", "--page-address", f"127.0.0.1:{self._page_port}")

    def hints(self) -> tuple[str, ...]:
        """Return how to open the page, and how to use kubectl and the plugin."""
        return (
            f"open http://127.0.0.1:{self._page_port}    # the page: every sync and copy, live",
            f"export KUBECONFIG={self.kubeconfig}",
            f"export PATH={Path(sys.executable).parent}:$PATH",
            "kubectl get cmsync -A",
            "kubectl configmapsync status -A",
            "kubectl configmapsync tree demo-central/shared-config",
            "kubectl configmapsync explain demo-platform/limits-to-checkout",
        )

    def clean_up(self, terminal: Terminal) -> None:
        """Do nothing: the processes end, and the objects with them."""

    def _serve(self, terminal: Terminal, module: str, *arguments: str) -> None:
        """Start the webhook or the reconciler and wait until it is ready."""
        port = free_port()
        self._processes.start(
            *(module, module, "--kubeconfig", self._identity(terminal, module)),
            *("--health-address", f"127.0.0.1:{port}", *arguments),
        )
        self._processes.wait_until_ready(port)
        terminal.done(f"the {module} is ready, with the rights of its own ServiceAccount")

    def _identity(self, terminal: Terminal, process: str) -> str:
        """Write a kubeconfig for the ServiceAccount of a process and return its path."""
        view = json.loads(terminal.kubectl("config view --raw -o json", show=False))
        account = f"configmapsync-{process} -n {INSTALLED_IN}"
        token = terminal.kubectl(f"create token {account} --duration={KEPT_FOR}", show=False)
        view["users"][0]["user"] = {"token": token.strip()}
        path = self._folder / f"{process}.kubeconfig"
        path.touch(mode=0o600)
        path.write_text(json.dumps(view))
        return str(path)


class ExistingCluster:
    """The cluster of the current context, on which ConfigMapSync is installed."""

    heading = "Use the cluster of the current context"
    kubeconfig: Path | None = None
    next_commands: tuple[str, ...] = (
        "kubectl explain configmapsync.spec    # every field",
        "kubectl get cmsync -A                 # every sync, with the reason of its state",
        "kubectl apply -k config/samples       # samples to start from: config/samples",
    )

    def __init__(self) -> None:
        self._started = False

    def start(self, terminal: Terminal) -> None:
        """Check that the operator is installed and that the namespaces of the story are free."""
        context = terminal.kubectl("config current-context", show=False).strip()
        for what in (CRD, "validatingwebhookconfigurations"):
            labelled = "" if what == CRD else "-l app.kubernetes.io/name=configmapsync"
            found = terminal.kubectl(
                f"get {what} {labelled} --ignore-not-found -o name", show=False
            )
            if not found.strip():
                raise StoryError(
                    f'ConfigMapSync is not installed on the cluster of context "{context}": '
                    f"{what} is missing. Install it with `make deploy IMG=...` "
                    "(docs/installation.md), or run `make demo` without a cluster."
                )
        terminal.done(f'ConfigMapSync is installed on the cluster of context "{context}"')
        if taken := self._namespaces(terminal):
            raise StoryError(
                f"the namespaces {', '.join(taken)} exist. The demo creates namespaces that begin "
                f"with {PREFIX} and deletes them at the end: delete these first, or keep them and "
                "run `make demo` without a cluster."
            )
        self._started = True
        terminal.done(f"no namespace begins with {PREFIX}: the story creates its own")

    def hints(self) -> tuple[str, ...]:
        """Return how to look at what the story left."""
        return (
            f"export PATH={Path(sys.executable).parent}:$PATH",
            "kubectl configmapsync status -n demo-platform",
            "kubectl configmapsync tree demo-central/shared-config",
        )

    def clean_up(self, terminal: Terminal) -> None:
        """Delete the syncs and the namespaces of the story, and wait until they are gone."""
        if not self._started:
            return
        terminal.heading("Clean up")
        for namespace in ("demo-platform", "demo-central"):
            terminal.set_up(f"delete configmapsyncs --all -n {namespace} --timeout=60s")
        if namespaces := self._namespaces(terminal):
            terminal.set_up(f"delete namespaces {' '.join(namespaces)} --wait=false")
        deadline = time.monotonic() + NAMESPACES_END_SECONDS
        while namespaces := self._namespaces(terminal):
            if time.monotonic() > deadline:
                raise StoryError(f"the namespaces {', '.join(namespaces)} are still terminating")
            time.sleep(0.5)  # noqa: TID251 - a script that waits for another process
        terminal.done("the namespaces of the story are gone")

    @staticmethod
    def _namespaces(terminal: Terminal) -> list[str]:
        named = terminal.kubectl("get namespaces -o name", show=False).split()
        names = (name.partition("/")[2] for name in named)
        return [name for name in names if name.startswith(PREFIX)]
