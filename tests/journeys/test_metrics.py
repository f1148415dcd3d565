"""The metrics of both processes are true, documented, and bounded in number."""

from collections.abc import Callable
from pathlib import Path

import pytest

from configmapsync.reasons import Reason
from tests.journeys.conftest import SYNCS
from tests.journeys.scrape import Scrape, scrape
from tests.journeys.stage import Stage
from tests.journeys.webhook_process import WebhookProcess
from tests.prometheus.promtool import needs_promtool, promtool
from tests.support.cluster import Cluster
from tests.support.eventually import wait_until
from tests.support.processes import Process

PAGE = Path(__file__).parents[2] / "docs" / "metrics.md"
MANY = 500


@pytest.fixture
def reconciler(health_port: int, start_reconciler: Callable[..., Process], stage: Stage) -> Process:
    return start_reconciler(port=health_port)


@pytest.fixture
def scrape_reconciler(
    cluster: Cluster, reconciler: Process, health_port: int
) -> Callable[[], Scrape]:
    """Return a function that scrapes the reconciler.

    Until then every sync of an earlier test is counted, or gone.
    """

    def settled() -> bool:
        syncs = cluster.get(SYNCS)["items"]
        leaving = any("deletionTimestamp" in sync["metadata"] for sync in syncs)
        return not leaving and scrape(health_port).value("configmapsync_syncs") == len(syncs)

    wait_until(settled)
    return lambda: scrape(health_port)


def test_an_edit_is_measured_once_from_its_event_to_the_last_copy(
    stage: Stage, scrape_reconciler: Callable[[], Scrape]
) -> None:
    home, one, two = stage.namespace("home"), stage.namespace("one"), stage.namespace("two")
    stage.source(home)
    sync = stage.sync(home, destinationNamespaces=[one, two])
    stage.ready_becomes(sync, "True", Reason.SYNCED)
    before = scrape_reconciler()

    content = stage.edit(home, "config", data={"key": "edited"})
    stage.copy_becomes(content, one)
    stage.copy_becomes(content, two)

    def measured() -> None:
        after = scrape_reconciler()
        name = "configmapsync_propagation_seconds_count"
        assert after.value(name) == before.value(name) + 1
        assert after.value("configmapsync_propagation_lag_seconds") == 0
        written = {"verb": "update", "result": "done"}
        name = "configmapsync_writes_total"
        assert after.value(name, **written) == before.value(name, **written) + 2

    wait_until(measured)


def test_copies_are_counted_by_state_and_failures_by_reason(
    stage: Stage, scrape_reconciler: Callable[[], Scrape]
) -> None:
    home, good, taken = stage.namespace("home"), stage.namespace("good"), stage.namespace("taken")
    stage.source(home)
    stage.put_configmap(taken, "config", data={"owner": "another"})
    before = scrape_reconciler()
    conflict = stage.sync(home, destinationNamespaces=[good, taken])
    stage.ready_becomes(conflict, "False", Reason.DESTINATION_CONFLICT)
    missing = stage.sync(home, configMapName="missing", destinationNamespace=good)
    stage.ready_becomes(missing, "False", Reason.SOURCE_NOT_FOUND)

    def grown(after: Scrape, name: str, label: str) -> dict[str, float]:
        previous, now = before.by(label, name), after.by(label, name)
        return {
            word: now[word] - previous.get(word, 0)
            for word in now
            if now[word] != previous.get(word, 0)
        }

    def counted() -> None:
        after = scrape_reconciler()
        assert grown(after, "configmapsync_copies", "state") == {"synced": 1, "failed": 1}
        failures = {"DestinationConflict": 1, "SourceNotFound": 1}
        assert grown(after, "configmapsync_failures", "reason") == failures
        assert grown(after, "configmapsync_syncs", "reason") == failures

    wait_until(counted)
    stage.delete(taken, "config")
    stage.remove_syncs()
    wait_until(
        lambda: (
            scrape_reconciler().by("reason", "configmapsync_failures")
            == before.by("reason", "configmapsync_failures")
        )
    )


