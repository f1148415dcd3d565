"""Known defects of similar programs: lost data, orphans, endless rewriting.

Other files cover the rest: watches and failing servers in `test_faults.py`, event order
in `test_order.py`, contention in `test_contention.py`, marks on unmanaged objects in
`test_ownership.py`, long names and exact content in `test_copies.py`, rights in
`test_authorization.py`.
"""

import json
import signal
from collections.abc import Callable

import pytest

from tests.journeys.faults import Faults
from tests.journeys.stage import Stage, content_of
from tests.support.eventually import wait_until
from tests.support.processes import Process

# Ownership


def test_narrowing_a_selection_that_covered_the_source_never_deletes_the_source(
    stage: Stage, reconciler: Process
) -> None:
    prefix = f"own-{stage.tag}"
    home, there = stage.namespace(prefix), stage.namespace(prefix)
    content = stage.source(home)
    before = stage.find(home)
    sync = stage.sync(home, destinationNamespaces=[f"{prefix}-*"])
    stage.copy_becomes(content, there)

    stage.edit_sync(sync, destinationNamespaces=["nowhere-*"])
    stage.copy_goes(there)
    stage.cluster.delete(sync)
    wait_until(lambda: stage.cluster.find(sync) is None)

    assert stage.find(home) == before


def test_a_configmap_that_waits_in_a_namespace_before_it_is_selected_is_not_overwritten(
    stage: Stage, reconciler: Process
) -> None:
    home, there = stage.namespace(), stage.namespace()
    stage.source(home)
    foreign = stage.put_configmap(there, "config", data={"theirs": "1"})
    sync = stage.sync(home, destinationNamespaceSelector={"matchLabels": {"wants": stage.tag}})
    stage.ready_becomes(sync, "True", "Synced")

    stage.cluster.patch(
        f"/api/v1/namespaces/{there}", {"metadata": {"labels": {"wants": stage.tag}}}
    )

    stage.ready_becomes(sync, "False", "DestinationConflict")
    assert stage.find(there) == foreign


@pytest.mark.parametrize("how", ["the sync goes", "the namespace is excluded", "the source goes"])
def test_a_configmap_in_the_way_of_a_copy_survives_the_sync(
    stage: Stage, reconciler: Process, how: str
) -> None:
    """Counting a ConfigMap among the destinations must not make it deletable."""
    home, there, free = stage.namespace(), stage.namespace(), stage.namespace()
    content = stage.source(home)
    foreign = stage.put_configmap(there, "config", data={"theirs": "1"})
    sync = stage.sync(home, destinationNamespaces=[there, free], sourceDeletionPolicy="Delete")
    stage.copy_becomes(content, free)
    stage.ready_becomes(sync, "False", "DestinationConflict")

    match how:
        case "the sync goes":
            stage.cluster.delete(sync)
            wait_until(lambda: stage.cluster.find(sync) is None)
        case "the namespace is excluded":
            stage.edit_sync(sync, excludedNamespaces=[there])
            stage.ready_becomes(sync, "True", "Synced")
        case _:
            stage.delete(home, "config")
            stage.copy_goes(free)

    assert stage.find(there) == foreign


def test_a_delete_decided_on_stale_data_never_hits_a_namesake(
    stage: Stage, start_reconciler: Callable[..., Process]
) -> None:
    process = start_reconciler()
    _, there, _, sync = stage.one_copy()
    process.send(signal.SIGSTOP)  # its cache grows stale now

    stage.delete(there, "config")
    namesake = stage.put_configmap(there, "config", data={"theirs": "1"})
    stage.cluster.delete(sync)
    process.send(signal.SIGCONT)

    wait_until(lambda: stage.cluster.find(sync) is None)
    assert stage.find(there) == namesake


@pytest.mark.controllers
def test_owner_references_and_finalizers_of_a_source_stay_with_it(
    stage: Stage, reconciler: Process
) -> None:
    """A copied owner reference would have the copy collected as garbage.

    A copied finalizer would block the copy's deletion forever.
    """
    home, there = stage.namespace(), stage.namespace()
    owner = stage.put_configmap(home, "owner", data={})["metadata"]
    reference = {"apiVersion": "v1", "kind": "ConfigMap", "name": "owner", "uid": owner["uid"]}
    content = stage.source(home)
    stage.edit(
        home,
        "config",
        metadata={"ownerReferences": [reference], "finalizers": ["example.com/held"]},
    )
    sync = stage.sync(
        home, destinationNamespace=there, copyMetadata={"labels": ["*"], "annotations": ["*"]}
    )

    copy = stage.copy_becomes(content, there)["metadata"]

    assert "ownerReferences" not in copy
    assert "finalizers" not in copy
    stage.edit(home, "config", metadata={"finalizers": None})
    stage.cluster.delete(sync)
    stage.copy_goes(there)


