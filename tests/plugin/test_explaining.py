"""`explain` finds the cause and the cure for a sync and for any ConfigMap."""

from typing import Any

import pytest

from cluster.syncs import SyncRecord
from configmapsync.names import NamespacedName
from configmapsync.reasons import Reason, State
from configmapsync.selection import Namespace
from dryrun.records import read_copy
from plugin.answers import Answer, Observation
from plugin.explaining import explained_configmap, explained_sync
from tests.plugin.objects import configmap, copy_of, marks, source, sync_record

WEB = NamespacedName("web", "limits")


def seen(*syncs: SyncRecord, record: Any = None, key: NamespacedName = WEB, **more: Any) -> Any:
    """Return the answer about a ConfigMap."""
    namespace = Namespace(key.namespace)
    return explained_configmap(Observation(key, record, namespace, syncs, **more))


def reasons(answer: Answer) -> list[str]:
    return [problem.reason for problem in answer.problems]


@pytest.mark.parametrize("reason", Reason)
def test_each_reason_of_a_sync_is_explained(reason: Reason) -> None:
    answer = explained_sync(sync_record(reason=reason))
    if reason is Reason.SYNCED:
        assert (answer.right, answer.problems) == (True, ())
        return
    [problem] = answer.problems
    assert answer.right is (None if reason is Reason.SUSPENDED else False)
    assert problem.reason == reason
    assert problem.cause
    assert problem.cure
    assert problem.commands


@pytest.mark.parametrize("reason", [each for each in Reason if each.state is State.FAILED])
def test_each_reason_of_a_destination_is_explained_at_the_sync_and_at_the_configmap(
    reason: Reason,
) -> None:
    record = sync_record(reason=reason, failures={"web": reason})
    [at_sync] = explained_sync(record).problems
    [at_configmap] = seen(record).problems
    for problem in (at_sync, at_configmap):
        assert problem.reason == reason
        assert problem.message == f"the message of {reason}"
        assert problem.cure
        assert problem.commands
    assert at_sync.namespaces == ("web",)


def test_failures_with_one_reason_are_explained_once_for_all_namespaces() -> None:
    failures = {"db": "WriteFailed", "web": "WriteFailed", "x": "DestinationConflict"}
    answer = explained_sync(sync_record(reason="WriteFailed", failures=failures))
    assert [problem.namespaces for problem in answer.problems] == [("db", "web"), ("x",)]


def test_a_sync_without_a_report_points_to_the_reconciler() -> None:
    [problem] = explained_sync(sync_record(reason="")).problems
    assert "reconciler" in problem.cure
    assert "kubectl configmapsync doctor" in problem.commands


def test_a_report_on_an_earlier_spec_is_not_taken_for_the_present_state() -> None:
    answer = explained_sync(sync_record(generation=2))
    assert answer.right is False
    assert "has not reported on the edit" in answer.problems[0].cause


def test_a_sync_that_is_being_deleted_waits_for_its_copies() -> None:
    assert reasons(explained_sync(sync_record(deleting=True))) == ["Deleting"]


def test_a_copy_with_the_content_of_its_source_is_right() -> None:
    record = sync_record()
    answer = seen(record, record=copy_of(record, "web", {"a": "1"}), source=source({"a": "1"}))
    assert (answer.right, answer.problems) == (True, ())
    assert dict(answer.facts) == {
        "managed": "yes, by ConfigMapSync platform/shared",
        "source": "central/limits",
        "content": "equals the source",
    }


def test_a_copy_with_other_content_is_not_right_whatever_the_status_says() -> None:
    record = sync_record()
    answer = seen(record, record=copy_of(record, "web", {"a": "0"}), source=source({"a": "1"}))
    assert answer.right is False
    assert reasons(answer) == ["Progressing"]
    assert "has not reported" in answer.problems[0].message


def test_a_copy_whose_source_may_not_be_read_is_neither_right_nor_wrong() -> None:
    record = sync_record()
    answer = seen(record, record=copy_of(record, "web"), unreadable="no right to read it")
    assert answer.right is None
    assert dict(answer.facts)["content"] == "not compared: no right to read it"


def test_a_copy_that_is_no_longer_selected_is_about_to_be_removed() -> None:
    record = sync_record(destinationNamespaces=["db"])
    answer = seen(record, record=copy_of(record, "web"), source=source())
    assert "no longer selects" in answer.problems[0].cause


def test_a_copy_without_its_sync_is_an_orphan() -> None:
    answer = seen(record=copy_of(sync_record(), "web"), source=None)
    assert reasons(answer) == ["Orphaned"]
    assert "(Delete)" in answer.problems[0].cure


def test_a_sync_that_was_created_again_takes_its_copy_back() -> None:
    former, again = sync_record(), sync_record(uid="uid-of-the-second")
    answer = seen(again, record=copy_of(former, "web"), source=source())
    assert dict(answer.facts)["managed"] == "yes, by ConfigMapSync platform/shared"
    assert reasons(answer) == [Reason.PROGRESSING]


def test_a_clone_of_a_copy_is_not_managed() -> None:
    record = sync_record(destinationNamespaces=["db"])
    clone = read_copy(configmap("web/limits", **marks(record, "db/limits")))
    answer = seen(record, record=clone)
    assert dict(answer.facts)["managed"] == "no: it is a clone of the copy db/limits"
    assert answer.right is None


def test_an_unmanaged_configmap_names_its_readers_and_the_syncs_that_want_its_place() -> None:
    record = sync_record(reason="DestinationConflict", failures={"web": "DestinationConflict"})
    reader = sync_record("web/reader", sourceNamespace="web", destinationNamespaces=["z"])
    answer = seen(record, reader, record=read_copy(configmap("web/limits")))
    assert dict(answer.facts) == {
        "managed": "no",
        "source of": "ConfigMapSync web/reader",
        "wanted by": "ConfigMapSync platform/shared",
    }
    assert reasons(answer) == ["DestinationConflict"]


def test_a_missing_source_names_the_syncs_that_wait_for_it() -> None:
    record = sync_record(reason="SourceNotFound")
    answer = seen(record, key=NamespacedName("central", "limits"))
    assert dict(answer.facts) == {"exists": "no", "source of": "ConfigMapSync platform/shared"}
    assert reasons(answer) == ["SourceNotFound"]


def test_there_is_no_answer_about_a_configmap_that_no_sync_knows() -> None:
    assert seen(sync_record(), key=NamespacedName("other", "thing")) is None
    assert seen(key=WEB) is None


def test_a_copy_names_the_other_syncs_that_want_its_place() -> None:
    owner, rival = sync_record(), sync_record("platform/rival")
    answer = seen(owner, rival, record=copy_of(owner, "web"), source=source())
    assert answer.right is True
    assert dict(answer.facts)["wanted by"] == "ConfigMapSync platform/rival"


def test_a_list_of_many_syncs_is_bounded() -> None:
    readers = [sync_record(f"team/sync-{number}") for number in range(1000)]
    answer = seen(*readers, key=NamespacedName("central", "limits"))
    assert dict(answer.facts)["source of"].endswith(" and 980 more")
    assert len(answer.problems) == 1
    writers = seen(*readers)
    assert len(writers.problems) <= 20
