"""The quick start, command by command, with stand-ins for kind and docker.

kind, docker and the nodes of a cluster are not at hand in the tests. Everything else is
real: `make deploy`, the processes that the manifests describe, and kubectl.
"""

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.docs.pages import DOCS, Command, commands, run
from tests.journeys.installation import Installation, Names
from tests.support.cluster import Cluster
from tests.support.clusters import started
from tests.support.processes import LOCAL_ADDRESS, free_port

COMMANDS = commands(DOCS / "quick-start.md")
DEPLOYMENTS = "/apis/apps/v1/namespaces/configmapsync-system/deployments"


class Machine(NamedTuple):
    """A cluster, and the log of the stand-ins for kind and docker."""

    installation: Installation
    calls: Path


@pytest.fixture
def machine(cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Machine]:
    if cluster.kind == "existing":
        pytest.skip("an existing cluster is not for installations of tests")
    programs, calls, folder = tmp_path / "bin", tmp_path / "calls", tmp_path / "cluster"
    programs.mkdir()
    folder.mkdir()
    for program in ("kind", "docker"):
        (programs / program).write_text(f'#!/bin/sh\necho {program} "$@" >> {calls}\n')
        (programs / program).chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.delenv("MAKEFLAGS", raising=False)
    port = free_port()
    service = f"configmapsync-system/configmapsync-webhook={LOCAL_ADDRESS}:{port}"
    with started(cluster.kind, folder, "--service-address", service) as own:
        installation = Installation(own, tmp_path, port, Names())
        try:
            yield Machine(installation, calls)
        finally:
            installation.kubelet.stop()


@pytest.mark.timeout(600)  # it installs the operator
def test_every_command_of_the_quick_start_does_what_the_page_says(machine: Machine) -> None:
    cluster = machine.installation.cluster
    for command in COMMANDS:
        if command.line.startswith("make"):
            # The output of make and of kubectl apply is not on the page.
            quiet = Command(f"{command.line} {with_tools()} > /dev/null", "")
            run(quiet, cluster)
        else:
            run(command, cluster)
        if command.line.startswith("make deploy"):
            machine.installation.start()
            for deployment in ("reconciler", "webhook"):
                become_available(cluster, deployment)

    called = machine.calls.read_text().splitlines()
    assert [line.split()[:2] for line in called] == [
        ["kind", "create"],
        ["docker", "build"],
        ["kind", "load"],
        ["kind", "delete"],
    ]
    assert called[1].endswith("--tag configmapsync:quickstart .")
    assert called[2] == "kind load docker-image configmapsync:quickstart"


def test_five_commands_install_the_operator() -> None:
    lines = [command.line for command in COMMANDS]

    assert lines.index("kubectl create namespace central") == 5


def with_tools() -> str:
    """Return make's arguments that use this Python in place of .venv."""
    return f"BIN={Path(sys.executable).parent} --old-file=kubectl --silent"


def become_available(cluster: Cluster, deployment: str) -> None:
    """Report a Deployment as available, as its controller does."""
    condition = {
        "type": "Available",
        "status": "True",
        "reason": "MinimumReplicasAvailable",
        "message": "",
        "lastUpdateTime": "2026-01-01T00:00:00Z",
        "lastTransitionTime": "2026-01-01T00:00:00Z",
    }
    cluster.patch(
        f"{DEPLOYMENTS}/configmapsync-{deployment}/status", {"status": {"conditions": [condition]}}
    )
