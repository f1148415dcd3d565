"""Run the Makefile targets and documented commands that manage an installation.

Tests of `config/` call it. It also starts the reconciler in place of a kubelet.
"""

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from configmapsync.names import API_VERSION, KIND, PLURAL
from tests.support.cluster import Cluster
from tests.support.eventually import wait_until
from tests.support.kubectl import kubectl_program
from tests.support.manifests import CONFIG, DEFAULT
from tests.support.processes import Process, free_port

ROOT = CONFIG.parent
PATIENCE_SECONDS = "0.5"


def make(cluster: Cluster, *arguments: str) -> str:
    """Run `make ARGUMENTS` on the cluster with this Python in place of .venv.

    Returns:
        The standard output of make.
    """
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
    """Wait until the API server lists syncs.

    A new CRD is served a moment after it is established, and then answers 429 while its storage
    starts.
    """
    path = f"/apis/{API_VERSION}/{PLURAL}"
    wait_until(lambda: cluster.request("GET", path).status == 200, within=30)


def undeploy(cluster: Cluster) -> None:
    make(cluster, "undeploy")


def uninstall(cluster: Cluster, patience: str = PATIENCE_SECONDS) -> str:
    """Run `make uninstall` and return its output.

    Args:
        cluster: the cluster.
        patience: seconds to wait for a reconciler; short by default, for a cluster without one.
    """
    return _run(
        cluster, sys.executable, str(ROOT / "hack" / "uninstall.py"), "--patience", patience
    )


def by_hand(comment: str) -> Callable[[Cluster], str]:
    """Return a function that runs commands of docs/installation.md.

    Args:
        comment: text of the comment above the commands.
    """
    page = (ROOT / "docs" / "installation.md").read_text(encoding="utf-8")
    [commands] = [
        block for block in re.findall(r"```bash\n(.*?)```", page, re.DOTALL) if comment in block
    ]

    def run(cluster: Cluster) -> str:
        return _run(cluster, "bash", "-euo", "pipefail", "-c", commands)

    return run


def let_syncs_in(cluster: Cluster) -> None:
    """Remove the admission configurations, because these tests run no webhook process.

    The API server watches its own storage, so it calls the webhook for a moment longer.
    """
    by_hand("the webhook is gone")(cluster)
    path = f"/apis/{API_VERSION}/namespaces/default/{PLURAL}?dryRun=All"
    document = {
        "apiVersion": API_VERSION,
        "kind": KIND,
        "metadata": {"name": "trial"},
        "spec": {
            "sourceNamespace": "trial",
            "configMapName": "trial",
            "destinationNamespace": "elsewhere",
        },
    }
    wait_until(lambda: cluster.create(path, document))


def start_reconciler(cluster: Cluster, start_process: Callable[..., Process]) -> Process:
    """Start a reconciler as the admin and wait until it is ready."""
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
    environment.pop("MAKEFLAGS", None)  # flags of the make that runs the tests
    done = subprocess.run(
        command, capture_output=True, text=True, env=environment, timeout=90, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
