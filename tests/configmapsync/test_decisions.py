"""Check the most important decisions of the planner one by one.

`test_planning.py` has the properties of all decisions.
"""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from configmapsync.content import Content, SourceObject, digest
from configmapsync.copies import CopyRecord
from configmapsync.names import (
    ADOPTED,
    DELETION_POLICY,
    DESTINATION,
    MANAGED_BY_LABEL,
    MANAGED_BY_VALUE,
    RELEASED_BY,
    SYNC_UID_LABEL,
    SYNCED_BY,
)
from configmapsync.names import NamespacedName as Name
from configmapsync.planning import plan
from configmapsync.plans import (
    ContestedCopy,
    Interference,
    Observed,
    Plan,
    Verb,
)
from configmapsync.reasons import Outcome, Reason
from configmapsync.rendering import copy_template, release_patch, render
from configmapsync.resource import ConfigMapSync
from configmapsync.selection import Namespace, Selector
from tests.configmapsync.objects import (
    is_empty,
    observe,
    observe_missing,
    record,
    source,
    sync,
    with_metadata,
)
from tests.configmapsync.worlds import patched
from tests.support.cpu import cpu_seconds

PLACE = Name("there", "config")
SOURCE = source({"k": "v"})
NOW = datetime(2026, 1, 1, tzinfo=UTC)
NAMESPACES = {name: Namespace(name) for name in ("home", "there", "elsewhere")}


def observed(
    asked: ConfigMapSync,
    *live: CopyRecord,
    origin: SourceObject | None = SOURCE,
    living: tuple[str, ...] = (),
    **more: Any,
) -> Observed:
    """Return the observation of a cluster in which `live` are all ConfigMaps."""
    marked = {copy.key: copy for copy in live if copy.managed}
    foreign = {copy.key: copy for copy in live if not copy.managed}
    return observe(
        sync=asked,
        selector=Selector.of(asked, frozenset()),
        source=origin,
        copies=tuple(marked.values()),
        copy_at=marked.get,
        namespaces=more.pop("namespaces", NAMESPACES),
        is_living={asked.metadata.uid, *living}.__contains__,
        blocker_at=foreign.get,
        **more,
    )


def copy_of(asked: ConfigMapSync, origin: SourceObject = SOURCE, **more: Any) -> CopyRecord:
    """Return a copy that is up to date, except for the given fields."""
    wanted = copy_template(asked, origin)
    metadata: Mapping[str, Any] = render(wanted, "there", None)["metadata"]
    made = record(metadata["labels"], metadata["annotations"], name=wanted.name)
    return replace(made, digest=wanted.digest, immutable=origin.content.immutable, **more)


def theirs(uid: str = "uid-of-another", owner: str | None = "home/another") -> CopyRecord:
    labels = {MANAGED_BY_LABEL: MANAGED_BY_VALUE, SYNC_UID_LABEL: uid}
    return record(labels, {SYNCED_BY: owner} if owner else {})


def verbs(made: Plan) -> list[tuple[Verb, Name]]:
    return [(write.verb, write.key) for write in (*made.writes, *made.removals)]


def reasons(made: Plan) -> list[Reason]:
    return [outcome.reason for outcome in made.settled]


def test_a_missing_copy_is_created() -> None:
    assert verbs(plan(observed(sync()))) == [(Verb.CREATE, PLACE)]


def test_a_copy_that_is_up_to_date_gets_no_write() -> None:
    made = plan(observed(sync(), copy_of(sync())))

    assert is_empty(made)
    assert made.settled == (Outcome("there", Reason.SYNCED),)
    assert made.finalizer


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"digest": digest(Content({"k": "other"}, {}))}, "the content differs"),
        ({"annotations": {SYNCED_BY: "home/sync"}}, "labels or annotations differ"),
        ({"annotations": {}}, "labels or annotations differ"),
    ],
)
def test_a_copy_that_drifted_is_updated(change: dict[str, Any], why: str) -> None:
    made = plan(observed(sync(), replace(copy_of(sync()), **change)))

    assert [(write.verb, write.cause) for write in made.writes] == [(Verb.UPDATE, why)]


