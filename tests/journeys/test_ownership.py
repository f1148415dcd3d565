"""An unmanaged object is never changed, whatever marks it carries."""

import json
from collections.abc import Callable
from typing import Any

from tests.journeys.stage import Stage, content_of
from tests.support.eventually import wait_until
from tests.support.processes import Process

PLACE = "apps.nishaf.info/destination"


def clone(stage: Stage, copy: Any, namespace: str) -> Any:
    """Clone a ConfigMap with its metadata, as `kubectl get -o yaml | kubectl apply -f -` does."""
    metadata = {part: copy["metadata"][part] for part in ("name", "labels", "annotations")} | {
        "namespace": namespace
    }
    document = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, **content_of(copy)}
    stage.cluster.kubectl("apply", "-f", "-", input=json.dumps(document))
    return stage.find(namespace)


def after_another_edit(stage: Stage, home: str, there: str) -> None:
    """Edit the source and wait until the reconciler has handled it."""
    content = stage.edit(home, "config", data={"key": "another"})
    stage.copy_becomes(content, there)


def test_a_clone_of_a_copy_is_never_touched_and_outlives_the_sync(
    stage: Stage, reconciler: Process
) -> None:
    home, there, elsewhere = stage.namespace(), stage.namespace(), stage.namespace()
    content = stage.source(home)
    sync = stage.sync(home, destinationNamespace=there)
    made = clone(stage, stage.copy_becomes(content, there), elsewhere)

    after_another_edit(stage, home, there)
    stage.cluster.delete(sync)
    stage.copy_goes(there)
    wait_until(lambda: stage.cluster.find(sync) is None)

    assert stage.find(elsewhere) == made


def test_a_clone_at_a_destination_is_a_conflict_until_adopted_and_is_released_at_the_end(
    stage: Stage, reconciler: Process
) -> None:
    home, there, elsewhere = stage.namespace(), stage.namespace(), stage.namespace()
    content = stage.source(home)
    sync = stage.sync(home, destinationNamespace=there)
    made = clone(stage, stage.copy_becomes(content, there), elsewhere)

    stage.edit_sync(sync, destinationNamespaces=[elsewhere])
    ready = stage.ready_becomes(sync, "False", "DestinationConflict")
    assert f'is a clone of the copy "{there}/config"' in ready["message"]
    after_another_edit(stage, home, there)
    assert stage.find(elsewhere) == made
    stage.edit_sync(sync, conflictPolicy="Adopt")

    stage.copy_becomes({"data": {"key": "another"}}, elsewhere)
    stage.ready_becomes(sync, "True", "Synced")
    stage.cluster.delete(sync)
    stage.copy_goes(there)
    wait_until(lambda: stage.cluster.find(sync) is None)
    left = stage.find(elsewhere) or {}
    assert left["metadata"]["uid"] == made["metadata"]["uid"]
    assert "labels" not in left["metadata"]
    assert not [key for key in left["metadata"].get("annotations", {}) if "nishaf" in key]


def test_a_conflict_with_a_clone_heals_when_the_clone_goes(
    stage: Stage, reconciler: Process
) -> None:
    home, there, elsewhere = stage.namespace(), stage.namespace(), stage.namespace()
    content = stage.source(home)
    sync = stage.sync(home, destinationNamespace=there)
    clone(stage, stage.copy_becomes(content, there), elsewhere)
    stage.edit_sync(sync, destinationNamespaces=[elsewhere])
    stage.ready_becomes(sync, "False", "DestinationConflict")

    stage.delete(elsewhere, "config")

    stage.copy_becomes(content, elsewhere)
    stage.ready_becomes(sync, "True", "Synced")


def test_a_conflict_with_the_clone_of_another_syncs_copy_heals_when_the_clone_goes(
    stage: Stage, reconciler: Process
) -> None:
    home, there, other, elsewhere = (stage.namespace() for _ in range(4))
    content, other_content = stage.source(home), stage.source(other, data={"from": "other"})
    stage.sync(home, destinationNamespace=there)
    clone(stage, stage.copy_becomes(content, there), elsewhere)
    sync = stage.sync(other, destinationNamespace=elsewhere)
    stage.ready_becomes(sync, "False", "DestinationConflict")

    stage.delete(elsewhere, "config")

    stage.copy_becomes(other_content, elsewhere)
    stage.ready_becomes(sync, "True", "Synced")


