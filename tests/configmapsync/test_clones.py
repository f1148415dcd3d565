"""Check what happens to clones: another client copied a copy with its marks.

`kubectl get -o yaml | sed | kubectl apply` and a restore into another namespace make
clones. Their marks give no right to change them. A missing mark of a wanted copy is
restored. An unwanted ConfigMap with missing marks is released and not deleted.
"""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from configmapsync.copies import CopyRecord
from configmapsync.names import DESTINATION, SYNC_UID_LABEL, SYNCED_BY
from configmapsync.names import NamespacedName as Name
from configmapsync.planning import plan
from configmapsync.plans import Verb
from configmapsync.reasons import Reason
from configmapsync.resource import ConfigMapSync
from tests.configmapsync.objects import is_empty, observe_missing, source, sync, with_metadata
from tests.configmapsync.test_decisions import NAMESPACES, copy_of, observed, reasons, verbs

ELSEWHERE = Name("elsewhere", "config")


def clone(namespace: str = "elsewhere", of: ConfigMapSync | None = None) -> CopyRecord:
    """Return the copy of `there` in another namespace, with unchanged marks."""
    return replace(copy_of(of or sync()), namespace=namespace, uid="uid-of-clone")


def without_place(copy: CopyRecord) -> CopyRecord:
    return replace(
        copy,
        annotations={key: value for key, value in copy.annotations.items() if key != DESTINATION},
    )


def deleted(asked: ConfigMapSync) -> ConfigMapSync:
    return with_metadata(asked, deletion_timestamp=datetime(2026, 1, 1, tzinfo=UTC))


def test_a_clone_in_a_namespace_that_is_not_selected_is_left_alone() -> None:
    made = plan(observed(sync(), copy_of(sync()), clone()))

    assert is_empty(made)
    assert reasons(made) == [Reason.SYNCED]


def test_a_clone_outlives_the_sync() -> None:
    gone = deleted(sync())

    assert verbs(plan(observed(gone, copy_of(sync()), clone()))) == [
        (Verb.DELETE, Name("there", "config"))
    ]
    assert not plan(observed(gone, clone())).finalizer


def test_a_clone_is_left_alone_if_its_sync_does_not_exist() -> None:
    assert plan(observe_missing(clone(), namespaces=NAMESPACES)).removals == ()


def test_a_clone_at_a_destination_is_a_conflict_and_the_message_names_the_original() -> None:
    wider = sync(destinationNamespaces=["there", "elsewhere"])

    made = plan(observed(wider, copy_of(wider), clone(of=wider)))

    assert is_empty(made)
    conflict = next(
        outcome for outcome in made.settled if outcome.reason is Reason.DESTINATION_CONFLICT
    )
    assert conflict.message.startswith(
        'ConfigMap "elsewhere/config" exists and is a clone of the copy "there/config"; delete it'
    )


def test_a_clone_at_a_destination_is_adopted_if_the_policy_is_adopt() -> None:
    wider = sync(destinationNamespaces=["there", "elsewhere"], conflictPolicy="Adopt")

    assert verbs(plan(observed(wider, copy_of(wider), clone(of=wider)))) == [
        (Verb.ADOPT, ELSEWHERE)
    ]


@pytest.mark.parametrize("living", [(), ("uid-of-another",)])
def test_a_clone_of_the_copy_of_another_sync_is_a_conflict(
    living: tuple[str, ...],
) -> None:
    theirs = clone("there")
    theirs = replace(theirs, labels={**theirs.labels, SYNC_UID_LABEL: "uid-of-another"})
    theirs = replace(
        theirs,
        annotations={**theirs.annotations, SYNCED_BY: "home/another", DESTINATION: "far/config"},
    )

    made = plan(observed(sync(), theirs, living=living, must_release=lambda _copy: True))

    assert is_empty(made)
    assert reasons(made) == [Reason.DESTINATION_CONFLICT]


def test_a_copy_under_another_name_beside_the_original_is_a_clone_too() -> None:
    renamed = replace(copy_of(sync()), name="backup", uid="uid-of-clone")

    assert is_empty(plan(observed(sync(), copy_of(sync()), renamed)))


def test_a_missing_destination_mark_of_a_wanted_copy_is_restored() -> None:
    assert verbs(plan(observed(sync(), without_place(copy_of(sync()))))) == [
        (Verb.UPDATE, Name("there", "config"))
    ]


@pytest.mark.parametrize("garbage", ["", "there", "a/b/c"])
def test_an_unreadable_destination_mark_counts_as_missing(garbage: str) -> None:
    copy = copy_of(sync())
    unreadable = replace(copy, annotations={**copy.annotations, DESTINATION: garbage})

    assert verbs(plan(observed(sync(), unreadable))) == [(Verb.UPDATE, Name("there", "config"))]


def test_a_copy_without_destination_mark_is_released_and_never_deleted() -> None:
    unmarked = without_place(copy_of(sync()))
    moved = sync(destinationNamespace="home", destinationConfigMapName="other")

    assert (Verb.RELEASE, Name("there", "config")) in verbs(plan(observed(moved, unmarked)))
    assert verbs(plan(observed(deleted(sync()), unmarked))) == [
        (Verb.RELEASE, Name("there", "config"))
    ]
    assert [
        write.verb for write in plan(observe_missing(unmarked, namespaces=NAMESPACES)).removals
    ] == [Verb.RELEASE]


def test_an_immutable_unmanaged_configmap_is_not_adopted_if_that_needs_a_delete() -> None:
    asked = sync(conflictPolicy="Adopt")
    fixed = replace(
        copy_of(asked, source({"k": "theirs"}, immutable=True)), labels={}, annotations={}
    )

    made = plan(observed(asked, fixed))

    assert is_empty(made)
    assert reasons(made) == [Reason.DESTINATION_CONFLICT]
    assert "is immutable: it cannot be adopted" in made.settled[0].message


def test_an_adopted_copy_that_became_immutable_is_never_recreated() -> None:
    asked = sync(conflictPolicy="Adopt")
    adopted = copy_of(asked, source({"k": "old"}, immutable=True))
    adopted = replace(
        adopted, annotations={**adopted.annotations, "apps.nishaf.info/adopted": "true"}
    )

    made = plan(observed(asked, adopted, origin=source({"k": "new"}, immutable=True)))

    assert is_empty(made)
    assert reasons(made) == [Reason.DESTINATION_CONFLICT]


def test_a_copy_under_its_previous_name_stays_until_it_is_replaced() -> None:
    previous, renamed = copy_of(sync()), sync(destinationConfigMapName="renamed")
    stranger = replace(copy_of(renamed), labels={}, annotations={})

    made = plan(observed(renamed, previous, stranger))

    assert is_empty(made)
    assert made.staged
    assert reasons(made) == [Reason.DESTINATION_CONFLICT]
