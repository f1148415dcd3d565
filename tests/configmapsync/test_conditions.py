"""One status from many outcomes: what it says, what it keeps, and that it does not move by itself."""

from datetime import UTC, datetime, timedelta

import pytest

from configmapsync.conditions import MOST_FAILURES, Report, status
from configmapsync.planning import Outcome
from configmapsync.reasons import Reason
from configmapsync.resource import ConfigMapSyncStatus
from tests.configmapsync.objects import source

NOW = datetime(2026, 1, 1, tzinfo=UTC)
LATER = NOW + timedelta(hours=1)
FINE = tuple(Outcome(f"ns-{number}", Reason.SYNCED) for number in range(3))


def report(*outcomes: Outcome, former: ConfigMapSyncStatus | None = None, **more: object) -> Report:
    return Report(generation=4, former=former, outcomes=outcomes, **({"source": source(), "digest": "sha256:1"} | more))  # type: ignore[arg-type]


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
    assert [(failure.namespace, failure.reason) for failure in made.failures] == [("bad", "WriteFailed")]


def test_what_only_a_person_can_mend_is_stalled() -> None:
    made = status(report(*FINE, Outcome("bad", Reason.DESTINATION_CONFLICT, "there")), NOW)

    assert summary(made)["Stalled"] == ("True", "DestinationConflict")
    assert summary(made)["Reconciling"][0] == "False"


def test_the_commonest_reason_speaks_for_all_and_the_list_is_bounded_and_sorted() -> None:
    failures = [Outcome(f"f-{number:03}", Reason.WRITE_FAILED, "no") for number in reversed(range(50))]
    made = status(report(*failures, Outcome("a", Reason.TOO_LARGE, "big")), NOW)

    assert summary(made)["Ready"] == ("False", "WriteFailed")
    assert len(made.failures) == MOST_FAILURES
    assert [failure.namespace for failure in made.failures] == sorted(failure.namespace for failure in made.failures)
    assert made.destinations is not None
    assert made.destinations.failed == 51


def test_work_under_way_is_progress_not_failure() -> None:
    made = status(report(*FINE, Outcome("slow", Reason.PROGRESSING)), NOW)

    assert summary(made)["Ready"] == ("False", "Progressing")
    assert made.conditions[0].message == "3 of 4 copies are up to date"
    assert made.failures == ()


def test_a_leftover_is_a_failure_but_no_destination() -> None:
    made = status(report(*FINE, leftovers=(Outcome("old", Reason.WRITE_FAILED, "may not delete"),)), NOW)

    assert made.destinations is not None
    assert (made.destinations.desired, made.destinations.failed) == (3, 1)
    assert summary(made)["Ready"][0] == "False"


@pytest.mark.parametrize(
    ("reason", "keeps_source"),
    [(Reason.SUSPENDED, True), (Reason.SOURCE_NOT_FOUND, False), (Reason.INVALID_SPEC, True)],
)
def test_a_verdict_keeps_what_was_counted_before(reason: Reason, keeps_source: bool) -> None:
    former = status(report(*FINE, wrote=True), NOW)

    made = status(report(former=former, verdict=Outcome("", reason, "so it is"), source=None, digest=None), LATER)

    assert made.summary == "3/3"
    assert made.last_sync_time == NOW
    assert summary(made)["Ready"] == ("True" if reason is Reason.SUSPENDED else "False", str(reason))
    assert (made.source is not None) == keeps_source


def test_a_world_that_stands_still_gives_the_same_status_again() -> None:
    for outcomes in (FINE, (*FINE, Outcome("bad", Reason.WRITE_FAILED, "no")), ()):
        once = status(report(*outcomes), NOW)

        assert status(report(*outcomes, former=once), LATER) == once


def test_a_transition_gets_a_new_time_and_a_new_reason_alone_does_not() -> None:
    once = status(report(*FINE), NOW)
    broken = status(report(Outcome("bad", Reason.WRITE_FAILED, "no"), former=once), LATER)
    otherwise = status(report(Outcome("bad", Reason.TOO_LARGE, "big"), former=broken), LATER + timedelta(hours=1))

    assert [condition.last_transition_time for condition in broken.conditions] == [LATER, LATER, NOW]
    assert otherwise.conditions[0].last_transition_time == LATER


def test_no_namespace_selected_is_ready_and_says_so() -> None:
    assert status(report(), NOW).conditions[0].message == "no namespace is selected"
    assert status(report(FINE[0]), NOW).conditions[0].message == "1 copy is up to date"


def test_long_messages_are_cut() -> None:
    assert len(status(report(Outcome("bad", Reason.WRITE_FAILED, "x" * 5000)), NOW).conditions[0].message) <= 1024