@pytest.mark.controllers
def test_a_namespace_with_a_copy_is_deleted_without_waiting_for_the_reconciler(
    stage: Stage, start_reconciler: Callable[..., Process]
) -> None:
    process = start_reconciler()
    home, there = stage.namespace(), stage.namespace()
    stage.sync(home, destinationNamespace=there)
    stage.copy_becomes(stage.source(home), there)
    assert "nishaf" not in json.dumps(stage.cluster.get(f"/api/v1/namespaces/{there}"))
    assert "finalizers" not in (stage.find(there) or {})["metadata"]
    process.kill()

    stage.cluster.delete(f"/api/v1/namespaces/{there}")

    wait_until(lambda: stage.cluster.find(f"/api/v1/namespaces/{there}") is None, within=60)
    start_reconciler()


# Orphans and stale copies


@pytest.mark.only_on("devcluster")
def test_a_restart_in_the_middle_of_a_deletion_leaves_no_orphan(
    stage: Stage, start_reconciler: Callable[..., Process], fault: Faults
) -> None:
    first = start_reconciler("--parallel-writes", "1")
    home, spaces = stage.namespace(), [stage.namespace() for _ in range(4)]
    content = stage.source(home)
    sync = stage.sync(home, destinationNamespaces=spaces)
    for namespace in spaces:
        stage.copy_becomes(content, namespace)
    fault("delay", verb="delete", resource="configmaps", skip=2, seconds=5)

    stage.cluster.delete(sync)
    wait_until(lambda: sum(stage.find(namespace) is None for namespace in spaces) >= 2)
    first.kill()
    fault.clear()
    start_reconciler()

    for namespace in spaces:
        stage.copy_goes(namespace)
    wait_until(lambda: stage.cluster.find(sync) is None)


def test_a_reconciler_that_missed_a_change_cleans_up_what_is_no_longer_selected(
    stage: Stage, start_reconciler: Callable[..., Process]
) -> None:
    first = start_reconciler()
    home, there, labelled = (
        stage.namespace(),
        stage.namespace(),
        stage.namespace(labels={"wants": stage.tag}),
    )
    content = stage.source(home)
    selector = {"matchLabels": {"wants": stage.tag}}
    sync = stage.sync(home, destinationNamespaces=[there], destinationNamespaceSelector=selector)
    stage.copy_becomes(content, there)
    stage.copy_becomes(content, labelled)
    first.kill()

    stage.edit_sync(sync, destinationNamespaces=[])
    stage.cluster.patch(f"/api/v1/namespaces/{labelled}", {"metadata": {"labels": {"wants": None}}})
    start_reconciler()

    stage.copy_goes(there)
    stage.copy_goes(labelled)


def test_a_restart_deletes_and_writes_nothing(
    stage: Stage, start_reconciler: Callable[..., Process]
) -> None:
    first = start_reconciler()
    home, spaces = stage.namespace(), [stage.namespace() for _ in range(3)]
    content = stage.source(home, data={"z": "1", "a": "2", "m": "3"}, binaryData={"b": "AA=="})
    sync = stage.sync(home, destinationNamespaces=spaces, metadata={"labels": {"x": "1", "a": "2"}})
    for namespace in spaces:
        stage.copy_becomes(content, namespace)
    stage.ready_becomes(sync, "True", "Synced")
    stage.assert_idle(0.3)
    before = stage.versions()
    assert first.terminate() == 0

    second = start_reconciler()
    second.wait_for_line("caches synced")
    other, there = stage.namespace(), stage.namespace()
    stage.sync(other, destinationNamespace=there)
    stage.copy_becomes(stage.source(other), there)  # it is at work

    assert before.items() <= stage.versions().items()


def test_an_edit_updates_the_copy_without_deleting_it(stage: Stage, reconciler: Process) -> None:
    home, there = stage.namespace(), stage.namespace()
    stage.sync(home, destinationNamespace=there)
    uid = stage.copy_becomes(stage.source(home), there)["metadata"]["uid"]

    for number in range(5):
        content = stage.edit(home, "config", data={"key": str(number)})
        assert stage.copy_becomes(content, there)["metadata"]["uid"] == uid


# Loops and contention


def test_a_selection_that_covers_its_own_source_is_no_loop(
    stage: Stage, reconciler: Process
) -> None:
    home, there = (stage.namespace(labels={"wants": stage.tag}) for _ in range(2))
    content = stage.source(home)
    source = stage.find(home)
    sync = stage.sync(home, destinationNamespaceSelector={"matchLabels": {"wants": stage.tag}})

    stage.copy_becomes(content, there)
    stage.ready_becomes(sync, "True", "Synced")

    stage.assert_idle(0.5)
    assert stage.find(home) == source


def test_the_order_of_keys_is_no_difference(stage: Stage, reconciler: Process) -> None:
    home, there = stage.namespace(), stage.namespace()
    keys = [f"key-{number}" for number in range(30)]
    content = stage.source(home, data={key: key for key in keys})
    sync = stage.sync(home, destinationNamespace=there)
    copy = stage.copy_becomes(content, there)
    stage.ready_becomes(sync, "True", "Synced")

    stage.delete(home, "config")
    # A deletion and a creation that one batch of a watch brings would be no change at all.
    stage.ready_becomes(sync, "False", "SourceNotFound")
    stage.source(home, data={key: key for key in reversed(keys)})

    stage.ready_becomes(sync, "True", "Synced")
    assert stage.find(there) == copy