def test_an_immutable_copy_is_recreated_for_content_and_updated_for_labels() -> None:
    fixed = source({"k": "old"}, immutable=True)
    relabelled = replace(copy_of(sync(), fixed), annotations={SYNCED_BY: "home/sync"})

    assert verbs(plan(observed(sync(), copy_of(sync(), fixed)))) == [(Verb.RECREATE, PLACE)]
    assert verbs(plan(observed(sync(), relabelled, origin=fixed))) == [(Verb.UPDATE, PLACE)]


def test_a_copy_that_is_being_deleted_is_progressing() -> None:
    made = plan(observed(sync(), copy_of(sync(), deleting=True)))

    assert is_empty(made)
    assert reasons(made) == [Reason.PROGRESSING]


def test_an_unmanaged_configmap_is_a_conflict_unless_it_may_be_adopted() -> None:
    stranger = record({"app": "theirs"}, {})

    assert reasons(plan(observed(sync(), stranger))) == [Reason.DESTINATION_CONFLICT]
    assert verbs(plan(observed(sync(conflictPolicy="Adopt"), stranger))) == [(Verb.ADOPT, PLACE)]


def test_a_copy_without_the_uid_of_its_sync_is_unmanaged() -> None:
    ours = copy_of(sync())
    lost = replace(ours, labels={MANAGED_BY_LABEL: MANAGED_BY_VALUE})

    def look(policy: str) -> Observed:
        return replace(observed(sync(conflictPolicy=policy)), copy_at={PLACE: lost}.get)

    assert plan(look("Fail")).settled[0].reason is Reason.DESTINATION_CONFLICT
    assert [write.verb for write in plan(look("Adopt")).writes] == [Verb.ADOPT]


@pytest.mark.parametrize("policy", ["Fail", "Adopt"])
def test_the_copy_of_an_existing_sync_is_never_adopted(policy: str) -> None:
    made = plan(observed(sync(conflictPolicy=policy), theirs(), living=("uid-of-another",)))

    assert is_empty(made)
    assert reasons(made) == [Reason.DESTINATION_CONTESTED]
    assert '"home/another"' in made.settled[0].message


def test_a_copy_without_owner_annotation_still_belongs_to_another_sync() -> None:
    assert "another sync" in plan(observed(sync(), theirs(owner=None))).settled[0].message


def test_the_copy_of_a_sync_that_must_release_it_is_taken_over() -> None:
    made = plan(observed(sync(), theirs(), must_release=lambda _copy: True))

    assert [(write.verb, write.cause) for write in made.writes] == [
        (Verb.UPDATE, "it is taken over from ConfigMapSync home/another")
    ]


def test_a_released_immutable_copy_is_recreated_unless_it_was_adopted() -> None:
    fixed = replace(theirs(), immutable=True)
    adopted = replace(fixed, annotations={**fixed.annotations, ADOPTED: "true"})

    assert verbs(plan(observed(sync(), fixed, must_release=lambda _copy: True))) == [
        (Verb.RECREATE, PLACE)
    ]
    assert reasons(plan(observed(sync(), adopted, must_release=lambda _copy: True))) == [
        Reason.DESTINATION_CONFLICT
    ]


def test_a_copy_of_the_sync_with_an_earlier_uid_is_taken_back() -> None:
    orphan = theirs(uid="uid-of-a-former-life", owner="home/sync")

    assert verbs(plan(observed(sync(), orphan))) == [(Verb.UPDATE, PLACE)]
    assert reasons(plan(observed(sync(), orphan, living=("uid-of-a-former-life",)))) == [
        Reason.DESTINATION_CONTESTED
    ]


def test_a_refused_destination_gets_no_write() -> None:
    forbidden = {PLACE: Outcome("there", Reason.LOOP_DETECTED, "a -> b -> a")}

    assert plan(observed(sync(), refused=forbidden)).settled == (
        Outcome("there", Reason.LOOP_DETECTED, "a -> b -> a"),
    )


def test_a_renamed_copy_is_removed_only_after_it_is_replaced() -> None:
    previous, renamed = copy_of(sync()), sync(destinationConfigMapName="renamed")

    first = plan(observed(renamed, previous))
    second = plan(observed(renamed, previous, copy_of(renamed)))

    assert verbs(first) == [(Verb.CREATE, Name("there", "renamed"))]
    assert first.staged
    assert verbs(second) == [(Verb.DELETE, PLACE)]
    assert not second.staged


