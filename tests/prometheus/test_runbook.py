"""The commands of the runbook are ones that kubectl understands, on names that an installation has."""

import re
import shlex
from collections.abc import Iterator

import pytest

from tests.journeys.conftest import ROOT
from tests.support.cluster import Cluster
from tests.support.clusters import started

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
    words = shlex.split(command)
    if words[0] in NEED_PODS:
        words.insert(1, "--help")  # flags are read before the help is printed

    done = installed.kubectl(*words, check=False)

    missing = "NotFound" in done.stderr and words[1] in MADE_LATER
    assert done.returncode == 0 or missing, (
        done.stdout + done.stderr
    )  # `auth can-i` that answers no fails: rights are as the runbook supposes
