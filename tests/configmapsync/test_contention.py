"""What is a fight and what is none, and that nobody is called right or wrong in one too soon."""

from collections.abc import Iterable

import pytest

from configmapsync.contention import (
    REPAIRS,
    WINDOW_SECONDS,
    History,
    Interference,
    WriteRecord,
    contention_message,
    defer_contested,
    mark_contested,
    record_write,
)
from configmapsync.names import NamespacedName
from configmapsync.plans import ContestedCopy, Outcome, Plan, Verb, Write
from configmapsync.reasons import Reason
from configmapsync.rendering import copy_template
from tests.configmapsync.objects import source, sync

SAME, OTHER = 1, 2
PLACE = NamespacedName("there", "config")
ELSEWHERE = NamespacedName("elsewhere", "config")


def told(
    writes: Iterable[tuple[float, int]], found: str | None = "7", left: str | None = "8"
) -> History:
    """The history of writes that say something at some time."""
    history: History | None = None
    for at, content_hash in writes:
        history = record_write(history, WriteRecord(content_hash, at, found, left))
    assert history is not None
    return history


def test_the_fifth_repair_in_ten_minutes_makes_a_fight_and_the_fourth_does_not() -> None:
    writes = [(float(second), SAME) for second in range(REPAIRS + 1)]

    assert not told(writes[:-1]).contested
    assert told(writes).contested


def test_writes_that_follow_edits_of_the_source_make_no_fight() -> None:
    assert not told((float(number), number) for number in range(100)).contested


def test_a_person_who_repairs_twice_makes_no_fight() -> None:
    assert not told([(0.0, SAME), (20.0, SAME), (40.0, SAME)]).contested


def test_repairs_far_apart_make_no_fight() -> None:
    assert not told(
        (number * WINDOW_SECONDS / (REPAIRS - 1), SAME) for number in range(50)
    ).contested


def test_an_edit_of_the_source_does_not_end_a_fight() -> None:
    fighting = told((float(second), SAME) for second in range(REPAIRS + 1))

    edited = record_write(fighting, WriteRecord(OTHER, 10.0, "7", "8"))

    assert edited.contested
    assert edited.repairs == fighting.repairs


def test_a_fight_with_one_write_a_minute_goes_on_and_is_forgotten_when_it_stopped_for_long() -> (
    None
):
    fighting = told((float(second), SAME) for second in range(REPAIRS + 1))
    for minute in range(1, 60):
        fighting = record_write(fighting, WriteRecord(SAME, minute * 60.0, "7", "8"))
        assert fighting.contested

    assert not record_write(
        fighting, WriteRecord(SAME, 59 * 60.0 + WINDOW_SECONDS, "7", "8")
    ).contested


def test_a_copy_that_shows_what_it_said_before_is_repaired_even_if_nobody_remembers() -> None:
    done = WriteRecord(SAME, 0.0, "7", "8")

    assert record_write(None, done, drifted=True).repairs == (0.0,)
    assert record_write(None, done).repairs == ()


@pytest.mark.parametrize(
    ("found", "left", "interference"),
    [
        ("9", "8", Interference.WRITER),
        (None, "8", Interference.REMOVER),
        ("8", "8", Interference.ADMISSION),
        ("9", None, Interference.REMOVER),
    ],
)
def test_the_versions_show_who_undoes_our_writes(
    found: str | None, left: str | None, interference: Interference
) -> None:
    assert told([(0.0, SAME), (1.0, SAME)], found, left).interference is interference


def test_a_write_says_its_content_and_its_metadata() -> None:
    said = copy_template(sync(), source({"k": "1"})).content_hash

    assert said == copy_template(sync(), source({"k": "1"})).content_hash
    assert said != copy_template(sync(), source({"k": "2"})).content_hash
    assert (
        said
        != copy_template(
            sync(metadata={"labels": {"team": "web"}}), source({"k": "1"})
        ).content_hash
    )


def test_a_plan_outside_of_every_fight_is_carried_out_whole() -> None:
    planned = Plan(writes=(Write(Verb.CREATE, PLACE, "there is no copy"),))

    assert defer_contested(planned, "config", {}) is planned
    assert (
        defer_contested(planned, "config", {ELSEWHERE: ContestedCopy("why", deferred=False)})
        == planned
    )


def test_what_is_contested_is_neither_written_nor_removed_nor_called_right() -> None:
    right = NamespacedName("right", "config")
    planned = Plan(
        writes=(Write(Verb.CREATE, PLACE, ""), Write(Verb.CREATE, ELSEWHERE, "")),
        removals=(Write(Verb.DELETE, NamespacedName("there", "former"), ""),),
        settled=(
            Outcome("right", Reason.SYNCED),
            Outcome("taken", Reason.DESTINATION_CONFLICT, "theirs"),
        ),
        finalizer=True,
    )
    contested = {
        PLACE: ContestedCopy("at it", deferred=True),
        right: ContestedCopy("at it", deferred=True),
        NamespacedName("there", "former"): ContestedCopy("at that", deferred=True),
        NamespacedName("taken", "config"): ContestedCopy("at it", deferred=True),
    }

    made = defer_contested(planned, "config", contested)

    assert [write.key for write in made.writes] == [ELSEWHERE]
    assert made.removals == ()
    assert set(made.settled) == {
        Outcome("there", Reason.CONTESTED, "at it"),
        Outcome("right", Reason.CONTESTED, "at it"),
        Outcome("taken", Reason.DESTINATION_CONFLICT, "theirs"),
    }
    assert made.leftovers == (Outcome("there", Reason.CONTESTED, "at that"),)
    assert made.finalizer


def test_a_contested_copy_that_is_due_is_written_and_still_not_called_right() -> None:
    planned = Plan(writes=(Write(Verb.UPDATE, PLACE, ""),))

    made = defer_contested(planned, "config", {PLACE: ContestedCopy("at it", deferred=False)})

    assert made.writes == planned.writes
    written = (Outcome("there", Reason.SYNCED), Outcome("elsewhere", Reason.SYNCED))
    assert mark_contested(written, "config", made.contested) == (
        Outcome("there", Reason.CONTESTED, "at it"),
        Outcome("elsewhere", Reason.SYNCED),
    )


def test_a_contested_copy_that_has_stayed_right_is_right() -> None:
    planned = Plan(settled=(Outcome("there", Reason.SYNCED),))

    made = defer_contested(planned, "config", {PLACE: ContestedCopy("at it", deferred=False)})

    assert made == planned


@pytest.mark.parametrize(
    ("interference", "manager", "expected"),
    [
        (
            Interference.WRITER,
            "argocd-controller",
            'field manager "argocd-controller" keeps rewriting ConfigMap "there/config"',
        ),
        (Interference.WRITER, None, 'something keeps rewriting ConfigMap "there/config"'),
        (
            Interference.REMOVER,
            None,
            'something keeps deleting ConfigMap "there/config", or bringing it back',
        ),
        (
            Interference.ADMISSION,
            None,
            'an admission webhook changes what is written to ConfigMap "there/config"',
        ),
    ],
)
def test_people_are_told_who_it_is(
    interference: Interference, manager: str | None, expected: str
) -> None:
    said = contention_message(PLACE, interference, manager, 60.0)

    assert said == f"{expected}; until that stops, it is written at most every 60 s"
