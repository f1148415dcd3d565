"""Content of every kind: immutable copies are replaced, oversized ones are reported."""

from collections.abc import Callable
from typing import Any

import pytest

from tests.journeys.faults import Faults
from tests.journeys.stage import Stage, content_of, encoded
from tests.support.eventually import wait_until
from tests.support.processes import Process

FIXED = {"data": {"a": "1"}, "immutable": True}


def replace_source(stage: Stage, home: str, **parts: Any) -> dict[str, Any]:
    """Delete and create an immutable source, the only way to change it."""
    stage.delete(home, "config")
    return stage.source(home, **parts)


def test_a_copy_follows_its_source_into_immutability_and_out_of_it(
    stage: Stage, reconciler: Process
) -> None:
    home, there = stage.namespace(), stage.namespace()
    stage.source(home, data={"a": "1"})
    sync = stage.sync(home, destinationNamespace=there)
    mutable = stage.copy_becomes({"data": {"a": "1"}}, there)["metadata"]["uid"]

    stage.edit(home, "config", immutable=True)
    assert stage.copy_becomes(FIXED, there)["metadata"]["uid"] == mutable
    replace_source(stage, home, data={"a": "1"})

    stage.copy_becomes({"data": {"a": "1"}}, there)
    stage.ready_becomes(sync, "True", "Synced")


def test_a_copy_that_a_user_made_immutable_is_replaced(stage: Stage, reconciler: Process) -> None:
    _, there, content, sync = stage.one_copy()

    stage.edit(there, "config", data={"key": "frozen by hand"}, immutable=True)

    stage.copy_becomes(content, there)
    stage.ready_becomes(sync, "True", "Synced")


def test_an_adopted_copy_that_cannot_be_changed_is_reported_and_not_deleted(
    stage: Stage, reconciler: Process
) -> None:
    home, there = stage.namespace(), stage.namespace()
    stage.put_configmap(there, "config", data={"existed": "before"})
    stage.source(home, **FIXED)
    sync = stage.sync(home, destinationNamespace=there, conflictPolicy="Adopt")
    uid = stage.copy_becomes(FIXED, there)["metadata"]["uid"]

    newer = replace_source(stage, home, data={"a": "2"}, immutable=True)

    ready = stage.ready_becomes(sync, "False", "DestinationConflict")
    assert "is immutable and was adopted" in ready["message"]
    assert (stage.find(there) or {})["metadata"]["uid"] == uid
    stage.delete(there, "config")
    stage.copy_becomes(newer, there)
    stage.ready_becomes(sync, "True", "Synced")


def test_an_immutable_configmap_in_the_way_is_not_adopted(
    stage: Stage, reconciler: Process
) -> None:
    home, there = stage.namespace(), stage.namespace()
    stage.source(home)
    foreign = stage.put_configmap(there, "config", data={"theirs": "1"}, immutable=True)
    sync = stage.sync(home, destinationNamespace=there, conflictPolicy="Adopt")

    ready = stage.ready_becomes(sync, "False", "DestinationConflict")

    assert "is immutable: it cannot be adopted" in ready["message"]
    assert stage.find(there) == foreign


@pytest.mark.only_on("devcluster")
def test_a_reconciler_killed_between_deleting_and_making_an_immutable_copy_heals(
    stage: Stage, start_reconciler: Callable[..., Process], fault: Faults
) -> None:
    first = start_reconciler()
    home, there = stage.namespace(), stage.namespace()
    stage.source(home, **FIXED)
    sync = stage.sync(home, destinationNamespace=there)
    stage.copy_becomes(FIXED, there)
    stage.ready_becomes(sync, "True", "Synced")
    fault("delay", verb="create", resource="configmaps", namespace=there, seconds=5, skip=1)
    newer = replace_source(stage, home, data={"a": "2"}, immutable=True)
    wait_until(lambda: stage.find(there) is None)

    first.kill()
    fault.clear()
    start_reconciler()

    stage.copy_becomes(newer, there)
    stage.ready_becomes(sync, "True", "Synced")


