"""A changed spec leaves no gap, no leftover copy, and blocks nothing."""

from typing import Any

import pytest

from tests.journeys.faults import Faults
from tests.journeys.stage import Stage, content_of
from tests.support.eventually import wait_until
from tests.support.processes import Process

POLICY = "apps.nishaf.info/deletion-policy"
DISABLED = {"metadata": {"labels": {"apps.nishaf.info/sync": "disabled"}}}
ENABLED = {"metadata": {"labels": {"apps.nishaf.info/sync": None}}}


def annotations(stage: Stage, namespace: str, name: str = "config") -> dict[str, str]:
    """Return the annotations of a ConfigMap; empty if it does not exist."""
    found: dict[str, str] = (stage.find(namespace, name) or {"metadata": {}})["metadata"].get(
        "annotations", {}
    )
    return found


def test_a_renamed_copy_is_created_before_the_former_is_deleted(
    stage: Stage, reconciler: Process
) -> None:
    _, there, content, sync = stage.one_copy()

    for previous, name in (("config", "renamed"), ("renamed", "again"), ("again", "config")):
        stage.edit_sync(sync, destinationConfigMapName=name)
        stage.copy_goes(there, previous)
        assert content_of(stage.find(there, name) or {}) == content


def test_a_copy_keeps_its_former_name_while_the_new_one_is_taken(
    stage: Stage, reconciler: Process
) -> None:
    home, there = stage.namespace(), stage.namespace()
    stage.source(home)
    foreign = stage.put_configmap(there, "taken", data={"theirs": "1"})
    sync = stage.sync(home, destinationNamespace=there)
    stage.copy_becomes({"data": {"key": "value"}}, there)

    stage.edit_sync(sync, destinationConfigMapName="taken")
    stage.ready_becomes(sync, "False", "DestinationConflict")
    assert stage.find(there) is not None
    assert stage.find(there, "taken") == foreign
    stage.delete(there, "taken")

    stage.copy_becomes({"data": {"key": "value"}}, there, "taken")
    stage.copy_goes(there)
    stage.ready_becomes(sync, "True", "Synced")


def test_a_namespace_that_is_excluded_loses_its_copy_and_gets_it_back(
    stage: Stage, reconciler: Process
) -> None:
    home, there, also_there = stage.namespace(), stage.namespace(), stage.namespace()
    content = stage.source(home)
    sync = stage.sync(home, destinationNamespaces=[there, also_there])
    stage.copy_becomes(content, there)

    stage.edit_sync(sync, excludedNamespaces=[there])
    stage.copy_goes(there)
    assert stage.ready_becomes(sync, "True", "Synced")["message"] == "1 copy is up to date"
    stage.edit_sync(sync, excludedNamespaces=[])

    stage.copy_becomes(content, there)
    stage.copy_becomes(content, also_there)


def test_a_changed_source_updates_the_copy_in_place(stage: Stage, reconciler: Process) -> None:
    home, other, there = stage.namespace(), stage.namespace(), stage.namespace()
    content, other_content = (
        stage.source(home),
        stage.source(other, "another", data={"from": "another"}),
    )
    sync = stage.sync(home, destinationNamespace=there, destinationConfigMapName="copy")
    uid = stage.copy_becomes(content, there, "copy")["metadata"]["uid"]

    stage.edit_sync(sync, sourceNamespace=other, configMapName="another")

    copy = stage.copy_becomes(other_content, there, "copy")
    assert copy["metadata"]["uid"] == uid
    assert copy["metadata"]["annotations"]["apps.nishaf.info/source"] == f"{other}/another"