def test_every_reason_has_its_series_before_anything_fails(
    scrape_reconciler: Callable[[], Scrape],
) -> None:
    """An alert on an increase, or on a missing series, would miss the first failure."""
    reasons = {
        sample.labels["reason"]
        for sample in scrape_reconciler().samples()
        if sample.name == "configmapsync_failures"
    }

    assert reasons == {str(reason) for reason in Reason} - {"Synced", "Progressing", "Suspended"}


@pytest.mark.only_on("devcluster")
def test_no_name_that_a_user_chooses_becomes_a_label(
    stage: Stage, scrape_reconciler: Callable[[], Scrape]
) -> None:
    home = stage.namespace("home")
    stage.source(home)
    first = stage.sync(home, destinationNamespaces=["x-*"])
    stage.ready_becomes(first, "True", Reason.SYNCED)
    series = {
        (sample.name, tuple(sample.labels.items())) for sample in scrape_reconciler().samples()
    }

    odd = [f"x-{number}.{'y' * (number % 40 + 1)}.sync" for number in range(MANY)]
    for name in odd:
        stage.sync(
            home,
            name,
            configMapName=name if len(name) % 3 else "config",
            destinationNamespace=f"n-{len(name)}",
        )
    wait_until(lambda: scrape_reconciler().value("configmapsync_syncs") >= MANY, 60)

    grown = {
        (sample.name, tuple(sample.labels.items())) for sample in scrape_reconciler().samples()
    } - series
    assert {name for name, _ in grown} <= {"rest_client_requests_total", *durations()}
    assert len(grown) < 40
    assert not [name for name in odd if name in scrape_reconciler().text]


def durations() -> set[str]:
    """Return series that appear with the first request of a method."""
    return {f"rest_client_request_duration_seconds_{part}" for part in ("bucket", "count", "sum")}


@pytest.fixture
def processes(
    stage: Stage,
    start_reconciler: Callable[..., Process],
    health_port: int,
    webhook: WebhookProcess,
) -> dict[str, Scrape]:
    """Both processes after typical work; the reconciler is an elected leader."""
    home = stage.namespace()
    start_reconciler(
        "--leader-elect",
        "--leader-election-namespace",
        stage.election_namespace(),
        port=health_port,
    )
    wait_until(lambda: worked(health_port))
    stage.sync(home, destinationNamespaces=["nowhere-*"])
    wait_until(lambda: reported(health_port))
    return {"reconciler": scrape(health_port), "webhook": scrape(webhook.health_port)}


def worked(port: int) -> None:
    assert scrape(port).value("leader_election_master_status", name="configmapsync-reconciler") == 1


def reported(port: int) -> None:
    assert scrape(port).value("configmapsync_status_writes_total") >= 1


@needs_promtool
@pytest.mark.only_on("devcluster", "real")
@pytest.mark.parametrize("process", ["reconciler", "webhook"])
def test_metric_names_and_help_texts_follow_the_prometheus_rules(
    processes: dict[str, Scrape], process: str
) -> None:
    done = promtool("check", "metrics", stdin=processes[process].text)

    assert done.returncode == 0, done.stdout


@pytest.mark.only_on("devcluster", "real")
def test_docs_metrics_lists_exactly_the_exposed_metrics(processes: dict[str, Scrape]) -> None:
    page = [line for line in PAGE.read_text().splitlines() if line.startswith("| `")]

    assert "process_open_fds" in processes["reconciler"].families, "the page is written for Linux"
    wanted = metric_rows(processes)
    assert page == wanted, "docs/metrics.md must list:\n" + "\n".join(wanted)


def metric_rows(processes: dict[str, Scrape]) -> list[str]:
    """Return the rows that docs/metrics.md must have, in order."""
    rows: dict[str, str] = {}
    for scraped in processes.values():
        for family in scraped.families.values():
            where = ", ".join(
                name for name, other in processes.items() if family.name in other.families
            )
            labels = {label for sample in family.samples for label in sample.labels} - {"le"}
            named = ", ".join(f"`{label}`" for label in sorted(labels))
            name = family.name + ("_total" if family.type == "counter" else "")
            rows[name] = (
                f"| `{name}` | {family.type} | {named} | {where} | {family.documentation} |"
            )
    return [rows[name] for name in sorted(rows)]