@pytest.mark.only_on("devcluster")
def test_a_configmap_created_while_an_immutable_copy_is_replaced_stays_unmanaged(
    stage: Stage, reconciler: Process, fault: Faults
) -> None:
    home, there = stage.namespace(), stage.namespace()
    stage.source(home, **FIXED)
    sync = stage.sync(home, destinationNamespace=there)
    stage.copy_becomes(FIXED, there)
    # The first create is a dry run, the second creates the new copy, the third restores the old
    # one, and all others are retries.
    fault("fail", verb="create", resource="configmaps", namespace=there, status=500, skip=1)
    replace_source(stage, home, data={"a": "2"}, immutable=True)
    wait_until(lambda: stage.find(there) is None)
    stage.edit_sync(sync, suspend=True)
    stage.ready_becomes(sync, "True", "Suspended")

    fault.clear()
    foreign = stage.put_configmap(there, "config", data={"theirs": "1"})
    stage.edit_sync(sync, suspend=False)

    stage.ready_becomes(sync, "False", "DestinationConflict")
    assert stage.find(there) == foreign


OTHERS = {
    "labels": {"theirs": "1"},
    "annotations": {"example.com/note": "2"},
    "ownerReferences": [
        {"apiVersion": "v1", "kind": "ConfigMap", "name": "kube-root-ca.crt", "uid": "0"}
    ],
}


@pytest.mark.only_on("devcluster")
@pytest.mark.parametrize(
    ("skip", "times"),
    [pytest.param(0, 1000, id="asked first"), pytest.param(1, 1, id="refused all the same")],
)
def test_an_immutable_copy_stays_while_its_replacement_is_refused_and_follows_when_it_is_admitted(
    stage: Stage, reconciler: Process, fault: Faults, skip: int, times: int
) -> None:
    home, there = stage.namespace(), stage.namespace()
    stage.source(home, **FIXED)
    sync = stage.sync(home, destinationNamespace=there)
    stage.copy_becomes(FIXED, there)
    owner = stage.find(there, "kube-root-ca.crt")
    others = {
        **OTHERS,
        "ownerReferences": [{**OTHERS["ownerReferences"][0], "uid": owner["metadata"]["uid"]}],
    }  # type: ignore[index]
    stage.edit(there, "config", metadata=others)
    stage.ready_becomes(sync, "True", "Synced")
    fault(
        "fail",
        verb="create",
        resource="configmaps",
        namespace=there,
        status=422,
        message="denied",
        skip=skip,
        times=times,
    )

    newer = replace_source(stage, home, data={"a": "2"}, immutable=True)

    wait_until(lambda: "refused by an admission policy (422" in reconciler.output())
    wait_until(lambda: content_of(stage.find(there) or {}) in (FIXED, newer))
    fault.clear()
    copy = stage.copy_becomes(newer, there, within=30)
    assert copy["metadata"]["labels"]["theirs"] == "1"
    assert copy["metadata"]["annotations"]["example.com/note"] == "2"
    assert copy["metadata"]["ownerReferences"] == others["ownerReferences"]
    stage.ready_becomes(sync, "True", "Synced")


def test_a_key_moves_between_data_and_binary_data(stage: Stage, reconciler: Process) -> None:
    home, there = stage.namespace(), stage.namespace()
    stage.source(home, data={"key": "text"}, binaryData={"blob": encoded(b"\x00\xff")})
    sync = stage.sync(home, destinationNamespace=there)
    stage.copy_becomes(
        {"data": {"key": "text"}, "binaryData": {"blob": encoded(b"\x00\xff")}}, there
    )

    content = stage.edit(
        home,
        "config",
        data={"key": None, "blob": "now text"},
        binaryData={"blob": None, "key": encoded(b"\x01\xfe")},
    )

    assert stage.copy_becomes(content, there)
    stage.ready_becomes(sync, "True", "Synced")