def test_a_changed_deletion_policy_is_marked_on_the_copies_and_applied(
    stage: Stage, reconciler: Process
) -> None:
    home, there = stage.namespace(), stage.namespace()
    content = stage.source(home)
    sync = stage.sync(home, destinationNamespace=there)
    assert stage.copy_becomes(content, there)["metadata"]["annotations"][POLICY] == "Delete"

    stage.edit_sync(sync, deletionPolicy="Orphan")
    wait_until(lambda: annotations(stage, there).get(POLICY) == "Orphan")
    stage.cluster.delete(sync)

    wait_until(lambda: stage.cluster.find(sync) is None)
    assert content_of(stage.find(there) or {}) == content
    assert POLICY not in annotations(stage, there)


def test_changes_during_a_suspension_are_carried_out_at_its_end(
    stage: Stage, reconciler: Process
) -> None:
    home, there, later = stage.namespace(), stage.namespace(), stage.namespace()
    content = stage.source(home)
    sync = stage.sync(home, destinationNamespace=there)
    stage.copy_becomes(content, there)
    stage.edit_sync(sync, suspend=True)
    stage.ready_becomes(sync, "True", "Suspended")

    stage.edit(there, "config", data={"by-hand": "1"})
    stage.edit_sync(sync, destinationNamespaces=[later])
    newer = stage.edit(home, "config", data={"key": "newer"})
    stage.ready_becomes(sync, "True", "Suspended")
    stage.assert_idle(0.5)
    assert (stage.find(there) or {})["data"] == {"by-hand": "1", "key": "value"}
    assert stage.find(later) is None
    stage.edit_sync(sync, suspend=False)

    stage.copy_becomes(newer, there)
    stage.copy_becomes(newer, later)
    stage.ready_becomes(sync, "True", "Synced")


def test_a_suspended_sync_that_is_deleted_cleans_up(stage: Stage, reconciler: Process) -> None:
    home, there = stage.namespace(), stage.namespace()
    sync = stage.sync(home, destinationNamespace=there)
    stage.copy_becomes(stage.source(home), there)
    stage.edit_sync(sync, suspend=True)
    stage.ready_becomes(sync, "True", "Suspended")

    stage.cluster.delete(sync)

    stage.copy_goes(there)
    wait_until(lambda: stage.cluster.find(sync) is None)


def test_a_namespace_that_opts_out_keeps_its_adopted_configmap_and_is_served_again_when_it_opts_in(
    stage: Stage, reconciler: Process
) -> None:
    home, there, taken = stage.namespace(), stage.namespace(), stage.namespace()
    content = stage.source(home)
    uid = stage.put_configmap(taken, "config", data={"existed": "before"})["metadata"]["uid"]
    sync = stage.sync(home, destinationNamespaces=[there, taken], conflictPolicy="Adopt")
    stage.copy_becomes(content, there)
    stage.copy_becomes(content, taken)

    for namespace in (there, taken):
        stage.cluster.patch(f"/api/v1/namespaces/{namespace}", DISABLED)
    stage.copy_goes(there)
    wait_until(lambda: not annotations(stage, taken))
    assert (stage.find(taken) or {})["metadata"]["uid"] == uid
    stage.ready_becomes(sync, "False", "NamespaceDisabled")
    for namespace in (there, taken):
        stage.cluster.patch(f"/api/v1/namespaces/{namespace}", ENABLED)

    stage.copy_becomes(content, there)
    stage.copy_becomes(content, taken)
    stage.ready_becomes(sync, "True", "Synced")


@pytest.mark.controllers
def test_a_sync_and_the_namespaces_of_its_copies_can_be_deleted_together(
    stage: Stage, reconciler: Process
) -> None:
    home, spaces = stage.namespace(), [stage.namespace() for _ in range(5)]
    content = stage.source(home)
    sync = stage.sync(home, destinationNamespaces=spaces)
    for namespace in spaces:
        stage.copy_becomes(content, namespace)

    for namespace in spaces:
        stage.cluster.delete(f"/api/v1/namespaces/{namespace}")
    stage.cluster.delete(sync)

    wait_until(lambda: stage.cluster.find(sync) is None)
    for namespace in spaces:
        wait_until(
            lambda path=f"/api/v1/namespaces/{namespace}": stage.cluster.find(path) is None, 60
        )  # type: ignore[misc]


