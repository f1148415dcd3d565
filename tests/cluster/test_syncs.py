"""A cached sync holds all that is read later, in little memory."""

import json
import tracemalloc
from typing import Any

import msgspec
import pytest

from cluster.syncs import SyncOutline, SyncRecord, read_outline, read_sync
from kube.errors import Malformed

MOST_BYTES = 4000  # of one record, most of it the spec
MOST_OUTLINE_BYTES = 1_000
MANY = 500


def a_sync(number: int = 0, **parts: Any) -> bytes:
    conditions = [
        {
            "type": kind,
            "status": "True",
            "reason": "Synced",
            "message": "1 of 1 copies is right",
            "lastTransitionTime": "2026-11-23T04:20:25Z",
            "observedGeneration": 1,
        }
        for kind in ("Ready", "Reconciling", "Stalled")
    ]
    document = {
        "metadata": {
            "namespace": "team",
            "name": f"sync-{number}",
            "uid": f"uid-{number}",
            "resourceVersion": "1",
        },
        "spec": {"configMapName": f"config-{number}", "destinationNamespace": f"web-{number}"},
        "status": {"observedGeneration": 1, "summary": "1/1", "conditions": conditions},
    }
    return json.dumps(document | parts).encode()


def read(raw: bytes) -> SyncRecord:
    return read_sync(raw, frozenset())


def test_the_parsed_status_is_the_written_status() -> None:
    status = read(a_sync()).status

    assert status is not None
    assert (status.summary, [condition.type for condition in status.conditions]) == (
        "1/1",
        ["Ready", "Reconciling", "Stalled"],
    )


def test_a_missing_or_malformed_status_does_not_stop_a_sync() -> None:
    for status in (None, {}, {"conditions": "none"}):
        record = read(a_sync(status=status))
        assert record.status is None
        assert record.sync is not None
        assert record.errors == ()


def test_a_cached_sync_takes_little_memory() -> None:
    read(a_sync())  # what is made once for all
    documents = [a_sync(number) for number in range(MANY)]
    tracemalloc.start()
    try:
        records = [read(document) for document in documents]
        used, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert len(records) == MANY
    assert used / MANY < MOST_BYTES


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b'{"spec": {}}',
        b'{"metadata": null}',
        b'{"metadata": {"name": 5}}',
        b'{"metadata": {"name": "a", "resourceVersion": "x"}}',
        b'{"metadata": {"name": "a", "creationTimestamp": "0001-01-01T00:00:00+14:00"}}',
        b'{"metadata": {"name": "a"}, "spec": {"configMapName": "\\ud800"}}',
        b'{"metadata": {"name": "a"}, "spec": {"keys": ' + b"[" * 100_000,
    ],
)
def test_what_is_no_stored_object_is_malformed(raw: bytes) -> None:
    with pytest.raises(Malformed):
        read(raw)
    with pytest.raises(Malformed):
        read_outline(msgspec.Raw(raw), lambda _key: None)


def test_a_spec_is_validated_once_and_not_with_every_event() -> None:
    previous = read(a_sync())
    selector = previous.selector
    labelled = {
        "namespace": "team",
        "name": "sync-0",
        "uid": "uid-0",
        "resourceVersion": "2",
        "finalizers": ["a"],
    }

    def read_again(**parts: Any) -> SyncRecord:
        return read_sync(
            a_sync(**parts), frozenset(), lambda key: previous if key == previous.key else None
        )

    same = read_again(metadata=labelled, status=None)
    assert previous.sync is not None
    assert same.sync is not None
    assert same.sync.spec is previous.sync.spec
    assert same.selector is selector
    assert (same.resource_version, same.sync.metadata.finalizers, same.status) == (
        "2",
        ("a",),
        None,
    )

    edited = read_again(spec={"configMapName": "other", "destinationNamespace": "web-0"})
    recreated = read_again(metadata=labelled | {"uid": "uid-1"})
    assert edited.sync is not None
    assert edited.sync.source.name == "other"
    assert recreated.sync is not None
    assert recreated.sync.spec is not previous.sync.spec


def test_an_invalid_spec_stays_invalid_until_it_changes() -> None:
    previous = read(a_sync(spec={"configMapName": "A"}))

    same = read_sync(a_sync(spec={"configMapName": "A"}), frozenset(), lambda _key: previous)

    assert same.sync is None
    assert same.errors is previous.errors


def read_outline_after(previous: SyncOutline | None, **parts: Any) -> SyncOutline:
    return read_outline(msgspec.Raw(a_sync(**parts)), lambda _key: previous)


def test_an_outline_without_its_sync_takes_little_memory() -> None:
    read_outline_after(None)  # what is made once for all
    documents = [msgspec.Raw(a_sync(number)) for number in range(MANY)]
    tracemalloc.start()
    try:
        outlines = [read_outline(document, lambda _key: None) for document in documents]
        for outline in outlines:
            outline.sync = None
        used, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert used / MANY < MOST_OUTLINE_BYTES


def test_an_outline_parses_a_spec_once_and_not_with_every_status() -> None:
    previous = read_outline_after(None)
    assert previous.sync is not None

    assert read_outline_after(previous, status={}).sync is None
    edited = read_outline_after(previous, spec={"configMapName": "b", "destinationNamespace": "c"})
    assert edited.sync is not None
    assert edited.sync.source.name == "b"


def test_an_outline_parses_the_spec_of_a_recreated_sync_and_of_one_that_is_now_deleted() -> None:
    previous = read_outline_after(None)
    metadata = {"namespace": "team", "name": "sync-0", "uid": "uid-0", "resourceVersion": "2"}

    recreated = read_outline_after(previous, metadata=metadata | {"uid": "uid-1"})
    deleted = read_outline_after(
        previous, metadata=metadata | {"deletionTimestamp": "2026-11-23T04:20:25Z"}
    )

    assert recreated.sync is not None
    assert deleted.sync is not None
    assert deleted.sync.deleting


def test_an_outline_of_a_spec_of_the_wrong_shape_has_no_sync() -> None:
    assert read_outline_after(None, spec={"configMapName": ["no text"]}).sync is None
