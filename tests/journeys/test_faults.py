"""An API server that fails, hangs, forgets or stops costs no edit.

A failing destination delays no other. These tests run on devcluster alone, because only
it fails on demand.
"""

import json
from collections.abc import Callable
from typing import Any

import pytest

from tests.journeys.faults import Faults, stop_for
from tests.journeys.stage import Stage
from tests.journeys.test_authorization import grant
from tests.support.eventually import wait_until
from tests.support.processes import Process

pytestmark = pytest.mark.only_on("devcluster")


@pytest.mark.parametrize(
    ("status", "reason"),
    [(403, "WriteFailed"), (500, "WriteFailed"), (413, "TooLarge"), (429, "WriteFailed")],
)
def test_one_destination_that_always_fails_delays_no_other(
    stage: Stage, reconciler: Process, fault: Faults, status: int, reason: str
) -> None:
    home, bad, good = stage.namespace(), stage.namespace("a-bad"), stage.namespace("z-good")
    stage.source(home)
    fault("fail", verb="write", resource="configmaps", namespace=bad, status=status)
    sync = stage.sync(home, destinationNamespaces=[bad, good])

    stage.copy_becomes({"data": {"key": "value"}}, good)
    assert bad in stage.ready_becomes(sync, "False", reason)["message"]
    for number in range(3):
        content = stage.edit(home, "config", data={"key": str(number)})
        stage.copy_becomes(content, good)
    fault.clear()
    stage.edit_sync(sync, suspend=True)
    # An edit is retried at once, whatever the backoff is.
    stage.edit_sync(sync, suspend=False)

    stage.copy_becomes(content, bad)
    stage.ready_becomes(sync, "True", "Synced")


def test_one_destination_that_hangs_delays_no_other(
    stage: Stage, reconciler: Process, fault: Faults
) -> None:
    home, slow, good = stage.namespace(), stage.namespace("a-slow"), stage.namespace("z-good")
    stage.source(home)
    fault("delay", verb="create", resource="configmaps", namespace=slow, seconds=15, times=1)
    stage.sync(home, destinationNamespaces=[slow, good])
    stage.copy_becomes({"data": {"key": "value"}}, good)

    content = stage.edit(home, "config", data={"key": "newer"})

    stage.copy_becomes(content, good, within=10)
    assert stage.find(slow) is None
    stage.copy_becomes(content, slow, within=30)


def test_retries_back_off(stage: Stage, reconciler: Process, fault: Faults) -> None:
    home, bad = stage.namespace(), stage.namespace()
    stage.source(home)
    fault("fail", verb="create", resource="configmaps", namespace=bad, status=500)
    sync = stage.sync(home, destinationNamespace=bad)
    stage.ready_becomes(sync, "False", "WriteFailed")

    delays = wait_until(lambda: _delays(reconciler, at_least=5))

    assert delays == sorted(delays)
    assert delays[-1] >= 8 * delays[0]


def _delays(process: Process, at_least: int) -> list[float]:
    whole = process.output().rpartition("\n")[0].splitlines()
    delays = [json.loads(line)["retry_in"] for line in whole if "write failed" in line]
    assert len(delays) >= at_least
    return delays


def test_a_write_that_succeeds_without_an_answer_is_not_repeated(
    stage: Stage, reconciler: Process, fault: Faults
) -> None:
    home, there = stage.namespace(), stage.namespace()
    content = stage.source(home)
    fault("drop", verb="create", resource="configmaps", namespace=there, times=1)
    sync = stage.sync(home, destinationNamespace=there)

    copy = stage.copy_becomes(content, there)

    stage.ready_becomes(sync, "True", "Synced")
    assert stage.find(there)["metadata"]["uid"] == copy["metadata"]["uid"]  # type: ignore[index]
    stage.assert_idle()


@pytest.mark.parametrize("status", [404, 409, 410, 422, 429])
def test_a_denial_by_a_webhook_is_retried_with_backoff_for_every_status(
    stage: Stage, reconciler: Process, fault: Faults, status: int
) -> None:
    home, there = stage.namespace(), stage.namespace()
    content = stage.source(home)
    message = 'admission webhook "policy.example.com" denied the request: the value is too long'
    fault(
        "fail", verb="write", resource="configmaps", namespace=there, status=status, message=message
    )
    sync = stage.sync(home, destinationNamespace=there)

    message = stage.ready_becomes(sync, "False", "WriteFailed")["message"]
    assert 'refused by admission webhook "policy.example.com"' in message
    assert "too long" not in message
    delays = wait_until(lambda: _delays(reconciler, at_least=4)[:4])
    assert delays == sorted(delays)
    fault.clear()

    stage.copy_becomes(content, there)


