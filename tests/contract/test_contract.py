"""The clusters of the tests answer as the recorded real API server does.

`conformance.py` in this folder replays `scenarios/` and compares every answer. On
devcluster the tests show how faithful it is; on a real control plane they show that the
recordings are still right. devcluster's README lists the known differences, and those
scenarios must fail: a change that makes one pass must remove it from the list.
"""

import argparse
import asyncio
import re
import time
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
import yaml

from tests.contract import conformance
from tests.support.cluster import Cluster

HERE = Path(__file__).parent
DEVCLUSTER_README = HERE.parents[1] / "packages" / "devcluster" / "README.md"
KNOWN_DIFFERENCES = re.compile(
    r"^## Scenarios that are knowingly not passed$(?P<list>.*?)^## ", re.MULTILINE | re.DOTALL
)
KNOWN_DIFFERENCE = re.compile(r"^- `(?P<scenario>[a-z0-9-]+)`: \S", re.MULTILINE)
AT_MOST_KNOWN = 1 / 20
RECORDED_MINOR_VERSION = "36"  # other versions may word or order answers differently
# It records the age "0s", which becomes "1s" when the clock's second changes.
WITHIN_ONE_SECOND = {"table-configmaps"}
AGAIN = 2  # each time from the beginning of a second on
# Lines of a step: enough for a whole object.
SHOWN_DIFFERENCES = 40

# The runner's way to send 1 MiB.
pytestmark = [
    pytest.mark.asyncio(loop_scope="session"),
    pytest.mark.filterwarnings("ignore:Sending a large body:ResourceWarning"),
]


@dataclass(frozen=True, slots=True)
class Scenario:
    """One recorded conversation."""

    area: str
    document: Mapping[str, Any]

    @property
    def name(self) -> str:
        """Return a name that is unique over all files."""
        return str(self.document["name"])

    @property
    def tags(self) -> tuple[str, ...]:
        """Return the features that the scenario needs of a cluster."""
        return tuple(self.document.get("tags") or ())

    @property
    def users(self) -> set[str]:
        """Return every user except the admin that sends a request in it."""
        return {str(step["as"]) for step in self.document["steps"] if "as" in step} - {"admin"}


def _all_scenarios() -> list[Scenario]:
    files = [
        yaml.safe_load(path.read_text()) for path in sorted((HERE / "scenarios").glob("*.yaml"))
    ]
    return [Scenario(file["area"], document) for file in files for document in file["scenarios"]]


SCENARIOS = _all_scenarios()


def known_differences() -> set[str]:
    """Return the names of the scenarios that devcluster's README lists as known differences."""
    section = KNOWN_DIFFERENCES.search(DEVCLUSTER_README.read_text(encoding="utf-8"))
    assert section is not None, f"{DEVCLUSTER_README} has no such section any more"
    return {match["scenario"] for match in KNOWN_DIFFERENCE.finditer(section["list"])}


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def runner(cluster: Cluster) -> AsyncIterator[conformance.Runner]:
    """The recorder's runner, which creates the CRDs once and removes them at the end."""
    if cluster.kind == "real" and cluster.get("/version")["minor"] != RECORDED_MINOR_VERSION:
        pytest.skip(f"recorded from version 1.{RECORDED_MINOR_VERSION}; other versions may differ")
    authority = None if cluster.authority_file is None else str(cluster.authority_file)
    server = conformance.Server(cluster.url, authority, insecure=False)
    server.credentials["admin"] = {}  # on an existing cluster the proxy authenticates
    server.credentials |= {user.name: {"token": user.token} for user in cluster.users.values()}
    runner = conformance.Runner(
        server, argparse.Namespace(diff_lines=SHOWN_DIFFERENCES, verbose=False)
    )
    yield runner
    await runner.finish()


@pytest.mark.parametrize(
    "scenario", [pytest.param(one, id=f"{one.area}/{one.name}") for one in SCENARIOS]
)
async def test_the_cluster_answers_as_recorded(
    cluster: Cluster, runner: conformance.Runner, scenario: Scenario, request: pytest.FixtureRequest
) -> None:
    _skip_what_the_cluster_cannot_do(cluster, scenario)
    if cluster.kind == "devcluster" and scenario.name in known_differences():
        request.applymarker(
            pytest.mark.xfail(reason="listed in packages/devcluster/README.md", strict=True)
        )
    result = await runner.scenario(dict(scenario.document), record=False)
    if scenario.name in WITHIN_ONE_SECOND:
        for _ in range(AGAIN):
            if result["failed"]:
                await asyncio.sleep(1 - time.time() % 1)  # noqa: TID251 - the clock of the server
                result = await runner.scenario(dict(scenario.document), record=False)
    assert result["failed"] == 0, "\n".join(result["lines"])
    assert result["passed"] > 0, "the scenario checks nothing"


async def test_the_list_of_known_differences_is_short_and_names_scenarios_that_exist() -> None:
    known = known_differences()
    assert known <= {scenario.name for scenario in SCENARIOS}
    assert len(known) <= len(SCENARIOS) * AT_MOST_KNOWN


def _skip_what_the_cluster_cannot_do(cluster: Cluster, scenario: Scenario) -> None:
    if not cluster.has_controllers and {"controllers", "gc", "root-ca"} & set(scenario.tags):
        pytest.skip("needs kube-controller-manager beside kube-apiserver and etcd")
    if cluster.kind == "existing" and (scenario.users or "webhook" in scenario.tags):
        pytest.skip("needs test users, or a server that reaches webhooks on this machine")
