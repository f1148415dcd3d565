"""What people do with an installation, as the Makefile does it: deploy, undeploy, uninstall; and the little that stands in for a kubelet."""

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from configmapsync.names import GROUP, PLURAL
from tests.support.cluster import Cluster
from tests.support.eventually import wait_until
from tests.support.kubectl import kubectl_program
from tests.support.manifests import CONFIG, DEFAULT
from tests.support.processes import Process, free_port

ROOT = CONFIG.parent
CRD = f"/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{PLURAL}.{GROUP}"
LITTLE_PATIENCE = "0.5"


def make(cluster: Cluster, *arguments: str) -> str:
    """Run `make ARGUMENTS` on the cluster, with this Python in place of .venv; returns what it printed."""
    tools = f"BIN={Path(sys.executable).parent}"
    return _run(
        cluster,
        "make",
        "--silent",
        "--directory",
        str(ROOT),
        "--old-file=kubectl",
        tools,
        *arguments,
    )


def deploy(cluster: Cluster, overlay: Path = DEFAULT) -> None:
    make(cluster, "deploy", f"OVERLAY={overlay}")
    wait_until_served(cluster)


def wait_until_served(cluster: Cluster) -> None:
    """Wait for the CRD. Not by `kubectl wait`, which gives up where a definition is so young that its conditions are null."""

    def established() -> bool:
        status = cluster.get(CRD).get("status", {})
        return any(
            (condition["type"], condition["status"]) == ("Established", "True")
            for condition in status.get("conditions") or ()
        )

    wait_until(established, within=30)


def undeploy(cluster: Cluster) -> None:
    make(cluster, "undeploy")


def uninstall(cluster: Cluster) -> str:
    """`make uninstall`, with little patience; returns what it says."""
    return _run(
        cluster, sys.executable, str(ROOT / "hack" / "uninstall.py"), "--patience", LITTLE_PATIENCE
    )


def by_hand(comment: str) -> Callable[[Cluster], str]:
    """Return what runs the commands of docs/installation.md that stand under a comment with these words."""
    page = (ROOT / "docs" / "installation.md").read_text(encoding="utf-8")
    [commands] = [
        block for block in re.findall(r"```bash\n(.*?)```", page, re.DOTALL) if comment in block
    ]

    def run(cluster: Cluster) -> str:
        return _run(cluster, "bash", "-euo", "pipefail", "-c", commands)

    return run


def let_syncs_in(cluster: Cluster) -> None:
    """No webhook process runs here: what is tested needs none."""
    by_hand("the webhook is gone")(cluster)


def start_reconciler(cluster: Cluster, start_process: Callable[..., Process]) -> Process:
    """Start one as the admin, and wait until it is ready."""
    health = f"127.0.0.1:{free_port()}"
    process = start_process(
        "reconciler", "--kubeconfig", cluster.kubeconfig, "--health-address", health
    )
    process.wait_until_answering(f"http://{health}/readyz")
    return process


def _run(cluster: Cluster, *command: str) -> str:
    path = f"{os.environ['PATH']}{os.pathsep}{kubectl_program().parent}"
    environment = {
        **os.environ,
        "KUBECONFIG": str(cluster.kubeconfig),
        "KUBERC": "off",
        "PATH": path,
    }
    environment.pop("MAKEFLAGS", None)  # those of the make that runs the tests
    done = subprocess.run(
        command, capture_output=True, text=True, env=environment, timeout=90, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