@pytest.mark.parametrize("action", ["delay", "drop"])
def test_a_sync_that_is_deleted_while_its_copy_is_being_created_leaves_no_copy(
    stage: Stage, reconciler: Process, fault: Faults, action: str
) -> None:
    home, there = stage.namespace(), stage.namespace()
    stage.source(home)
    fault(action, verb="create", resource="configmaps", namespace=there, times=1, seconds=3)
    sync = stage.sync(home, destinationNamespace=there)
    wait_until(lambda: any(fault.hits()))

    stage.cluster.delete(sync)

    wait_until(lambda: stage.cluster.find(sync) is None, 15)
    assert stage.find(there) is None
    stage.assert_idle()
    assert stage.find(there) is None


def test_broken_watches_and_a_compacted_history_cost_no_edit(
    stage: Stage, reconciler: Process, fault: Faults
) -> None:
    home, there = stage.namespace(), stage.namespace()
    stage.source(home)
    stage.sync(home, destinationNamespace=there)
    stage.copy_becomes({"data": {"key": "value"}}, there)

    fault("cut", verb="watch", times=1)
    content = stage.edit(home, "config", data={"key": "while cut"})
    stage.delete(there, "config")
    stage.cluster.create("/devcluster/compact", {})
    fault.clear()

    stage.copy_becomes(content, there)


def test_an_api_server_that_restarts_costs_no_edit(stage: Stage, reconciler: Process) -> None:
    home, there = stage.namespace(), stage.namespace()
    stage.source(home)
    stage.sync(home, destinationNamespace=there)
    stage.copy_becomes({"data": {"key": "value"}}, there)

    stop_for(stage.cluster, 1)
    content = wait_until(lambda: _edit_when_it_answers(stage, home))

    stage.copy_becomes(content, there)


def _edit_when_it_answers(stage: Stage, home: str) -> Any:
    try:
        return stage.edit(home, "config", data={"key": "after the restart"})
    except OSError as error:
        raise AssertionError("not back yet") from error


@pytest.mark.parametrize("skip", range(8))
def test_a_reconciler_killed_between_any_two_writes_leaves_nothing_behind(
    stage: Stage, start_reconciler: Callable[..., Process], fault: Faults, skip: int
) -> None:
    home, here, there = stage.namespace(), stage.namespace(), stage.namespace()
    content = stage.source(home)
    fault("delay", verb="write", skip=skip, seconds=5, times=1)
    first = start_reconciler("--parallel-writes", "1")
    sync = stage.sync(home, destinationNamespaces=[here, there])
    # The test's own writes count as well.
    wait_until(lambda: any(hits > skip for hits in fault.hits()) or _is_ready(stage, sync))
    first.kill()
    fault.clear()
    start_reconciler()

    stage.copy_becomes(content, here)
    stage.copy_becomes(content, there)
    stage.ready_becomes(sync, "True", "Synced")
    stage.assert_idle(0.5)
    stage.cluster.delete(sync)
    stage.copy_goes(here)
    stage.copy_goes(there)


def _is_ready(stage: Stage, sync: str) -> bool:
    return stage.condition(sync).get("status") == "True"


def test_copies_stay_while_the_rights_of_a_service_account_cannot_be_checked(
    stage: Stage, start_reconciler: Callable[..., Process], fault: Faults
) -> None:
    process = start_reconciler("--authorization-interval", "1")
    home, there = stage.namespace(), stage.namespace()
    content = stage.source(home)
    stage.service_account(home)
    grant(stage.cluster, home, home, "get")
    grant(stage.cluster, home, there, "create", "update", "delete")
    sync = stage.sync(home, destinationNamespace=there, serviceAccountName="robot")
    uid = stage.copy_becomes(content, there)["metadata"]["uid"]
    stage.ready_becomes(sync, "True", "Synced")
    fault("fail", verb="create", resource="subjectaccessreviews", status=500)
    process.wait_for_line("reconcile failed")
    wait_until(lambda: process.output().count("reconcile failed") > 3)

    assert (stage.find(there) or {})["metadata"]["uid"] == uid
    fault.clear()
    content = stage.edit(home, "config", data={"key": "after"})

    stage.copy_becomes(content, there)
    stage.ready_becomes(sync, "True", "Synced")


def test_an_unreadable_source_is_copied_once_it_is_readable(
    stage: Stage, start_reconciler: Callable[..., Process], fault: Faults
) -> None:
    home, there = stage.namespace(), stage.namespace()
    content = stage.source(home)
    # The list passes the source before the sync exists. A later event could bring the content.
    start_reconciler("--authorization-interval", "1")
    fault("fail", verb="get", resource="configmaps", namespace=home, status=403)
    sync = stage.sync(home, destinationNamespace=there)
    stage.ready_becomes(sync, "False", "NotAuthorized")

    fault.clear()

    stage.copy_becomes(content, there)
    stage.ready_becomes(sync, "True", "Synced")
