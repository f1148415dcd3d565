"""From the real process to the alert: what it tells in trouble is scraped, and Prometheus' own evaluator judges it by our rules.

An alert waits for minutes; the test does not. What was scraped once stands still for an
hour, and what grew between two scrapes goes on growing as fast for an hour: then
promtool says which alerts fire.
"""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from configmapsync.names import API_VERSION, KIND, PLURAL
from tests.journeys.conftest import install_crd
from tests.journeys.guard import Guard, guarding
from tests.journeys.rivals import Rival
from tests.journeys.scrape import Scrape, scrape
from tests.journeys.stage import Stage
from tests.prometheus.promtool import ALERTS, evaluate, needs_promtool
from tests.support.cluster import Cluster
from tests.support.clusters import started
from tests.support.eventually import wait_until
from tests.support.processes import Process, free_port

pytestmark = [needs_promtool, pytest.mark.only_on("devcluster", "real")]

MINUTES = 60
AT = "50m"
LEASE = "configmapsync-reconciler"


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
    yield lambda action, **details: cluster.create(
        "/devcluster/faults", {"action": action, **details}
    )
    cluster.delete("/devcluster/faults")


@pytest.fixture
def look(reconciler: Process, health_port: int, guard: Guard) -> Callable[[], dict[str, Scrape]]:
    """Scrapes both processes."""
    return lambda: {"reconciler-0": scrape(health_port), "webhook-0": scrape(guard.health_port)}


@pytest.fixture
def electorate(stage: Stage) -> str:
    """The namespace of the Lease."""
    return stage.electorate()


@pytest.fixture
def start_replica(
    electorate: str, start_reconciler: Callable[..., Process], guard: Guard
) -> Callable[[], Callable[[], dict[str, Scrape]]]:
    """Start one more reconciler that stands for election; returns what scrapes all there are."""
    ports: dict[str, int] = {}

    def start() -> Callable[[], dict[str, Scrape]]:
        port = free_port()
        start_reconciler("--leader-elect", "--leader-election-namespace", electorate, port=port)
        ports[f"reconciler-{len(ports)}"] = port
        pods = {**ports, "webhook-0": guard.health_port}
        return lambda: {pod: scrape(port) for pod, port in pods.items()}

    return start


def hour(first: dict[str, Scrape], second: dict[str, Scrape]) -> dict[str, str]:
    """All processes for an hour, as promtool reads series: counters grow as they did between two scrapes, gauges stand still."""
    series: dict[str, str] = {}
    for pod, scraped in second.items():
        target = {"job": f"configmapsync-{pod.split('-')[0]}", "namespace": "system", "pod": pod}
        series[named("up", target)] = f"1x{MINUTES}"
        previous = {
            named(sample.name, sample.labels): sample.value for sample in first[pod].samples()
        }
        for family in scraped.families.values():
            for sample in family.samples:
                grown = sample.value - previous.get(named(sample.name, sample.labels), 0)
                step = grown if family.type in {"counter", "histogram"} else 0
                series[named(sample.name, {**sample.labels, **target})] = (
                    f"{sample.value}+{step}x{MINUTES}"
                )
    return series


def named(name: str, labels: dict[str, str]) -> str:
    inside = ", ".join(f'{label}="{value}"' for label, value in sorted(labels.items()))
    return f"{name}{{{inside}}}"


def judge(folder: Path, series: dict[str, str], **firing: list[dict[str, str]]) -> None:
    """Only these alerts fire, and no other."""
    evaluate(folder, series, AT, {name: firing.get(name, []) for name in ALERTS})


def test_no_alert_fires_while_all_is_well(
    stage: Stage, look: Callable[[], dict[str, Scrape]], tmp_path: Path
) -> None:
    home, one = stage.namespace(), stage.namespace()
    stage.source(home)
    first = look()
    sync = stage.sync(home, destinationNamespaces=[one])
    stage.ready_becomes(sync, "True", "Synced")
    stage.copy_becomes(stage.edit(home, "config", data={"key": "edited"}), one)
    wait_until(lambda: look()["reconciler-0"].value("configmapsync_propagation_seconds_count") == 1)

    judge(tmp_path, hour(first, look()))