TRACKING = {
    "labels": {
        "app.kubernetes.io/instance": "application",
        "app.kubernetes.io/managed-by": "Helm",
        "argocd.argoproj.io/instance": "application",
        "kustomize.toolkit.fluxcd.io/name": "apps",
        "kustomize.toolkit.fluxcd.io/namespace": "flux-system",
        "helm.toolkit.fluxcd.io/name": "release",
        "helm.sh/chart": "chart-1.0.0",
        "applyset.kubernetes.io/part-of": "applyset-x",
    },
    "annotations": {
        "argocd.argoproj.io/tracking-id": "application:/ConfigMap:home/config",
        "meta.helm.sh/release-name": "release",
        "meta.helm.sh/release-namespace": "home",
        "kustomize.toolkit.fluxcd.io/checksum": "x",
        "kubectl.kubernetes.io/last-applied-configuration": "{}",
    },
}


def test_no_tool_that_owns_the_source_finds_its_marks_on_a_copy(
    stage: Stage, reconciler: Process
) -> None:
    """The tool would prune such a copy, and the reconciler would recreate it."""
    home, there = stage.namespace(), stage.namespace()
    content = stage.source(home)
    stage.edit(
        home,
        "config",
        metadata=TRACKING | {"labels": TRACKING["labels"] | {"grafana_dashboard": "1"}},
    )
    stage.sync(
        home,
        destinationNamespace=there,
        copyMetadata={"labels": ["*"], "annotations": ["*", "argocd*"]},
    )

    copy = stage.copy_becomes(content, there)["metadata"]

    assert copy["labels"]["grafana_dashboard"] == "1"
    assert {key: copy["labels"].get(key) for key in TRACKING["labels"]} == {
        key: "configmapsync" if key == "app.kubernetes.io/managed-by" else None
        for key in TRACKING["labels"]
    }
    assert not copy["annotations"].keys() & TRACKING["annotations"].keys()


def test_a_copy_can_be_marked_so_that_tools_leave_it_alone(
    stage: Stage, reconciler: Process
) -> None:
    home, there = stage.namespace(), stage.namespace()
    content = stage.source(home)
    wishes = {
        "argocd.argoproj.io/sync-options": "Prune=false",
        "argocd.argoproj.io/compare-options": "IgnoreExtraneous",
    }
    stage.sync(home, destinationNamespace=there, metadata={"annotations": wishes})

    copy = stage.copy_becomes(content, there)

    assert wishes.items() <= copy["metadata"]["annotations"].items()


def test_a_copy_that_is_applied_empty_from_a_repository_is_filled_again(
    stage: Stage, reconciler: Process
) -> None:
    _, there, content, sync = stage.one_copy()

    empty = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "config", "namespace": there},
        "data": {"key": ""},
    }
    stage.cluster.kubectl("apply", "-f", "-", input=json.dumps(empty))

    stage.copy_becomes(content, there)
    stage.ready_becomes(sync, "True", "Synced")


# Messages to users


def test_a_copy_that_was_deleted_comes_back_every_time(stage: Stage, reconciler: Process) -> None:
    home, there = stage.namespace(), stage.namespace()
    content = stage.source(home)
    stage.sync(home, destinationNamespace=there)

    for _ in range(3):
        stage.copy_becomes(content, there)
        stage.delete(there, "config")

    stage.copy_becomes(content, there)


def test_a_recreated_source_is_followed_again(stage: Stage, reconciler: Process) -> None:
    home, there = stage.namespace(), stage.namespace()
    sync = stage.sync(home, destinationNamespace=there)
    for number in range(3):
        content = stage.source(home, data={"life": str(number)})
        stage.copy_becomes(content, there)
        stage.delete(home, "config")
        stage.ready_becomes(sync, "False", "SourceNotFound")
        assert content_of(stage.find(there) or {}) == content


def test_a_sync_that_cannot_be_parsed_blocks_no_other(stage: Stage, reconciler: Process) -> None:
    home, there = stage.namespace(), stage.namespace()
    content = stage.source(home)
    selector = {"matchExpressions": [{"key": "env", "operator": "In", "values": []}]}
    broken = stage.cluster.request(
        "POST",
        f"/apis/apps.nishaf.info/v1/namespaces/{home}/configmapsyncs",
        {
            "apiVersion": "apps.nishaf.info/v1",
            "kind": "ConfigMapSync",
            "metadata": {"name": "broken", "namespace": home},
            "spec": {"configMapName": "config", "destinationNamespaceSelector": selector},
        },
    )
    sync = stage.sync(home, destinationNamespace=there)

    stage.copy_becomes(content, there)
    stage.ready_becomes(sync, "True", "Synced")
    if broken.status == 201:
        path = f"/apis/apps.nishaf.info/v1/namespaces/{home}/configmapsyncs/broken"
        stage.ready_becomes(path, "False", "InvalidSpec")
        stage.cluster.delete(path)
