"""The commands of the runbook are ones that kubectl understands, on names that an installation has."""

import os
import re
import shlex
import subprocess
from collections.abc import Iterator

import pytest

from tests.journeys.conftest import ROOT
from tests.support.cluster import Cluster
from tests.support.clusters import started
from tests.support.kubectl import kubectl_program

RUNBOOK = (ROOT / "docs" / "runbook.md").read_text()
COMMANDS = list(dict.fromkeys(re.findall(r"^\$ kubectl (.+)$", RUNBOOK, re.MULTILINE)))
NEED_PODS = ("logs", "exec", "port-forward", "top")  # there are no nodes in a cluster for tests
ONLY_REAL = ("get flowschemas", "get --raw /metrics")
MADE_LATER = ("lease", "secret")  # by the processes


@pytest.fixture(scope="module")
def installed(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A cluster of its own with everything of `config/default`: its webhook, which does not run, would be in the way of other tests."""
    with started(cluster.kind, tmp_path_factory.mktemp("installed")) as own:
        own.kubectl("apply", "-k", ROOT / "config" / "default")
        yield own


@pytest.mark.only_on("devcluster", "real")
@pytest.mark.parametrize("command", COMMANDS)
def test_kubectl_does_what_is_asked(installed: Cluster, command: str) -> None:
    if not installed.is_real and command in ONLY_REAL:
        pytest.skip("devcluster does not serve it")
    words = shlex.split(command.removesuffix("|"))  # of a pipeline, the first command
    if words[0] in NEED_PODS:
        words.insert(1, "--help")  # flags are read before the help is printed

    done = installed.kubectl(*words, check=False)

    missing = "NotFound" in done.stderr and words[1] in MADE_LATER
    assert done.returncode == 0 or missing, (
        done.stdout + done.stderr
    )  # `auth can-i` that answers no fails: rights are as the runbook supposes


@pytest.mark.only_on("devcluster", "real")
def test_the_pipeline_after_a_leak_starts_a_revocation(installed: Cluster) -> None:
    [pipeline] = re.findall(
        r"^\$ (kubectl create job revoke .+?kubectl create -f -)$",
        RUNBOOK,
        re.MULTILINE | re.DOTALL,
    )
    path = f"{kubectl_program().parent}{os.pathsep}{os.environ['PATH']}"
    environment = {
        **os.environ,
        "KUBECONFIG": str(installed.kubeconfig),
        "KUBERC": "off",
        "PATH": path,
    }

    subprocess.run(
        ["bash", "-euo", "pipefail", "-c", pipeline], check=True, timeout=90, env=environment
    )

    job = installed.get("/apis/batch/v1/namespaces/configmapsync-system/jobs/revoke")
    [container] = job["spec"]["template"]["spec"]["containers"]
    assert container["args"] == ["revoke"]
    assert job["spec"]["template"]["spec"]["serviceAccountName"] == "configmapsync-certs"
