"""Check the table of reasons: conditions, retries and events."""

import pytest

from configmapsync.reasons import Heals, Reason, Scope, State


def test_each_word_finds_its_reason_and_an_unknown_word_finds_none() -> None:
    assert [Reason.parse(str(reason)) for reason in Reason] == list(Reason)
    assert Reason.parse("WordOfAnotherVersion") is None


@pytest.mark.parametrize("reason", Reason)
def test_a_row_does_not_contradict_itself(reason: Reason) -> None:
    assert (reason.heals is Heals.NOT_NEEDED) == (reason.state is State.READY)
    if reason.heals is Heals.EDIT or reason.scope is Scope.CONFIGMAP or reason.unforeseen:
        assert reason.state is State.FAILED


def test_a_sync_is_stalled_only_if_an_edit_must_come_first() -> None:
    assert {reason for reason in Reason if reason.heals is Heals.EDIT} == {
        "InvalidSpec",
        "LoopDetected",
        "DestinationConflict",
        "DestinationContested",
        "TooLarge",
    }


def test_an_edit_of_the_source_is_still_on_its_way_while_a_write_is_retried() -> None:
    assert {reason for reason in Reason if reason.heals is Heals.RETRY} == {
        "Progressing",
        "WriteFailed",
    }


def test_a_taken_destination_can_become_free_without_an_edit_of_the_sync() -> None:
    assert {reason for reason in Reason if reason.taken} == {
        "DestinationConflict",
        "DestinationContested",
        "Progressing",
    }


def test_a_dry_run_cannot_foresee_what_only_a_write_shows() -> None:
    assert {reason for reason in Reason if reason.unforeseen} == {
        "Contested",
        "TooLarge",
        "WriteFailed",
    }


def test_a_configmap_gets_an_event_only_if_the_reason_describes_it() -> None:
    assert {reason for reason in Reason if reason.scope is Scope.CONFIGMAP} == {
        "Contested",
        "DestinationConflict",
        "DestinationContested",
        "TooLarge",
        "WriteFailed",
    }