@pytest.mark.controllers
def test_a_namespace_stuck_in_deletion_does_not_block_the_deletion_of_a_sync(
    stage: Stage, reconciler: Process
) -> None:
    _, stuck, _, sync = stage.one_copy()
    held = stage.put_configmap(stuck, "held", data={})["metadata"]["name"]
    stage.edit(stuck, held, metadata={"finalizers": ["example.com/held"]})
    stage.cluster.delete(f"/api/v1/namespaces/{stuck}")
    stage.ready_becomes(sync, "False", "NamespaceTerminating")

    stage.cluster.delete(sync)

    wait_until(lambda: stage.cluster.find(sync) is None)
    stage.edit(stuck, held, metadata={"finalizers": None})


def test_a_copy_with_another_finalizer_does_not_block_the_deletion_of_a_sync(
    stage: Stage, reconciler: Process
) -> None:
    _, there, _, sync = stage.one_copy()
    stage.edit(there, "config", metadata={"finalizers": ["example.com/held"]})

    stage.cluster.delete(sync)

    wait_until(lambda: stage.cluster.find(sync) is None)
    assert "deletionTimestamp" in (stage.find(there) or {})["metadata"]
    stage.edit(there, "config", metadata={"finalizers": None})


def test_a_sync_without_a_copy_can_be_deleted_while_no_reconciler_runs(
    stage: Stage, start_reconciler: Any
) -> None:
    home = stage.namespace()
    first = start_reconciler()
    sync = stage.sync(home, destinationNamespace="nowhere")
    stage.ready_becomes(sync, "False", "SourceNotFound")
    first.kill()

    stage.cluster.delete(sync)

    assert stage.cluster.find(sync) is None


@pytest.mark.only_on("devcluster")
def test_a_sync_whose_copy_may_not_be_removed_reports_it_and_goes_when_it_may(
    stage: Stage, reconciler: Process, fault: Faults
) -> None:
    home, there, closed = stage.namespace(), stage.namespace(), stage.namespace()
    content = stage.source(home)
    sync = stage.sync(home, destinationNamespaces=[there, closed])
    stage.copy_becomes(content, there)
    stage.copy_becomes(content, closed)
    fault("fail", verb="delete", resource="configmaps", namespace=closed, status=403)

    stage.cluster.delete(sync)

    stage.copy_goes(there)
    ready = wait_until(lambda: _ready_because(stage, sync, "WriteFailed"))
    assert closed in ready["message"]
    assert stage.find(closed) is not None
    fault.clear()
    wait_until(lambda: stage.cluster.find(sync) is None, within=30)
    assert stage.find(closed) is None


def _ready_because(stage: Stage, sync: str, reason: str) -> Any:
    ready = stage.condition(sync)
    assert ready.get("reason") == reason
    return ready


@pytest.mark.controllers
@pytest.mark.only_on("devcluster")
def test_a_namespace_deleted_during_a_write_is_served_when_it_is_recreated(
    stage: Stage, reconciler: Process, fault: Faults
) -> None:
    home, there, other = stage.namespace(), stage.namespace(), stage.namespace()
    content = stage.source(home)
    fault("delay", verb="create", resource="configmaps", namespace=there, seconds=1, times=1)
    sync = stage.sync(home, destinationNamespaces=[there, other])
    stage.copy_becomes(content, other)

    stage.cluster.delete(f"/api/v1/namespaces/{there}")

    wait_until(lambda: stage.cluster.find(f"/api/v1/namespaces/{there}") is None)
    stage.ready_becomes(sync, "False", "NamespaceNotFound")
    stage.cluster.add_namespace(there)
    stage.copy_becomes(content, there)
    stage.ready_becomes(sync, "True", "Synced")
