"""Copies without their sync: a finalizer removed by force, a restore in any order.

Restored objects have new UIDs.
"""

import signal
from collections.abc import Callable
from typing import Any

from tests.journeys.stage import Stage, content_of
from tests.journeys.test_ownership import after_another_edit, clone
from tests.support.eventually import wait_until
from tests.support.processes import Process

SHORT_GRACE = ("--orphan-grace", "2")
UID = "apps.nishaf.info/sync-uid"


def remove_by_force(stage: Stage, sync: str) -> None:
    """Delete a sync and remove its finalizer, as users do to a stuck resource."""
    stage.cluster.patch(sync, {"metadata": {"finalizers": None}})
    stage.cluster.delete(sync)
    assert stage.cluster.find(sync) is None


def restore(stage: Stage, saved: Any, **marks: str) -> Any:
    """Create an object again as a backup tool does: with a new UID, version and times."""
    metadata = {part: saved["metadata"].get(part) for part in ("name", "namespace", "annotations")}
    metadata["labels"] = saved["metadata"]["labels"] | marks
    namespace = metadata["namespace"]
    document = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, **content_of(saved)}
    return stage.cluster.create(f"/api/v1/namespaces/{namespace}/configmaps", document)


def wait_for_another_sync(stage: Stage) -> None:
    """Wait until another sync is served from beginning to end."""
    home, there = stage.namespace(), stage.namespace()
    stage.source(home)
    stage.sync(home, destinationNamespace=there)
    after_another_edit(stage, home, there)


def test_copies_of_a_sync_removed_by_force_follow_the_deletion_policy_in_their_marks(
    stage: Stage, start_reconciler: Callable[..., Process]
) -> None:
    first = start_reconciler(*SHORT_GRACE)
    home, there, taken, elsewhere = (stage.namespace() for _ in range(4))
    content = stage.source(home)
    stage.put_configmap(taken, "config", data={"existed": "before"})
    deleting = stage.sync(home, destinationNamespaces=[there, taken], conflictPolicy="Adopt")
    orphaning = stage.sync(
        home, destinationNamespace=there, destinationConfigMapName="kept", deletionPolicy="Orphan"
    )
    copy = stage.copy_becomes(content, there)
    stage.copy_becomes(content, there, "kept")
    stage.copy_becomes(content, taken)
    made = clone(stage, copy, elsewhere)
    first.kill()
    remove_by_force(stage, deleting)
    remove_by_force(stage, orphaning)

    start_reconciler(*SHORT_GRACE)

    stage.copy_goes(there)
    for namespace, name in ((there, "kept"), (taken, "config")):
        wait_until(lambda at=(namespace, name): "labels" not in (stage.find(*at) or {})["metadata"])  # type: ignore[misc]
        assert content_of(stage.find(namespace, name) or {}) == content
    assert stage.find(elsewhere) == made


def test_copies_of_a_sync_removed_by_force_are_handled_by_a_reconciler_that_saw_it_go(
    stage: Stage, start_reconciler: Callable[..., Process]
) -> None:
    process = start_reconciler(*SHORT_GRACE)
    home, there = stage.namespace(), stage.namespace()
    sync = stage.sync(home, destinationNamespace=there)
    stage.copy_becomes(stage.source(home), there)
    stage.ready_becomes(sync, "True", "Synced")

    # It would restore its finalizer.
    process.send(signal.SIGSTOP)
    remove_by_force(stage, sync)
    process.send(signal.SIGCONT)

    process.wait_for_line("copies without a sync")
    stage.copy_goes(there)


def test_copies_that_come_back_before_their_sync_wait_for_it(
    stage: Stage, start_reconciler: Callable[..., Process]
) -> None:
    first = start_reconciler()
    home, there, also_there = (stage.namespace() for _ in range(3))
    content = stage.source(home)
    sync = stage.sync(home, "back", destinationNamespaces=[there, also_there])
    saved = [stage.copy_becomes(content, namespace) for namespace in (there, also_there)]
    first.kill()
    remove_by_force(stage, sync)
    for copy in saved:
        stage.delete(copy["metadata"]["namespace"], "config")
    second = start_reconciler()
    restored = [restore(stage, copy) for copy in saved]
    second.wait_for_line("copies without a sync")
    wait_for_another_sync(stage)
    assert [stage.find(namespace) for namespace in (there, also_there)] == restored

    again = stage.sync(home, "back", destinationNamespaces=[there, also_there])

    stage.ready_becomes(again, "True", "Synced")
    for before in restored:
        now = stage.find(before["metadata"]["namespace"]) or {}
        assert now["metadata"]["uid"] == before["metadata"]["uid"]
        assert now["metadata"]["labels"][UID] == stage.cluster.get(again)["metadata"]["uid"]
        assert content_of(now) == content


def test_a_sync_that_is_restored_first_takes_its_former_copies_back(
    stage: Stage, start_reconciler: Callable[..., Process]
) -> None:
    """A copy that the sync no longer selects is deleted as if the sync had always existed."""
    first = start_reconciler()
    home, there, also_there = (stage.namespace() for _ in range(3))
    content = stage.source(home)
    sync = stage.sync(home, "back", destinationNamespaces=[there, also_there])
    uid = stage.copy_becomes(content, there)["metadata"]["uid"]
    stage.copy_becomes(content, also_there)
    first.kill()
    remove_by_force(stage, sync)
    again = stage.sync(home, "back", destinationNamespaces=[there])

    start_reconciler()

    stage.ready_becomes(again, "True", "Synced")
    assert stage.copy_becomes(content, there)["metadata"]["uid"] == uid
    stage.copy_goes(also_there)
