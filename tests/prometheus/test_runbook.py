"""Check that the commands of the runbook work on an installation."""

import os
import re
import shlex
import subprocess
from collections.abc import Iterator

import pytest

from tests.config.installation import wait_until_served
from tests.journeys.conftest import ROOT
from tests.support.cluster import Cluster
from tests.support.clusters import started
from tests.support.kubectl import kubectl_program

RUNBOOK = (ROOT / "docs" / "runbook.md").read_text()
COMMANDS = list(dict.fromkeys(re.findall(r"^\$ kubectl (.+)$", RUNBOOK, re.MULTILINE)))
# The clusters of the tests have no nodes.
NEED_PODS = ("logs", "exec", "port-forward", "top")
ONLY_REAL = ("get flowschemas", "get --raw /metrics")
# Objects that the processes create.
MADE_LATER = ("lease", "secret")


@pytest.fixture(scope="module")
def installed(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Start a separate cluster with `config/default`: its webhook would block other tests."""
    with started(cluster.kind, tmp_path_factory.mktemp("installed")) as own:
        own.kubectl("apply", "-k", ROOT / "config" / "default")
        wait_until_served(own)
        yield own


def test_every_log_message_that_the_pages_quote_is_in_the_code() -> None:
    operations = (ROOT / "docs" / "operations.md").read_text()
    pages = re.sub(r"\s+", " ", RUNBOOK + operations)
    before = re.findall(r"\b(?:log|line) (?:line |has |is |one line )*`([a-z][a-z ,]+)`", pages)
    quoted = {*before, *re.findall(r"`([a-z][a-z ,]+)` in the log", pages)}
    code = "\n".join(
        path.read_text()
        for folder in ("kube", "reconciler", "webhook", "certs")
        for path in (ROOT / folder).rglob("*.py")
    )

    assert len(quoted) >= 8
    assert [message for message in sorted(quoted) if f'"{message}' not in code] == []


@pytest.mark.only_on("devcluster", "real")
@pytest.mark.parametrize("command", COMMANDS)
def test_the_command_works(installed: Cluster, command: str) -> None:
    if not installed.is_real and command in ONLY_REAL:
        pytest.skip("devcluster does not serve it")
    # Of a pipeline only the first command runs.
    words = shlex.split(command.removesuffix("|"))
    if words[0] in NEED_PODS:
        # kubectl checks the flags before it prints the help.
        words.insert(1, "--help")

    done = installed.kubectl(*words, check=False)

    missing = "NotFound" in done.stderr and words[1] in MADE_LATER
    # `auth can-i` fails if the answer is no.
    assert done.returncode == 0 or missing, done.stdout + done.stderr


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
