"""Events on a copy report news to the owners of its namespace, in bounded numbers."""

import json
from dataclasses import dataclass, field

from cluster.syncs import SyncRecord, read_sync
from configmapsync.copies import CopyRecord
from configmapsync.names import NamespacedName
from configmapsync.plans import Verb, Write
from configmapsync.rendering import copy_template
from configmapsync.status import ConfigMapSyncStatus, DestinationFailure
from kube.event_correlator import ObjectReference
from reconciler.reports.events import MOST_EVENTS, PERIOD_SECONDS, Events
from tests.configmapsync.objects import record, source, sync

SYNC = NamespacedName("home", "sync")
TEMPLATE = copy_template(sync(), source())


@dataclass
class Bench:
    """Records the events; the test sets the clock."""

    now: float = 0.0
    emitted: list[tuple[ObjectReference, str, str, str]] = field(default_factory=list)

    def emit(
        self, regarding: ObjectReference, kind: str, reason: str, _message: str, action: str
    ) -> None:
        self.emitted.append((regarding, kind, reason, action))

    def configmap_at(self, key: NamespacedName) -> CopyRecord:
        return record(namespace=key.namespace, name=key.name, uid=f"uid-in-{key.namespace}")

    def events(self) -> Events:
        return Events(self, self, lambda: self.now)  # type: ignore[arg-type]


def stored() -> SyncRecord:
    metadata = {"namespace": "home", "name": "sync", "uid": "uid-1", "resourceVersion": "1"}
    spec = {"configMapName": "config", "destinationNamespace": "there"}
    return read_sync(json.dumps({"metadata": metadata, "spec": spec}).encode(), frozenset())


def failures(*namespaces: str, reason: str = "DestinationConflict") -> ConfigMapSyncStatus:
    return ConfigMapSyncStatus(
        failures=tuple(
            DestinationFailure(namespace=namespace, reason=reason, message="why")
            for namespace in namespaces
        )
    )


def update(namespace: str = "there", verb: Verb = Verb.UPDATE) -> Write:
    kept = None if verb is Verb.RELEASE else TEMPLATE
    return Write(verb, NamespacedName(namespace, "config"), "the content differs", record(), kept)


def test_a_failing_destination_emits_an_event_on_the_configmap_in_its_namespace() -> None:
    bench = Bench()

    bench.events().status_changed(stored(), failures("known"), failures("known", "there"))

    reference = ObjectReference("v1", "ConfigMap", "there", "config", "uid-in-there")
    assert bench.emitted == [(reference, "Warning", "DestinationConflict", "Sync")]


def test_failures_of_the_namespace_or_the_sync_emit_no_event_on_a_configmap() -> None:
    bench = Bench()

    for reason in (
        "NamespaceNotFound",
        "NamespaceTerminating",
        "NamespaceDisabled",
        "InvalidSpec",
        "LoopDetected",
    ):
        bench.events().status_changed(stored(), None, failures("there", reason=reason))

    assert bench.emitted == []


def test_a_repair_and_a_release_emit_an_event_and_a_write_that_follows_the_source_does_not() -> (
    None
):
    bench = Bench()
    events = bench.events()

    events.wrote(SYNC, update(), repaired=False)
    events.wrote(SYNC, update("repaired"), repaired=True)
    events.wrote(SYNC, update("released", Verb.RELEASE), repaired=False)

    assert [
        (regarding.namespace, reason, action) for regarding, _, reason, action in bench.emitted
    ] == [
        ("repaired", "Synced", "Repair"),
        ("released", "Released", "Release"),
    ]


def test_a_thousand_copies_are_not_a_thousand_events() -> None:
    bench = Bench()
    events = bench.events()

    for number in range(1000):
        events.wrote(SYNC, update(f"ns-{number}"), repaired=True)
    assert len(bench.emitted) == MOST_EVENTS
    events.wrote(NamespacedName("home", "other"), update(), repaired=True)
    assert len(bench.emitted) == MOST_EVENTS + 1
    bench.now = PERIOD_SECONDS
    events.wrote(SYNC, update(), repaired=True)

    assert len(bench.emitted) == MOST_EVENTS + 2
