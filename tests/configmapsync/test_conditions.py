"""Check the status, and that it stays equal in an unchanged cluster."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from configmapsync.conditions import Report, status
from configmapsync.crd import custom_resource_definition
from configmapsync.reasons import Heals, Outcome, Reason
from configmapsync.status import MOST_LISTED_FAILURES, ConfigMapSyncStatus, DestinationCounts
from tests.configmapsync import objects
from tests.configmapsync.objects import read_status, source, stored_status, sync

NOW = datetime(2026, 1, 1, tzinfo=UTC)
LATER = NOW + timedelta(hours=1)
FINE = tuple(Outcome(f"ns-{number}", Reason.SYNCED) for number in range(3))


def report(
    *outcomes: Outcome, previous: ConfigMapSyncStatus | None = None, **more: object
) -> Report:
    return objects.report(
        generation=4,
        previous=previous,
        outcomes=outcomes,
        **({"source": source(), "digest": "sha256:1"} | more),
    )  # type: ignore[arg-type]


def summary(made: ConfigMapSyncStatus) -> dict[str, tuple[str, str]]:
    return {condition.type: (condition.status, condition.reason) for condition in made.conditions}


def test_all_copies_right_is_ready() -> None:
    made = status(report(*FINE, wrote=True), NOW)

    assert summary(made) == {
        "Ready": ("True", "Synced"),
        "Reconciling": ("False", "Synced"),
        "Stalled": ("False", "Synced"),
    }
    assert made.summary == "3/3"
    assert made.last_sync_time == NOW
    assert made.source is not None
    assert made.source.resource_version == "5"
    assert {condition.observed_generation for condition in made.conditions} == {4}


def test_one_failure_makes_it_unready_and_names_the_namespace() -> None:
    made = status(report(*FINE, Outcome("bad", Reason.WRITE_FAILED, "no")), NOW)

    assert summary(made)["Ready"] == ("False", "WriteFailed")
    assert summary(made)["Reconciling"][0] == "True"
    assert made.conditions[0].message == "1 of 4 destinations failed: bad: no"
    assert made.summary == "3/4"
    assert [(failure.namespace, failure.reason) for failure in made.failures] == [
        ("bad", "WriteFailed")
    ]


def test_a_failure_that_needs_an_edit_is_stalled() -> None:
    made = status(report(*FINE, Outcome("bad", Reason.DESTINATION_CONFLICT, "there")), NOW)

    assert summary(made)["Stalled"] == ("True", "DestinationConflict")
    assert summary(made)["Reconciling"][0] == "False"


def test_the_most_frequent_reason_is_that_of_ready_and_the_list_is_bounded_and_sorted() -> None:
    failures = [
        Outcome(f"f-{number:03}", Reason.WRITE_FAILED, "no") for number in reversed(range(50))
    ]
    made = status(report(*failures, Outcome("a", Reason.TOO_LARGE, "big")), NOW)

    assert summary(made)["Ready"] == ("False", "WriteFailed")
    assert len(made.failures) == MOST_LISTED_FAILURES
    assert [failure.namespace for failure in made.failures] == sorted(
        failure.namespace for failure in made.failures
    )
    assert made.destinations is not None
    assert made.destinations.failed == 51


def test_the_reasons_of_a_status_are_plain_text_as_in_a_status_that_was_read() -> None:
    made = status(report(Outcome("bad", Reason.WRITE_FAILED, "no")), NOW)
    read = read_status(stored_status(made))

    assert read is not None
    for one in (made, read):
        reasons = [part.reason for part in (*one.conditions, *one.failures)]
        assert {(type(reason), reason) for reason in reasons} == {(str, "WriteFailed")}
    assert {hash(failure) for failure in made.failures} == {
        hash(failure) for failure in read.failures
    }


def test_work_under_way_is_progress_not_failure() -> None:
    made = status(report(*FINE, Outcome("slow", Reason.PROGRESSING)), NOW)

    assert summary(made)["Ready"] == ("False", "Progressing")
    assert made.conditions[0].message == "3 of 4 copies are up to date"
    assert made.failures == ()


def test_a_removal_in_progress_is_not_up_to_date() -> None:
    removing = Outcome("old", Reason.PROGRESSING, "the copy is to be deleted")

    made = status(report(*FINE, leftovers=(removing,)), NOW)

    assert summary(made)["Ready"] == ("False", "Progressing")
    assert made.conditions[0].message == "3 of 4 copies are up to date"


def test_a_leftover_is_a_failure_but_no_destination() -> None:
    made = status(
        report(*FINE, leftovers=(Outcome("old", Reason.WRITE_FAILED, "may not delete"),)), NOW
    )

    assert made.destinations is not None
    assert (made.destinations.desired, made.destinations.failed) == (3, 1)
    assert summary(made)["Ready"][0] == "False"


@pytest.mark.parametrize(
    ("reason", "keeps_source"),
    [(Reason.SUSPENDED, True), (Reason.SOURCE_NOT_FOUND, False), (Reason.INVALID_SPEC, True)],
)
def test_a_verdict_keeps_what_was_counted_before(reason: Reason, keeps_source: bool) -> None:
    previous = status(report(*FINE, wrote=True), NOW)

    made = status(
        report(
            previous=previous, verdict=Outcome("", reason, "so it is"), source=None, digest=None
        ),
        LATER,
    )

    assert made.summary == "3/3"
    assert made.last_sync_time == NOW
    assert summary(made)["Ready"] == (
        "True" if reason is Reason.SUSPENDED else "False",
        str(reason),
    )
    assert (made.source is not None) == keeps_source


def test_an_unchanged_cluster_gives_the_same_status() -> None:
    for outcomes in (FINE, (*FINE, Outcome("bad", Reason.WRITE_FAILED, "no")), ()):
        once = status(report(*outcomes), NOW)

        assert status(report(*outcomes, previous=once), LATER) == once


def test_a_transition_gets_a_new_time_and_a_new_reason_alone_does_not() -> None:
    once = status(report(*FINE), NOW)
    broken = status(report(Outcome("bad", Reason.WRITE_FAILED, "no"), previous=once), LATER)
    otherwise = status(
        report(Outcome("bad", Reason.TOO_LARGE, "big"), previous=broken), LATER + timedelta(hours=1)
    )

    assert [condition.last_transition_time for condition in broken.conditions] == [
        LATER,
        LATER,
        NOW,
    ]
    assert otherwise.conditions[0].last_transition_time == LATER


def test_a_sync_that_selects_no_namespace_is_ready_and_the_message_says_it() -> None:
    assert status(report(), NOW).conditions[0].message == "no namespace is selected"
    assert status(report(FINE[0]), NOW).conditions[0].message == "1 copy is up to date"


def test_a_selection_of_keys_that_matches_nothing_is_named_and_the_sync_stays_ready() -> None:
    keys = sync(
        keys=[{"key": key} for key in ("a.yaml", "*.yml", "b", "*.yaml", "b*", "?")]
    ).spec.keys
    made = status(report(*FINE, source=source({"a.yaml": "1"}), keys=keys), NOW)

    assert summary(made)["Ready"] == ("True", "Synced")
    assert made.conditions[0].message == (
        'all 3 copies are up to date; spec.keys[1] "*.yml" matches no key of the source; '
        'spec.keys[2] "b" matches no key of the source; '
        'spec.keys[4] "b*" matches no key of the source; and 1 more'
    )


def kstatus(made: ConfigMapSyncStatus, generation: int) -> str:
    """Return what kstatus (used by Helm and Flux) computes for a custom resource."""
    conditions = {condition.type: condition.status for condition in made.conditions}
    if made.observed_generation is not None and made.observed_generation != generation:
        return "InProgress"
    if conditions.get("Reconciling") == "True":
        return "InProgress"
    if conditions.get("Stalled") == "True":
        return "Failed"
    return "InProgress" if conditions.get("Ready", "True") != "True" else "Current"


@pytest.mark.parametrize("reason", list(Reason))
def test_kstatus_waits_unless_the_sync_is_ready_or_stalled(reason: Reason) -> None:
    made = status(report(verdict=Outcome("", reason, "so it is")), NOW)

    wanted = {Reason.SYNCED: "Current", Reason.SUSPENDED: "Current"} | {
        reason: "Failed" for reason in Reason if reason.heals is Heals.EDIT
    }
    assert kstatus(made, 4) == wanted.get(reason, "InProgress")
    assert kstatus(made, 5) == "InProgress"


def test_kstatus_waits_before_the_first_reconcile() -> None:
    schema = custom_resource_definition()["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    created = read_status(schema["properties"]["status"]["default"])

    assert created is not None
    assert kstatus(created, 1) == "InProgress"
    assert kstatus(status(report(*FINE, previous=created), NOW), 4) == "Current"


outcomes = st.lists(
    st.builds(Outcome, st.sampled_from("abc"), st.sampled_from(Reason), st.just("why")), max_size=30
)
rounds = st.lists(
    st.tuples(
        outcomes, outcomes, st.none() | st.builds(Outcome, st.just(""), st.sampled_from(Reason))
    ),
    min_size=1,
    max_size=4,
)


@settings(max_examples=300, deadline=None)
@given(rounds, st.none() | st.integers(0, 3))
def test_counts_summary_and_failures_never_contradict_each_other(
    rounds: list[Any], failed_before: int | None
) -> None:
    previous = None
    if failed_before is not None:  # as an older version wrote it with a verdict
        previous = ConfigMapSyncStatus(
            destinations=DestinationCounts(desired=3, failed=failed_before), summary="0/3"
        )
    for written, leftovers, verdict in rounds:
        previous = status(
            report(*written, leftovers=tuple(leftovers), verdict=verdict, previous=previous), NOW
        )

        counts = previous.destinations
        assert len(previous.failures) == (min(counts.failed, MOST_LISTED_FAILURES) if counts else 0)
        assert previous.summary == (f"{counts.synced}/{counts.desired}" if counts else None)
        if verdict is None:
            assert counts is not None
            assert (counts.desired, counts.failed == 0) == (len(written), not previous.failures)


def test_long_messages_are_cut() -> None:
    assert (
        len(
            status(report(Outcome("bad", Reason.WRITE_FAILED, "x" * 5000)), NOW)
            .conditions[0]
            .message
        )
        <= 1024
    )


def test_a_sync_that_may_not_write_counts_only_the_copies_that_stay() -> None:
    before = status(report(*FINE), NOW)
    denied = Outcome("", Reason.NOT_AUTHORIZED, "may not create")

    withdrawn = status(report(previous=before, verdict=denied, remaining=0), LATER)
    suspended = status(report(previous=before, verdict=denied, remaining=5), LATER)

    assert (withdrawn.summary, suspended.summary) == ("0/3", "3/3")
    assert status(report(previous=withdrawn, verdict=denied, remaining=0), LATER) == withdrawn