@pytest.mark.parametrize(
    ("policy", "marks", "verb"),
    [
        ("Delete", {}, Verb.DELETE),
        ("Orphan", {}, Verb.RELEASE),
        ("Delete", {ADOPTED: "true"}, Verb.RELEASE),
    ],
)
def test_the_policy_decides_about_a_copy_whose_namespace_is_no_longer_selected(
    policy: str, marks: dict[str, str], verb: Verb
) -> None:
    previous = copy_of(sync())
    moved = sync(destinationNamespace="elsewhere", deletionPolicy=policy)

    made = plan(observed(moved, replace(previous, annotations={**previous.annotations, **marks})))

    assert verbs(made) == [(Verb.CREATE, Name("elsewhere", "config")), (verb, PLACE)]


@pytest.mark.parametrize(
    ("policy", "expected"), [("Retain", []), ("Delete", [(Verb.DELETE, PLACE)])]
)
def test_without_a_source_the_policy_decides_about_the_copies(
    policy: str, expected: list[tuple[Verb, Name]]
) -> None:
    asked = sync(sourceDeletionPolicy=policy, deletionPolicy="Orphan")

    made = plan(observed(asked, copy_of(asked), origin=None))

    assert verbs(made) == expected
    assert made.verdict is not None
    assert made.verdict.reason is Reason.SOURCE_NOT_FOUND


def test_without_a_source_copies_in_unselected_namespaces_are_removed() -> None:
    moved = sync(destinationNamespace="elsewhere")

    assert verbs(plan(observed(moved, copy_of(sync()), origin=None))) == [(Verb.DELETE, PLACE)]


def test_a_deleted_sync_removes_its_copies_and_then_needs_no_finalizer() -> None:
    gone = with_metadata(sync(), deletion_timestamp=NOW)

    assert verbs(plan(observed(gone, copy_of(sync()), origin=None))) == [(Verb.DELETE, PLACE)]
    assert plan(observed(gone, copy_of(sync()))).finalizer
    assert not plan(observed(gone)).finalizer


def test_a_suspended_sync_writes_nothing_and_reports_it() -> None:
    made = plan(observed(sync(suspend=True), origin=None))

    assert is_empty(made)
    assert made.verdict is not None
    assert made.verdict.reason is Reason.SUSPENDED


def test_a_terminating_namespace_removes_its_copy_without_a_write() -> None:
    leaving = {**NAMESPACES, "there": Namespace("there", terminating=True)}
    closed = {**NAMESPACES, "there": Namespace("there", {"apps.nishaf.info/sync": "disabled"})}

    assert is_empty(plan(observed(sync(), copy_of(sync()), namespaces=leaving)))
    assert verbs(plan(observed(sync(), copy_of(sync()), namespaces=closed))) == [
        (Verb.DELETE, PLACE)
    ]


@pytest.mark.parametrize(
    ("mark", "verb"),
    [
        ("Delete", Verb.DELETE),
        ("Orphan", Verb.RELEASE),
        ("nonsense", Verb.RELEASE),
        (None, Verb.RELEASE),
    ],
)
def test_the_mark_of_an_orphan_decides_whether_it_is_deleted(mark: str | None, verb: Verb) -> None:
    copy = record({}, {DESTINATION: "there/config"} | ({DELETION_POLICY: mark} if mark else {}))

    assert [
        write.verb for write in plan(observe_missing(copy, namespaces=NAMESPACES)).removals
    ] == [verb]


def test_orphans_stay_during_the_grace_period_and_go_after_it() -> None:
    missing = observe_missing(copy_of(sync()), namespaces=NAMESPACES, grace_seconds=60.0)

    waiting, due = plan(missing), plan(replace(missing, grace_seconds=0.0))

    assert (verbs(waiting), waiting.requeue_after) == ([], 60.0)
    assert (verbs(due), due.requeue_after) == ([(Verb.DELETE, PLACE)], None)
    unserved = replace(missing, grace_seconds=0.0, served=frozenset({"elsewhere"}))
    assert is_empty(plan(unserved))


def test_a_contested_orphan_is_removed_later() -> None:
    contested = {PLACE: ContestedCopy(Interference.WRITER, None, 30.0, 60.0)}

    made = plan(observe_missing(copy_of(sync()), namespaces=NAMESPACES, contested=contested))

    assert (verbs(made), made.requeue_after) == ([], 30.0)


