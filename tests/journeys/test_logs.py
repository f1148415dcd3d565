"""Log lines share an id per reconcile and the same keys; a signal turns on debug."""

import json
import signal
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.journeys.conftest import install_crd
from tests.journeys.stage import Stage
from tests.journeys.webhook_process import WebhookProcess, running_webhook
from tests.support.cluster import Cluster
from tests.support.eventually import wait_until
from tests.support.processes import Process

Line = dict[str, Any]


@pytest.fixture
def webhook(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[WebhookProcess]:
    install_crd(cluster)
    with running_webhook(cluster, tmp_path_factory.mktemp("webhook")) as webhook:
        yield webhook


def lines(process: Process) -> list[Line]:
    """Return every line, each of which must be one JSON object."""
    return [json.loads(line) for line in process.output().splitlines() if line.endswith("}")]


def about(process: Process, sync: str) -> list[Line]:
    """Return the lines that name a sync, given by its path."""
    namespace, name = sync.split("/")[-3::2]
    return [line for line in lines(process) if line.get("sync") == f"{namespace}/{name}"]


def test_all_lines_of_one_reconcile_share_its_number_and_name_things_alike(
    stage: Stage, start_reconciler: Callable[..., Process]
) -> None:
    reconciler = start_reconciler("--log-level", "debug")
    home, one, taken = stage.namespace(), stage.namespace("one"), stage.namespace("taken")
    stage.source(home)
    stage.put_configmap(taken, "config", data={"owner": "another"})
    sync = stage.sync(home, destinationNamespaces=[one, taken])
    stage.ready_becomes(sync, "False", "DestinationConflict")
    stage.copy_becomes(stage.edit(home, "config", data={"key": "edited"}), one)

    def reconcile_lines() -> list[Line]:
        found = about(reconciler, sync)
        assert [line for line in found if line["event"] == "wrote" and line["verb"] == "update"]
        return found

    found = wait_until(reconcile_lines)
    (created,) = [line for line in found if line["event"] == "wrote" and line["verb"] == "create"]
    (refused,) = [line for line in found if line["event"] == "write failed"]
    (updated,) = [line for line in found if line["event"] == "wrote" and line["verb"] == "update"]
    assert created["reconcile"] == refused["reconcile"] != updated["reconcile"]
    assert (created["namespace"], created["name"]) == (one, "config")
    assert (refused["namespace"], refused["name"], refused["reason"]) == (
        taken,
        "config",
        "Progressing",
    )
    enqueued = [line for line in found if line["event"] == "enqueued"]
    assert {"sync", "source"} <= {line["trigger"] for line in enqueued}
    assert ("source", home, "config") in {
        (line["trigger"], line["namespace"], line["name"]) for line in enqueued
    }
    reported = [line for line in found if line["event"] == "status changed"]
    assert {"DestinationConflict"} == {
        line["reason"] for line in reported if line["ready"] == "False"
    } - {"Progressing"}


def test_a_signal_turns_debug_lines_on_and_the_next_one_off_again(
    stage: Stage, reconciler: Process, cluster: Cluster
) -> None:
    home, one = stage.namespace(), stage.namespace()
    stage.source(home)
    sync = stage.sync(home, destinationNamespace=one)
    stage.ready_becomes(sync, "True", "Synced")

    def debug_lines() -> int:
        return sum(line["level"] == "debug" for line in lines(reconciler))

    assert debug_lines() == 0
    reconciler.send(signal.SIGUSR1)
    assert '"log_level": "debug"' in reconciler.wait_for_line("the log level has changed")
    stage.copy_becomes(stage.edit(home, "config", data={"key": "1"}), one)
    assert wait_until(lambda: debug_lines() or _not_yet()) > 0

    reconciler.send(signal.SIGUSR1)
    reconciler.wait_for_line('"log_level": "info"')
    before = debug_lines()
    stage.copy_becomes(stage.edit(home, "config", data={"key": "2"}), one)
    stage.ready_becomes(sync, "True", "Synced")
    assert debug_lines() == before


@pytest.mark.only_on("devcluster", "real")
def test_webhook_log_lines_carry_the_uid_of_their_review(
    webhook: WebhookProcess, stage: Stage
) -> None:
    home, one = stage.namespace(), stage.namespace()
    stage.sync(home, destinationNamespace=one)
    for _ in range(2):
        with pytest.raises(AssertionError, match="already written"):
            stage.sync(home, destinationNamespace=one)

    assert webhook.process is not None
    refused = [line for line in lines(webhook.process) if line["event"] == "sync denied"]
    assert len({line["review"] for line in refused}) == len(refused) == 2


@pytest.mark.only_on("devcluster", "real")
def test_a_signal_turns_debug_lines_on_in_the_webhook(webhook: WebhookProcess) -> None:
    assert webhook.process is not None
    for level in ("debug", "info"):
        webhook.process.send(signal.SIGUSR1)
        webhook.process.wait_for_line(f'"log_level": "{level}"')
    assert webhook.process.terminate() == 0


def _not_yet() -> int:
    raise AssertionError("no debug line yet")
