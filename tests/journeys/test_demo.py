"""The demo on an existing cluster: `make demo CLUSTER=existing`.

`make demo` itself, without a cluster, is a step of CI.
"""

import os
import signal
import subprocess
import sys
from pathlib import Path

from tests.config.installation import make
from tests.journeys.installation import Installation
from tests.support.cluster import NAMESPACES, Cluster
from tests.support.eventually import wait_until

ROOT = Path(__file__).parents[2]


def test_the_story_is_the_same_and_leaves_nothing_behind(installation: Installation) -> None:
    own = installation.cluster.new_namespace("other")
    before = namespaces(installation)

    printed = make(installation.cluster, "demo", "CLUSTER=existing")

    assert "ConfigMapSync is installed on the cluster of context" in printed
    assert "three namespaces have identical copies" in printed
    assert 'rejected: user "dana" may not get the ConfigMap "credentials"' in printed
    assert "all copies are gone" in printed
    assert "the namespaces of the story are gone" in printed
    assert printed.count("kubectl explain configmapsync.spec") == 1
    assert namespaces(installation) == before
    assert own in before


def test_an_interrupted_story_cleans_up(installation: Installation) -> None:
    before = namespaces(installation)
    running = demo(installation.cluster)

    wait_until(lambda: "demo-payments" in namespaces(installation))
    running.send_signal(signal.SIGINT)

    printed, _ = running.communicate(timeout=120)
    assert running.returncode != 0, printed
    assert namespaces(installation) == before


def test_a_namespace_that_exists_is_not_touched(installation: Installation) -> None:
    cluster = installation.cluster
    cluster.add_namespace("demo-theirs")

    running = demo(cluster)
    printed, _ = running.communicate(timeout=60)

    assert running.returncode == 1
    assert "the namespaces demo-theirs exist" in printed
    assert cluster.find(f"{NAMESPACES}/demo-theirs") is not None
    cluster.remove_namespaces()


def test_a_cluster_without_the_operator_is_refused(fresh_cluster: Cluster) -> None:
    running = demo(fresh_cluster)
    printed, _ = running.communicate(timeout=60)

    assert running.returncode == 1
    assert "ConfigMapSync is not installed on the cluster of context" in printed
    assert "make deploy" in printed


def demo(cluster: Cluster) -> subprocess.Popen[str]:
    """Start `make demo CLUSTER=existing` without make."""
    return subprocess.Popen(
        [sys.executable, "-m", "demo", "--cluster", "existing"],
        cwd=ROOT,
        env={**os.environ, "KUBECONFIG": str(cluster.kubeconfig)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def namespaces(installation: Installation) -> set[str]:
    listed = installation.cluster.get(NAMESPACES)["items"]
    return {namespace["metadata"]["name"] for namespace in listed}