@pytest.mark.parametrize("denied", [None, "no right"])
def test_a_plan_that_depends_on_a_right_is_made_again_when_the_right_is_checked(
    denied: str | None,
) -> None:
    asked = sync(serviceAccountName="writer")

    assert plan(observed(asked, denied=denied, recheck_seconds=30.0)).requeue_after == 30.0
    assert plan(observed(asked, denied=denied)).requeue_after is None


def test_a_plan_awaits_the_deletion_of_what_is_in_the_way() -> None:
    assert plan(observed(sync(), theirs())).taken == {PLACE}
    assert plan(observed(sync(), replace(copy_of(sync()), deleting=True))).taken == {PLACE}
    assert plan(observed(sync(), copy_of(sync()))).taken == frozenset()
    assert plan(observed(sync())).taken == frozenset()


def released_copy(asked: ConfigMapSync, **more: Any) -> CopyRecord:
    copy = copy_of(asked)
    return replace(patched(copy, release_patch(copy)), **more)


def test_a_released_copy_is_taken_back_with_old_content_and_under_a_new_uid() -> None:
    asked = sync(deletionPolicy="Orphan")
    left = released_copy(asked, digest="sha256:old")
    again = with_metadata(asked, uid="uid-2")

    [write] = plan(observed(again, left)).writes

    assert (write.verb, write.record) == (Verb.UPDATE, left)
    metadata = render(copy_template(asked, SOURCE), "there", left)["metadata"]
    assert RELEASED_BY not in metadata["annotations"]


def test_a_released_copy_of_another_sync_or_a_clone_of_one_is_a_conflict() -> None:
    asked = sync()
    other = released_copy(asked)
    foreign = replace(
        other, annotations={**other.annotations, RELEASED_BY: "home/another there/config"}
    )
    clone = replace(
        other, annotations={**other.annotations, RELEASED_BY: "home/sync elsewhere/config"}
    )

    for standing in (foreign, clone):
        [outcome] = plan(observed(asked, standing)).settled
        assert outcome.reason is Reason.DESTINATION_CONFLICT


def test_an_immutable_released_copy_is_recreated_only_if_a_policy_may_delete() -> None:
    for policy, verbs in (("Delete", [Verb.RECREATE]), ("Retain", [])):
        asked = sync(deletionPolicy="Orphan", sourceDeletionPolicy=policy)
        planned = plan(observed(asked, released_copy(asked, digest="sha256:old", immutable=True)))
        assert [write.verb for write in planned.writes] == verbs


def test_an_immutable_copy_is_never_deleted_if_the_right_to_delete_was_not_checked() -> None:
    asked = sync(deletionPolicy="Orphan", sourceDeletionPolicy="Retain")
    old = copy_of(asked, source({"k": "old"}, immutable=True))

    [outcome] = plan(observed(asked, old)).settled

    assert outcome.reason is Reason.DESTINATION_CONFLICT
    assert "never delete a copy" in outcome.message


@pytest.mark.parametrize(
    ("uid", "served", "held"),
    [
        ("uid-1", None, True),
        ("uid-1", frozenset({"there"}), True),
        ("uid-1", frozenset({"elsewhere"}), False),
        ("uid-that-belongs-to-no-sync", None, False),
    ],
)
def test_only_a_copy_with_its_uid_in_a_served_namespace_delays_a_deletion(
    uid: str, served: frozenset[str] | None, held: bool
) -> None:
    asked = sync()
    copy = copy_of(asked)
    forged = replace(copy, labels={**copy.labels, SYNC_UID_LABEL: uid})
    deleted = with_metadata(asked, deletion_timestamp=NOW)

    assert plan(observed(deleted, forged, served=served)).finalizer is held


def test_the_plan_of_a_missing_source_costs_in_proportion_to_the_copies() -> None:
    asked = sync(destinationNamespaces=["*"])
    names = [f"namespace-{number:05}" for number in range(10_000)]
    made = copy_of(asked)
    copies = [
        replace(
            made,
            namespace=name,
            annotations={**made.annotations, DESTINATION: f"{name}/config"},
        )
        for name in names
    ]
    seen = observed(
        asked, *copies, origin=None, namespaces={name: Namespace(name) for name in names}
    )
    planned: list[Plan] = []

    # Thread CPU time, measured at 0.05 s; with a search through all names for each copy, over 1 s.
    assert cpu_seconds(lambda: planned.append(plan(seen))) < 0.4
    assert is_empty(planned[0])
    assert planned[0].remaining == len(names)
