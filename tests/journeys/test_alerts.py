"""From the real process to the alert: what it tells in trouble is scraped, and Prometheus' own evaluator judges it by our rules.

An alert waits for minutes; the test does not. What was scraped once stands still for an hour, and what grew between two scrapes goes on
growing as fast for an hour: then promtool says which alerts fire.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from configmapsync.names import API_VERSION, KIND, PLURAL
from tests.journeys.conftest import install_crd
from tests.journeys.guard import Guard, guarding
from tests.journeys.scrape import Scrape, scrape
from tests.journeys.stage import Stage
from tests.prometheus.promtool import ALERTS, evaluate, needs_promtool
from tests.support.cluster import Cluster
from tests.support.clusters import started
from tests.support.eventually import wait_until
from tests.support.processes import Process, free_port

pytestmark = [needs_promtool, pytest.mark.only_on("devcluster")]

MINUTES = 60
AT = "50m"


@pytest.fixture(scope="module")
def cluster(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """One of its own: what other tests have left behind would be told as well."""
    with started(cluster.kind, tmp_path_factory.mktemp("alone")) as own:
        yield own


@pytest.fixture(scope="module")
def guard(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guard]:
    install_crd(cluster)
    with guarding(cluster, tmp_path_factory.mktemp("guard")) as guard:
        yield guard


@pytest.fixture
def health_port() -> int:
    return free_port()


@pytest.fixture
def reconciler(health_port: int, start_reconciler: Callable[..., Process], stage: Stage) -> Process:
    return start_reconciler(port=health_port)


@pytest.fixture
def fault(cluster: Cluster) -> Iterator[Callable[..., object]]:
    """Set a fault; all are cleared behind the test."""
    yield lambda action, **details: cluster.create("/devcluster/faults", {"action": action, **details})
    cluster.delete("/devcluster/faults")


@pytest.fixture
def look(reconciler: Process, health_port: int, guard: Guard) -> Callable[[], dict[str, Scrape]]:
    """Scrapes both processes."""
    return lambda: {"reconciler": scrape(health_port), "webhook": scrape(guard.health_port)}


def hour(first: dict[str, Scrape], second: dict[str, Scrape]) -> dict[str, str]:
    """Both processes for an hour, as promtool reads series: counters grow as they did between two scrapes, gauges stand still."""
    series: dict[str, str] = {}
    for process, scraped in second.items():
        target = {"job": f"configmapsync-{process}", "namespace": "system", "pod": f"{process}-0"}
        series[named("up", target)] = f"1x{MINUTES}"
        former = {named(sample.name, sample.labels): sample.value for sample in first[process].samples()}
        for family in scraped.families.values():
            for sample in family.samples:
                grown = sample.value - former.get(named(sample.name, sample.labels), 0)
                step = grown if family.type in {"counter", "histogram"} else 0
                series[named(sample.name, {**sample.labels, **target})] = f"{sample.value}+{step}x{MINUTES}"
    return series


def named(name: str, labels: dict[str, str]) -> str:
    inside = ", ".join(f'{label}="{value}"' for label, value in sorted(labels.items()))
    return f"{name}{{{inside}}}"


def judge(folder: Path, series: dict[str, str], **firing: list[dict[str, str]]) -> None:
    """Only these alerts fire, and no other."""
    evaluate(folder, series, AT, {name: firing.get(name, []) for name in ALERTS})


def test_nothing_fires_while_all_is_well(stage: Stage, look: Callable[[], dict[str, Scrape]], tmp_path: Path) -> None:
    home, one = stage.namespace(), stage.namespace()
    stage.source(home)
    first = look()
    sync = stage.sync(home, destinationNamespaces=[one])
    stage.ready_becomes(sync, "True", "Synced")
    stage.copy_becomes(stage.edit(home, "config", data={"key": "edited"}), one)
    wait_until(lambda: look()["reconciler"].value("configmapsync_propagation_seconds_count") == 1)

    judge(tmp_path, hour(first, look()))


def test_a_place_that_is_taken_is_told_by_its_reason(
    stage: Stage, look: Callable[[], dict[str, Scrape]], tmp_path: Path
) -> None:
    home, taken = stage.namespace(), stage.namespace()
    stage.source(home)
    stage.put_configmap(taken, "config", data={"somebody": "else"})
    first = look()
    stage.ready_becomes(stage.sync(home, destinationNamespace=taken), "False", "DestinationConflict")

    judge(tmp_path, hour(first, look()), ConfigMapSyncFailing=[told(reason="DestinationConflict")])


def test_writes_that_the_api_server_refuses_are_told_by_reason_and_by_rate_and_as_an_edit_that_is_stuck(
    stage: Stage, look: Callable[[], dict[str, Scrape]], fault: Callable[..., Any], tmp_path: Path
) -> None:
    home, bad = stage.namespace(), stage.namespace()
    stage.source(home)
    sync = stage.sync(home, destinationNamespace=bad)
    stage.ready_becomes(sync, "True", "Synced")
    first = look()
    fault("fail", verb="write", resource="configmaps", namespace=bad, status=500)
    stage.edit(home, "config", data={"key": "edited"})
    stage.ready_becomes(sync, "False", "WriteFailed")
    wait_until(lambda: look()["reconciler"].value("configmapsync_propagation_lag_seconds") > 0)

    series = hour(first, look())
    lag = next(name for name in series if name.startswith("configmapsync_propagation_lag_seconds"))
    series[lag] = f"0+60x{MINUTES}"  # it goes on ageing

    judge(
        tmp_path,
        series,
        ConfigMapSyncFailing=[told(reason="WriteFailed")],
        ConfigMapSyncWritesFailing=[told()],
        ConfigMapSyncPropagationStuck=[told(severity="critical")],
        ConfigMapSyncApiErrors=[told(job="configmapsync-reconciler")],
    )


def test_a_webhook_that_cannot_ask_for_rights_is_told(
    stage: Stage, look: Callable[[], dict[str, Scrape]], fault: Callable[..., Any], tmp_path: Path
) -> None:
    home = stage.namespace()
    fault("fail", verb="create", resource="subjectaccessreviews", status=500)
    wait_until(lambda: refused(stage, home))  # answers are remembered for some seconds
    first = look()
    refused(stage, home)

    judge(
        tmp_path,
        hour(first, look()),
        ConfigMapSyncWebhookErrors=[told()],
        ConfigMapSyncApiErrors=[told(job="configmapsync-webhook")],
    )


def refused(stage: Stage, namespace: str) -> None:
    """A sync that cannot be judged is not stored."""
    path = f"/apis/{API_VERSION}/namespaces/{namespace}/{PLURAL}?dryRun=All"
    document = {
        "apiVersion": API_VERSION,
        "kind": KIND,
        "metadata": {"name": "any"},
        "spec": {"configMapName": "config", "destinationNamespace": "elsewhere"},
    }
    answer = stage.cluster.request("POST", path, document)
    assert "did not tell the webhook" in answer.text


def told(**labels: str) -> dict[str, str]:
    return {"severity": "warning", "namespace": "system", **labels}
