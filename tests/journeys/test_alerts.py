"""A process in trouble causes exactly the expected alerts.

The test scrapes the real processes and evaluates the shipped rules with promtool. An
alert waits for minutes, but the test does not: it keeps the last scrape's gauges for an
hour and lets counters grow at the rate between two scrapes.
"""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from configmapsync.names import API_VERSION, KIND, PLURAL
from tests.journeys.faults import Faults
from tests.journeys.rivals import Rival
from tests.journeys.scrape import Scrape, scrape
from tests.journeys.stage import Stage
from tests.journeys.webhook_process import WebhookProcess
from tests.prometheus.promtool import ALERTS, evaluate, needs_promtool
from tests.support.cluster import Cluster
from tests.support.clusters import started
from tests.support.eventually import wait_until
from tests.support.processes import Process, free_port

pytestmark = [needs_promtool, pytest.mark.only_on("devcluster", "real")]

MINUTES = 60
AT = "50m"
LEASE = "configmapsync-reconciler"
# A wait of 250 ms for a core counts as well. `long_steps.py` measures the steps of the product.
LOOP_LAG = "configmapsync_event_loop_lag_seconds"


@pytest.fixture(scope="module")
def cluster(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A cluster of this test, because the rules also count what other tests leave behind."""
    with started(cluster.kind, tmp_path_factory.mktemp("alone")) as own:
        yield own


@pytest.fixture
def reconciler(health_port: int, start_reconciler: Callable[..., Process], stage: Stage) -> Process:
    return start_reconciler(port=health_port)


@pytest.fixture
def scrape_all(
    reconciler: Process, health_port: int, webhook: WebhookProcess
) -> Callable[[], dict[str, Scrape]]:
    """Return a function that scrapes both processes."""
    ports = {"reconciler-0": health_port, "webhook-0": webhook.health_port}
    return lambda: {pod: scrape(port) for pod, port in ports.items()}


@pytest.fixture
def election_namespace(stage: Stage) -> str:
    """The namespace of the Lease."""
    return stage.election_namespace()


@pytest.fixture
def start_replica(
    election_namespace: str, start_reconciler: Callable[..., Process], webhook: WebhookProcess
) -> Callable[[], Callable[[], dict[str, Scrape]]]:
    """Start one more elected reconciler; return a function that scrapes all processes."""
    ports: dict[str, int] = {}

    def start() -> Callable[[], dict[str, Scrape]]:
        port = free_port()
        start_reconciler(
            "--leader-elect", "--leader-election-namespace", election_namespace, port=port
        )
        ports[f"reconciler-{len(ports)}"] = port
        pods = {**ports, "webhook-0": webhook.health_port}
        return lambda: {pod: scrape(port) for pod, port in pods.items()}

    return start


def hour(first: dict[str, Scrape], second: dict[str, Scrape]) -> dict[str, str]:
    """Return an hour of all series in promtool's notation, extrapolated from two scrapes."""
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
                grows = family.type in {"counter", "histogram"} and family.name != LOOP_LAG
                step = grown if grows else 0
                series[named(sample.name, {**sample.labels, **target})] = (
                    f"{sample.value}+{step}x{MINUTES}"
                )
    return series


def named(name: str, labels: dict[str, str]) -> str:
    inside = ", ".join(f'{label}="{value}"' for label, value in sorted(labels.items()))
    return f"{name}{{{inside}}}"


def assert_firing(folder: Path, series: dict[str, str], **firing: list[dict[str, str]]) -> None:
    """Check that exactly these alerts fire."""
    evaluate(folder, series, AT, {name: firing.get(name, []) for name in ALERTS})


def test_no_alert_fires_while_all_is_well(
    stage: Stage, scrape_all: Callable[[], dict[str, Scrape]], tmp_path: Path
) -> None:
    home, one = stage.namespace(), stage.namespace()
    stage.source(home)
    first = scrape_all()
    sync = stage.sync(home, destinationNamespaces=[one])
    stage.ready_becomes(sync, "True", "Synced")
    stage.copy_becomes(stage.edit(home, "config", data={"key": "edited"}), one)
    wait_until(
        lambda: scrape_all()["reconciler-0"].value("configmapsync_propagation_seconds_count") == 1
    )

    assert_firing(tmp_path, hour(first, scrape_all()))


def test_no_alert_fires_for_a_standby_with_a_filled_queue(
    stage: Stage, start_replica: Callable[[], Callable[[], dict[str, Scrape]]], tmp_path: Path
) -> None:
    first_alone = start_replica()
    wait_until(lambda: leaders(first_alone()) == 1)
    scrape_all = start_replica()
    first = scrape_all()
    home = stage.namespace()
    stage.source(home)
    stage.ready_becomes(stage.sync(home, destinationNamespace=stage.namespace()), "True", "Synced")
    wait_until(lambda: scrape_all()["reconciler-1"].value("workqueue_depth") > 0)

    assert_firing(tmp_path, hour(first, scrape_all()))


def test_an_alert_fires_for_a_lease_without_a_running_holder(
    stage: Stage,
    election_namespace: str,
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
    stage.cluster.create(
        f"/apis/coordination.k8s.io/v1/namespaces/{election_namespace}/leases", lease
    )
    scrape_all = start_replica()
    first = scrape_all()
    stage.sync(stage.namespace(), destinationNamespace=stage.namespace())
    wait_until(lambda: scrape_all()["reconciler-0"].value("workqueue_depth") > 0)

    assert_firing(
        tmp_path,
        hour(first, scrape_all()),
        ConfigMapSyncNoLeader=[alert(severity="critical", name=LEASE)],
    )


def test_an_alert_fires_for_a_contested_copy(
    stage: Stage, scrape_all: Callable[[], dict[str, Scrape]], tmp_path: Path
) -> None:
    home, one = stage.namespace(), stage.namespace()
    stage.source(home)
    sync = stage.sync(home, destinationNamespace=one)
    stage.ready_becomes(sync, "True", "Synced")
    first = scrape_all()
    rival = Rival(lambda: undone(stage, one))
    stage.ready_becomes(sync, "False", "Contested", within=30)
    rival.stop()

    assert_firing(tmp_path, hour(first, scrape_all()), ConfigMapSyncContested=[alert()])


def test_an_alert_names_the_reason_of_a_taken_destination(
    stage: Stage, scrape_all: Callable[[], dict[str, Scrape]], tmp_path: Path
) -> None:
    home, taken = stage.namespace(), stage.namespace()
    stage.source(home)
    stage.put_configmap(taken, "config", data={"owner": "another"})
    first = scrape_all()
    stage.ready_becomes(
        stage.sync(home, destinationNamespace=taken), "False", "DestinationConflict"
    )

    assert_firing(
        tmp_path,
        hour(first, scrape_all()),
        ConfigMapSyncFailing=[alert(reason="DestinationConflict")],
    )


@pytest.mark.only_on("devcluster")
def test_alerts_fire_for_refused_writes_by_reason_rate_and_stuck_edit(
    stage: Stage, scrape_all: Callable[[], dict[str, Scrape]], fault: Faults, tmp_path: Path
) -> None:
    home, bad = stage.namespace(), stage.namespace()
    stage.source(home)
    sync = stage.sync(home, destinationNamespace=bad)
    stage.ready_becomes(sync, "True", "Synced")
    first = scrape_all()
    fault("fail", verb="write", resource="configmaps", namespace=bad, status=500)
    stage.edit(home, "config", data={"key": "edited"})
    stage.ready_becomes(sync, "False", "WriteFailed")
    wait_until(
        lambda: scrape_all()["reconciler-0"].value("configmapsync_propagation_lag_seconds") > 0
    )

    series = hour(first, scrape_all())
    lag = next(name for name in series if name.startswith("configmapsync_propagation_lag_seconds"))
    series[lag] = f"0+60x{MINUTES}"  # it keeps growing

    assert_firing(
        tmp_path,
        series,
        ConfigMapSyncFailing=[alert(reason="WriteFailed")],
        ConfigMapSyncWritesFailing=[alert()],
        ConfigMapSyncPropagationStuck=[alert(severity="critical")],
        ConfigMapSyncApiErrors=[alert(job="configmapsync-reconciler")],
    )


@pytest.mark.only_on("devcluster")
def test_an_alert_fires_for_a_webhook_that_cannot_check_rights(
    stage: Stage, scrape_all: Callable[[], dict[str, Scrape]], fault: Faults, tmp_path: Path
) -> None:
    home = stage.namespace()
    fault("fail", verb="create", resource="subjectaccessreviews", status=500)
    wait_until(lambda: refused(stage, home))  # answers are cached for some seconds
    first = scrape_all()
    refused(stage, home)

    assert_firing(
        tmp_path,
        hour(first, scrape_all()),
        ConfigMapSyncWebhookErrors=[alert()],
        ConfigMapSyncApiErrors=[alert(job="configmapsync-webhook")],
    )


@pytest.mark.only_on("devcluster")
def test_an_alert_fires_for_a_certificate_without_its_key_while_the_old_one_is_served(
    scrape_all: Callable[[], dict[str, Scrape]], webhook: WebhookProcess, tmp_path: Path
) -> None:
    first = scrape_all()
    generation = (webhook.folder / "tls" / "..data").resolve()
    key = (generation / "tls.key").read_bytes()
    (generation / "tls.key").unlink()
    errors = first["webhook-0"].value("certwatcher_read_certificate_errors_total")
    wait_until(lambda: grown(scrape_all, errors))
    second = scrape_all()
    (generation / "tls.key").write_bytes(key)

    assert_firing(
        tmp_path, hour(first, second), ConfigMapSyncCertificateUnusable=[alert(pod="webhook-0")]
    )


def grown(scrape_all: Callable[[], dict[str, Scrape]], errors: float) -> None:
    assert scrape_all()["webhook-0"].value("certwatcher_read_certificate_errors_total") > errors


def leaders(scraped: dict[str, Scrape]) -> int:
    return sum(int(each.value("leader_election_master_status")) for each in scraped.values())


def undone(stage: Stage, namespace: str) -> bool:
    """Restore what this test changes."""
    copy = stage.find(namespace)
    if copy is None or copy["data"] != {"key": "value"}:
        return False
    stage.edit(namespace, "config", data={"key": "rival"})
    return True


def refused(stage: Stage, namespace: str) -> None:
    """Return whether a sync is refused because it cannot be checked."""
    path = f"/apis/{API_VERSION}/namespaces/{namespace}/{PLURAL}?dryRun=All"
    document = {
        "apiVersion": API_VERSION,
        "kind": KIND,
        "metadata": {"name": "any"},
        "spec": {"configMapName": "config", "destinationNamespace": "elsewhere"},
    }
    answer = stage.cluster.request("POST", path, document)
    assert "could not check this request" in answer.text


def alert(**labels: str) -> dict[str, str]:
    return {"severity": "warning", "namespace": "system", **labels}
