"""The status for users and tools: kstatus conditions, a bounded error list, events."""

from typing import Any

from tests.journeys.rivals import resetting
from tests.journeys.stage import Stage
from tests.support.eventually import wait_until
from tests.support.processes import Process

MOST_FAILURES = 20
MANY = MOST_FAILURES + 5


def events_in(stage: Stage, namespace: str, kind: str) -> list[dict[str, Any]]:
    """Return the events on objects of a kind in a namespace."""
    items = stage.cluster.get(f"/api/v1/namespaces/{namespace}/events")["items"]
    return [item for item in items if item["involvedObject"]["kind"] == kind]


def has_event(stage: Stage, namespace: str, kind: str, *words: str) -> None:
    """Wait until one event on such an object contains all the words in its reason or message."""

    def found() -> bool:
        texts = [
            f"{event['type']} {event['reason']} {event['message']}"
            for event in events_in(stage, namespace, kind)
        ]
        return any(all(word in text for word in words) for text in texts)

    wait_until(found)


def test_kubectl_waits_for_a_sync_and_describes_what_happened(
    stage: Stage, reconciler: Process
) -> None:
    home, there = stage.namespace(), stage.namespace()
    stage.source(home)
    stage.sync(home, "shown", destinationNamespace=there)

    stage.cluster.kubectl(
        "wait", "-n", home, "cmsync/shown", "--for=condition=Ready", "--timeout=10s"
    )

    has_event(stage, home, "ConfigMapSync", "Normal Synced", "1 copy is up to date")
    assert (
        "1 copy is up to date"
        in stage.cluster.kubectl("describe", "cmsync", "-n", home, "shown").stdout
    )


def test_a_typo_in_the_selected_keys_is_named_beside_ready(
    stage: Stage, reconciler: Process
) -> None:
    home, there = stage.namespace(), stage.namespace()
    stage.source(home, data={"app.yaml": "1"})
    sync = stage.sync(home, destinationNamespace=there, keys=[{"key": "*.yml"}])

    ready = stage.ready_becomes(sync, "True", "Synced")
    assert (
        ready["message"]
        == '1 copy is up to date; spec.keys[0] "*.yml" matches no key of the source'
    )

    stage.edit_sync(sync, keys=[{"key": "*.yaml"}])
    wait_until(lambda: stage.condition(sync)["message"] == "1 copy is up to date")


def test_an_event_in_the_namespace_names_the_configmap_in_the_way(
    stage: Stage, reconciler: Process
) -> None:
    home, there = stage.namespace(), stage.namespace()
    stage.source(home)
    stage.put_configmap(there, "config", data={"theirs": "1"})
    sync = stage.sync(home, destinationNamespace=there)
    stage.ready_becomes(sync, "False", "DestinationConflict")

    has_event(stage, there, "ConfigMap", "Warning DestinationConflict", sync.rpartition("/")[2])
    shown = stage.cluster.kubectl("describe", "configmap", "-n", there, "config").stdout
    assert "DestinationConflict" in shown


def test_an_event_on_a_changed_copy_reports_the_repair(stage: Stage, reconciler: Process) -> None:
    _, there, content, *_ = stage.one_copy()

    stage.edit(there, "config", data={"by-hand": "1"})

    stage.copy_becomes(content, there)
    has_event(
        stage,
        there,
        "ConfigMap",
        "Normal Synced",
        "repaired by ConfigMapSync",
        "the content differs",
    )


def test_an_event_on_a_released_configmap_reports_the_release(
    stage: Stage, reconciler: Process
) -> None:
    _, there, _, sync = stage.one_copy(deletionPolicy="Orphan")

    stage.cluster.delete(sync)

    has_event(
        stage, there, "ConfigMap", "Normal Released", "its data stays: the sync is being deleted"
    )


def test_contention_is_reported_on_the_sync_and_on_the_copy(
    stage: Stage, reconciler: Process
) -> None:
    home, there = stage.namespace(), stage.namespace()
    stage.source(home)
    sync = stage.sync(home, destinationNamespace=there)

    with resetting(stage, there, {"from": "git"}, "argocd-controller"):
        stage.ready_becomes(sync, "False", "Contested", within=30)
        has_event(stage, home, "ConfigMapSync", "Warning Contested", "argocd-controller")
        has_event(stage, there, "ConfigMap", "Warning Contested")


def test_many_failures_make_a_short_list_and_few_events(stage: Stage, reconciler: Process) -> None:
    home = stage.namespace()
    stage.source(home)
    prefix = f"many-{stage.tag}"
    spaces = sorted(stage.namespace(prefix) for _ in range(MANY))
    for namespace in spaces:
        stage.put_configmap(namespace, "config", data={"theirs": "1"})
    sync = stage.sync(home, destinationNamespaces=[f"{prefix}-*"])
    message = f"{MANY} of {MANY} destinations failed"
    wait_until(
        lambda: message in stage.ready_becomes(sync, "False", "DestinationConflict")["message"]
    )
    stage.assert_idle(0.5)

    status = stage.cluster.get(sync)["status"]
    assert [failure["namespace"] for failure in status["failures"]] == spaces[:MOST_FAILURES]
    assert status["destinations"] == {"desired": MANY, "synced": 0, "failed": MANY}
    assert (
        sum(len(events_in(stage, namespace, "ConfigMap")) for namespace in spaces) <= MOST_FAILURES
    )
    assert len(events_in(stage, home, "ConfigMapSync")) <= MOST_FAILURES


def test_no_time_in_a_status_changes_by_itself(stage: Stage, reconciler: Process) -> None:
    home, there, taken = stage.namespace(), stage.namespace(), stage.namespace()
    content = stage.source(home)
    stage.put_configmap(taken, "config", data={"theirs": "1"})
    sync = stage.sync(home, destinationNamespaces=[there, taken, "nowhere"])
    stage.copy_becomes(content, there)
    stage.ready_becomes(sync, "False", "DestinationConflict")
    stage.summary_becomes(sync, "1/3")
    before = stage.cluster.get(sync)

    stage.cluster.patch(
        f"/api/v1/namespaces/{there}", {"metadata": {"labels": {"irrelevant": "1"}}}
    )
    stage.edit(home, "config", metadata={"annotations": {"irrelevant": "1"}})
    stage.assert_idle(1.0)

    assert stage.cluster.get(sync)["status"] == before["status"]