def test_keys_added_and_removed_at_the_source_are_added_and_removed_in_the_copy(
    stage: Stage, reconciler: Process
) -> None:
    home, there = stage.namespace(), stage.namespace()
    stage.source(
        home, data={"app.yaml": "1", "other": "2"}, binaryData={"app.bin": encoded(b"\xff")}
    )
    keys = [{"key": "app.*"}, {"key": "other", "as": "renamed"}]
    sync = stage.sync(home, destinationNamespace=there, keys=keys)
    blob = {"binaryData": {"app.bin": encoded(b"\xff")}}
    stage.copy_becomes({"data": {"app.yaml": "1", "renamed": "2"}, **blob}, there)

    stage.edit(
        home, "config", data={"app.json": "3", "app.yaml": None, "other": None, "unwanted": "4"}
    )

    stage.copy_becomes({"data": {"app.json": "3"}, **blob}, there)
    stage.ready_becomes(sync, "True", "Synced")


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ([{"key": "a", "as": "z"}, {"key": "b", "as": "z"}], "z"),
        ([{"key": "a"}, {"key": "b", "as": "a"}], "a"),
        ([{"key": "*.yaml", "as": "z"}], "glob"),
    ],
)
def test_renames_that_collide_are_refused(
    stage: Stage, reconciler: Process, keys: list[dict[str, str]], message: str
) -> None:
    home, there = stage.namespace(), stage.namespace()
    stage.source(home, data={"a": "1", "b": "2"})
    document = {
        "apiVersion": "apps.nishaf.info/v1",
        "kind": "ConfigMapSync",
        "metadata": {"name": "colliding", "namespace": home},
        "spec": {"configMapName": "config", "destinationNamespace": there, "keys": keys},
    }
    path = f"/apis/apps.nishaf.info/v1/namespaces/{home}/configmapsyncs"
    answer = stage.cluster.request("POST", path, document)
    if answer.status == 422:  # the schema refuses it already
        assert "spec.keys" in answer.text
        return

    ready = stage.ready_becomes(f"{path}/colliding", "False", "InvalidSpec")
    assert "spec.keys" in ready["message"]
    assert message in ready["message"]
    assert stage.find(there) is None
    stage.cluster.delete(f"{path}/colliding")


def test_a_copy_that_would_be_too_large_is_reported_and_heals_when_it_shrinks(
    stage: Stage, reconciler: Process
) -> None:
    """The source is within every limit; the copy with its marks beside the annotations is not."""
    home, there, plain = stage.namespace(), stage.namespace(), stage.namespace()
    content = stage.source(home)
    stage.edit(home, "config", metadata={"annotations": {"notes": "x" * 262_000}})
    sync = stage.sync(home, destinationNamespace=there, copyMetadata={"annotations": ["notes"]})
    stage.sync(home, destinationNamespace=plain)

    ready = stage.ready_becomes(sync, "False", "TooLarge")
    assert stage.condition(sync, "Stalled")["status"] == "True"
    assert len(ready["message"]) <= 1024
    stage.copy_becomes(content, plain)
    stage.edit(home, "config", metadata={"annotations": {"notes": "short"}})

    assert stage.copy_becomes(content, there)["metadata"]["annotations"]["notes"] == "short"
    stage.ready_becomes(sync, "True", "Synced")


def test_a_copy_that_outgrows_the_limits_keeps_its_last_content(
    stage: Stage, reconciler: Process
) -> None:
    home, there, content, sync = stage.one_copy(copyMetadata={"annotations": ["notes"]})

    stage.edit(
        home, "config", data={"key": "newer"}, metadata={"annotations": {"notes": "x" * 262_000}}
    )

    stage.ready_becomes(sync, "False", "TooLarge")
    assert content_of(stage.find(there) or {}) == content