def test_the_destination_mark_is_restored_and_a_copy_without_it_is_released_at_the_end(
    stage: Stage, start_reconciler: Callable[..., Process]
) -> None:
    first = start_reconciler()
    home, there, also_there = stage.namespace(), stage.namespace(), stage.namespace()
    content = stage.source(home)
    sync = stage.sync(home, destinationNamespaces=[there, also_there])
    stage.copy_becomes(content, there)
    stage.copy_becomes(content, also_there)
    unmarked = {"annotations": {PLACE: None}}

    stage.edit(there, "config", metadata=unmarked)
    wait_until(
        lambda: (stage.find(there) or {})["metadata"]["annotations"].get(PLACE) == f"{there}/config"
    )
    first.kill()
    stage.edit(there, "config", metadata=unmarked)
    stage.cluster.delete(sync)
    start_reconciler()

    stage.copy_goes(also_there)
    wait_until(lambda: stage.cluster.find(sync) is None)
    left = stage.find(there) or {}
    assert content_of(left) == content
    assert "labels" not in left["metadata"]


def test_marks_with_the_uid_of_another_living_sync_change_no_owner(
    stage: Stage, reconciler: Process
) -> None:
    home, there, other, elsewhere = (stage.namespace() for _ in range(4))
    content, other_content = stage.source(home), stage.source(other)
    first = stage.sync(home, destinationNamespace=there)
    second = stage.sync(other, destinationNamespace=there, destinationConfigMapName="other")
    copy = stage.copy_becomes(content, there)
    uid = stage.copy_becomes(other_content, there, "other")["metadata"]["labels"][
        "apps.nishaf.info/sync-uid"
    ]
    labels = {**copy["metadata"]["labels"], "apps.nishaf.info/sync-uid": uid}
    annotations = {**copy["metadata"]["annotations"], PLACE: f"{elsewhere}/config"}
    forged = stage.cluster.create(
        f"/api/v1/namespaces/{elsewhere}/configmaps",
        {
            "metadata": {"name": "config", "labels": labels, "annotations": annotations},
            "data": {"theirs": "1"},
        },
    )

    for sync, name in ((first, "config"), (second, "other")):
        stage.cluster.delete(sync)
        stage.copy_goes(there, name)
        wait_until(lambda sync=sync: stage.cluster.find(sync) is None)  # type: ignore[misc]

    assert stage.find(elsewhere) == forged


def test_finalizers_owners_labels_and_annotations_of_others_survive_every_write_and_the_release(
    stage: Stage, reconciler: Process
) -> None:
    home, there = stage.namespace(), stage.namespace()
    stage.source(home)
    owner = stage.put_configmap(there, "owner")
    reference = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "name": "owner",
        "uid": owner["metadata"]["uid"],
    }
    foreign = stage.cluster.create(
        f"/api/v1/namespaces/{there}/configmaps",
        {
            "metadata": {
                "generateName": "config-",
                "name": "config",
                "finalizers": ["example.com/held"],
                "ownerReferences": [reference],
                "labels": {"app.kubernetes.io/managed-by": "Helm", "team": "theirs"},
                "annotations": {"meta.helm.sh/release-name": "r", "big": "x" * 50_000},
            },
            "data": {"existed": "before"},
        },
    )
    owned = {
        field: foreign["metadata"].get(field)
        for field in ("finalizers", "ownerReferences", "generateName")
    }
    sync = stage.sync(
        home,
        destinationNamespace=there,
        conflictPolicy="Adopt",
        deletionPolicy="Orphan",
        metadata={"labels": {"team": "web"}},
    )

    stage.copy_becomes({"data": {"key": "value"}}, there)
    content = stage.edit(home, "config", data={"key": "another"})
    copy = stage.copy_becomes(content, there)
    assert copy["metadata"]["labels"]["team"] == "web"
    assert {field: copy["metadata"].get(field) for field in owned} == owned
    stage.cluster.delete(sync)
    wait_until(lambda: stage.cluster.find(sync) is None)

    left = stage.find(there) or {}
    assert content_of(left) == content, "the data stays as the sync left it"
    assert {field: left["metadata"].get(field) for field in owned} == owned
    assert left["metadata"]["labels"] == foreign["metadata"]["labels"]
    assert left["metadata"]["annotations"] == foreign["metadata"]["annotations"]
    stage.edit(there, "config", metadata={"finalizers": None})


def test_a_copy_released_by_a_label_change_is_managed_again(
    stage: Stage, reconciler: Process
) -> None:
    home = stage.namespace()
    there = stage.namespace(labels={"wants": stage.tag})
    content = stage.source(home)
    sync = stage.sync(
        home,
        destinationNamespaceSelector={"matchLabels": {"wants": stage.tag}},
        deletionPolicy="Orphan",
    )
    uid = stage.copy_becomes(content, there)["metadata"]["uid"]
    path = f"/api/v1/namespaces/{there}"

    stage.cluster.patch(path, {"metadata": {"labels": {"wants": None}}})
    wait_until(lambda: "labels" not in (stage.find(there) or {})["metadata"])
    content = stage.edit(home, "config", data={"key": "another"})
    stage.cluster.patch(path, {"metadata": {"labels": {"wants": stage.tag}}})

    assert stage.copy_becomes(content, there)["metadata"]["uid"] == uid
    stage.ready_becomes(sync, "True", "Synced")