def test_no_alert_fires_for_a_standby_with_a_filled_queue(
    stage: Stage, start_replica: Callable[[], Callable[[], dict[str, Scrape]]], tmp_path: Path
) -> None:
    first_alone = start_replica()
    wait_until(lambda: leaders(first_alone()) == 1)
    look = start_replica()
    first = look()
    home = stage.namespace()
    stage.source(home)
    stage.ready_becomes(stage.sync(home, destinationNamespace=stage.namespace()), "True", "Synced")
    wait_until(lambda: look()["reconciler-1"].value("workqueue_depth") > 0)

    judge(tmp_path, hour(first, look()))


def test_an_alert_fires_for_a_lease_without_a_running_holder(
    stage: Stage,
    electorate: str,
    start_replica: Callable[[], Callable[[], dict[str, Scrape]]],
    tmp_path: Path,
) -> None:
    renewed = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")  # noqa: TID251 - as if it had just been renewed
    spec = {
        "holderIdentity": "ghost",
        "leaseDurationSeconds": 3600,
        "renewTime": renewed,
        "acquireTime": renewed,
    }
    lease = {
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": {"name": LEASE},
        "spec": spec,
    }
    stage.cluster.create(f"/apis/coordination.k8s.io/v1/namespaces/{electorate}/leases", lease)
    look = start_replica()
    first = look()
    stage.sync(stage.namespace(), destinationNamespace=stage.namespace())
    wait_until(lambda: look()["reconciler-0"].value("workqueue_depth") > 0)

    judge(
        tmp_path, hour(first, look()), ConfigMapSyncNoLeader=[told(severity="critical", name=LEASE)]
    )


def test_an_alert_fires_for_a_contested_copy(
    stage: Stage, look: Callable[[], dict[str, Scrape]], tmp_path: Path
) -> None:
    home, one = stage.namespace(), stage.namespace()
    stage.source(home)
    sync = stage.sync(home, destinationNamespace=one)
    stage.ready_becomes(sync, "True", "Synced")
    first = look()
    rival = Rival(lambda: undone(stage, one))
    stage.ready_becomes(sync, "False", "Contested", within=30)
    rival.stop()

    judge(tmp_path, hour(first, look()), ConfigMapSyncContested=[told()])


def test_an_alert_names_the_reason_of_a_taken_destination(
    stage: Stage, look: Callable[[], dict[str, Scrape]], tmp_path: Path
) -> None:
    home, taken = stage.namespace(), stage.namespace()
    stage.source(home)
    stage.put_configmap(taken, "config", data={"somebody": "else"})
    first = look()
    stage.ready_becomes(
        stage.sync(home, destinationNamespace=taken), "False", "DestinationConflict"
    )

    judge(tmp_path, hour(first, look()), ConfigMapSyncFailing=[told(reason="DestinationConflict")])


@pytest.mark.only_on("devcluster")
def test_alerts_fire_for_refused_writes_by_reason_rate_and_stuck_edit(
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
    wait_until(lambda: look()["reconciler-0"].value("configmapsync_propagation_lag_seconds") > 0)

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


@pytest.mark.only_on("devcluster")
def test_an_alert_fires_for_a_webhook_that_cannot_check_rights(
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


@pytest.mark.only_on("devcluster")
def test_an_alert_fires_for_a_certificate_without_its_key_while_the_old_one_is_served(
    look: Callable[[], dict[str, Scrape]], guard: Guard, tmp_path: Path
) -> None:
    first = look()
    generation = (guard.folder / "tls" / "..data").resolve()
    key = (generation / "tls.key").read_bytes()
    (generation / "tls.key").unlink()
    errors = first["webhook-0"].value("certwatcher_read_certificate_errors_total")
    wait_until(lambda: grown(look, errors))
    second = look()
    (generation / "tls.key").write_bytes(key)

    judge(tmp_path, hour(first, second), ConfigMapSyncCertificateUnusable=[told(pod="webhook-0")])


def grown(look: Callable[[], dict[str, Scrape]], errors: float) -> None:
    assert look()["webhook-0"].value("certwatcher_read_certificate_errors_total") > errors


def leaders(scraped: dict[str, Scrape]) -> int:
    return sum(int(each.value("leader_election_master_status")) for each in scraped.values())


def undone(stage: Stage, namespace: str) -> bool:
    """Put back what we have put right."""
    copy = stage.find(namespace)
    if copy is None or copy["data"] != {"key": "value"}:
        return False
    stage.edit(namespace, "config", data={"key": "rival"})
    return True


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
    assert "could not check this request" in answer.text


def told(**labels: str) -> dict[str, str]:
    return {"severity": "warning", "namespace": "system", **labels}
