"""Another writer of a copy is named, and the copy is repaired at most once a minute."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from configmapsync.contention import REPAIRS
from tests.journeys.rivals import (
    adds_a_key,
    changing,
    pruning,
    recreating,
    replaces_the_labels,
    resetting,
    rewriting,
)
from tests.journeys.stage import Stage, content_of
from tests.support.eventually import wait_until
from tests.support.processes import Process

REPAIR_EACH_SECOND = ("--contested-interval", "1")
# So that no repair falls into the time in which the test expects none.
ONE_REPAIR = (
    "--contested-interval",
    "3600",
)


@pytest.fixture
def reconciler(stage: Stage, start_reconciler: Callable[..., Process]) -> Process:
    """A reconciler that repairs a contested copy once within the duration of a test."""
    return start_reconciler(*ONE_REPAIR)


def assert_no_further_write(stage: Stage, count: Callable[[], int]) -> None:
    """Check that no write happens while another sync is served a few times."""
    home, there = stage.namespace(), stage.namespace()
    stage.source(home)
    stage.sync(home, destinationNamespace=there)
    # The other writer may still wait for the answer to its last write.
    stage.copy_becomes({"data": {"key": "value"}}, there)
    before = count()
    for number in range(10):
        content = stage.edit(home, "config", data={"key": str(number)})
        stage.copy_becomes(content, there)
    assert count() == before


@pytest.mark.parametrize("manager", ["argocd-controller", "another-operator"])
def test_a_tool_that_resets_a_copy_is_named_and_repaired_once_a_minute(
    stage: Stage, reconciler: Process, manager: str
) -> None:
    home, there, good = stage.namespace(), stage.namespace(), stage.namespace()
    content = stage.source(home)
    sync = stage.sync(home, destinationNamespaces=[there, good])
    stage.copy_becomes(content, there)

    with resetting(stage, there, {"from": "git"}, manager) as rival:
        message = f'field manager "{manager}" keeps rewriting ConfigMap "{there}/config"'
        wait_until(lambda: message in stage.ready_becomes(sync, "False", "Contested")["message"])
        assert_no_further_write(stage, lambda: rival.undone)

        assert REPAIRS <= rival.undone <= REPAIRS + 2
        assert content_of(stage.find(there) or {}) == {"data": {"from": "git"}}
        newer = stage.edit(home, "config", data={"key": "newer"})
        stage.copy_becomes(newer, good)
    stage.summary_becomes(sync, "1/2")
    status = stage.cluster.get(sync)["status"]
    assert status["destinations"] == {"desired": 2, "synced": 1, "failed": 1}
    assert [(failure["namespace"], failure["reason"]) for failure in status["failures"]] == [
        (there, "Contested")
    ]


def test_contention_ends_when_the_other_writer_stops(
    stage: Stage, start_reconciler: Callable[..., Process]
) -> None:
    start_reconciler(*REPAIR_EACH_SECOND)
    home, there, _, sync = stage.one_copy()

    with resetting(stage, there, {"from": "git"}, "argocd-controller"):
        stage.ready_becomes(sync, "False", "Contested")
        newer = stage.edit(home, "config", data={"key": "newer"})

    stage.copy_becomes(newer, there)
    stage.ready_becomes(sync, "True", "Synced")


def test_the_status_is_stable_during_contention(
    stage: Stage, start_reconciler: Callable[..., Process]
) -> None:
    # A writer that answers a repair after the interval lets the sync be ready in between.
    start_reconciler("--contested-interval", "4")
    _, there, _, sync = stage.one_copy()

    with resetting(stage, there, {"from": "git"}, "argocd-controller") as rival:
        since = stage.ready_becomes(sync, "False", "Contested")["lastTransitionTime"]
        answered = rival.undone
        wait_until(lambda: rival.undone >= answered + 2)

        ready = stage.ready_becomes(sync, "False", "Contested")
        assert ready["lastTransitionTime"] == since


def test_a_pruned_copy_is_created_again_once_a_minute(stage: Stage, reconciler: Process) -> None:
    home, there = stage.namespace(), stage.namespace()
    stage.source(home)
    sync = stage.sync(home, destinationNamespace=there)

    with pruning(stage, there) as rival:
        message = f'something keeps deleting ConfigMap "{there}/config"'
        wait_until(lambda: message in stage.ready_becomes(sync, "False", "Contested")["message"])
        assert_no_further_write(stage, lambda: rival.undone)

        assert REPAIRS <= rival.undone <= REPAIRS + 2


def test_a_program_that_writes_faster_than_any_repair_is_named_and_left_alone(
    stage: Stage, reconciler: Process
) -> None:
    _, there, _, sync = stage.one_copy()

    with rewriting(stage, there, "heartbeat"):
        message = f'field manager "heartbeat" keeps rewriting ConfigMap "{there}/config"'
        wait_until(lambda: message in stage.ready_becomes(sync, "False", "Contested")["message"])

        assert_no_further_write(stage, lambda: reconciler.output().count("write failed"))


def test_a_copy_that_a_tool_recreates_is_removed_once_a_minute(
    stage: Stage, reconciler: Process
) -> None:
    home, there, elsewhere = stage.namespace(), stage.namespace(), stage.namespace()
    content = stage.source(home)
    sync = stage.sync(home, destinationNamespaces=[there, elsewhere])
    copy = stage.copy_becomes(content, elsewhere)

    with recreating(stage, copy) as rival:
        stage.edit_sync(sync, destinationNamespaces=[there])
        message = f'something keeps deleting ConfigMap "{elsewhere}/config", or bringing it back'
        wait_until(lambda: message in stage.ready_becomes(sync, "False", "Contested")["message"])
        assert_no_further_write(stage, lambda: rival.undone)

        assert REPAIRS <= rival.undone <= REPAIRS + 2
        stage.copy_becomes(content, there)


def test_a_webhook_that_changes_copies_is_reported_and_copies_heal_without_it(
    stage: Stage, start_reconciler: Callable[..., Process], tmp_path: Path
) -> None:
    start_reconciler(*REPAIR_EACH_SECOND)
    home, there = stage.namespace(), stage.namespace()
    content = stage.source(home)
    now = datetime.now(UTC)  # noqa: TID251 - certificates are valid from now on

    with changing(stage, there, adds_a_key, tmp_path, now):
        sync = stage.sync(home, destinationNamespace=there)
        message = f'an admission webhook changes what is written to ConfigMap "{there}/config"'
        wait_until(lambda: message in stage.ready_becomes(sync, "False", "Contested")["message"])
        assert (stage.find(there) or {})["data"] == {"key": "value", "policy": "on"}

    stage.copy_becomes(content, there)
    stage.ready_becomes(sync, "True", "Synced")


def test_a_webhook_that_changes_copies_makes_no_hot_loop(
    stage: Stage, reconciler: Process, tmp_path: Path
) -> None:
    home, there = stage.namespace(), stage.namespace()
    stage.source(home)
    now = datetime.now(UTC)  # noqa: TID251 - certificates are valid from now on

    with changing(stage, there, adds_a_key, tmp_path, now) as operations:
        sync = stage.sync(home, destinationNamespace=there)
        stage.ready_becomes(sync, "False", "Contested")
        assert_no_further_write(stage, lambda: len(operations))

        assert len(operations) <= REPAIRS + 2


@pytest.mark.parametrize(
    ("policy", "reason"), [("Fail", "DestinationConflict"), ("Adopt", "Contested")]
)
def test_a_copy_whose_labels_a_webhook_removes_is_no_longer_managed(
    stage: Stage, reconciler: Process, tmp_path: Path, policy: str, reason: str
) -> None:
    home, there = stage.namespace(), stage.namespace()
    stage.source(home)
    now = datetime.now(UTC)  # noqa: TID251 - certificates are valid from now on

    with changing(stage, there, replaces_the_labels, tmp_path, now) as operations:
        sync = stage.sync(home, destinationNamespace=there, conflictPolicy=policy)
        stage.ready_becomes(sync, "False", reason)
        assert_no_further_write(stage, lambda: len(operations))

        assert len(operations) <= REPAIRS + 2


def test_a_user_that_changes_a_copy_now_and_then_causes_no_contention(
    stage: Stage, reconciler: Process
) -> None:
    home, there = stage.namespace(), stage.namespace()
    content = stage.source(home)
    sync = stage.sync(home, destinationNamespace=there)

    for number in range(REPAIRS - 1):
        stage.copy_becomes(content, there)
        stage.edit(there, "config", data={"by-hand": str(number)})

    stage.copy_becomes(content, there)
    stage.ready_becomes(sync, "True", "Synced")


def test_a_source_that_is_edited_often_causes_no_contention(
    stage: Stage, reconciler: Process
) -> None:
    home, there = stage.namespace(), stage.namespace()
    stage.source(home)
    sync = stage.sync(home, destinationNamespace=there)

    for number in range(3 * REPAIRS):
        content = stage.edit(home, "config", data={"key": str(number % 2)})
        stage.copy_becomes(content, there)

    stage.ready_becomes(sync, "True", "Synced")


def test_a_namespace_that_is_recreated_often_is_served_at_once_each_time(
    stage: Stage, reconciler: Process
) -> None:
    """A recreated CI namespace is no contention, because its history starts again."""
    home, there = stage.namespace(), stage.namespace()
    content = stage.source(home)
    sync = stage.sync(home, destinationNamespaces=[there])
    path = f"/api/v1/namespaces/{there}"
    for _ in range(REPAIRS + 3):
        stage.copy_becomes(content, there)
        stage.cluster.delete(path)
        wait_until(lambda: stage.cluster.find(path) is None)
        stage.cluster.create("/api/v1/namespaces", {"metadata": {"name": there}})

    stage.copy_becomes(content, there)
    stage.ready_becomes(sync, "True", "Synced")


def test_a_contested_sync_is_deleted_at_once_and_its_successor_starts_uncontested(
    stage: Stage, reconciler: Process
) -> None:
    home, there = stage.namespace(), stage.namespace()
    content = stage.source(home)
    sync = stage.sync(home, "config", destinationNamespace=there)
    stage.copy_becomes(content, there)
    with resetting(stage, there, {"from": "git"}, "argocd-controller"):
        stage.ready_becomes(sync, "False", "Contested")

    stage.cluster.delete(sync)
    stage.copy_goes(there)
    wait_until(lambda: stage.cluster.find(sync) is None)
    again = stage.sync(home, "config", destinationNamespace=there)

    stage.copy_becomes(content, there)
    stage.ready_becomes(again, "True", "Synced")
