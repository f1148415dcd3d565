"""Check when a copy is contested, and how a plan defers its writes."""

from collections.abc import Iterable

import pytest

from configmapsync.contention import (
    REPAIRS,
    WINDOW_SECONDS,
    History,
    Owner,
    WriteRecord,
    contention_message,
    defer_contested,
    record_write,
)
from configmapsync.names import NamespacedName
from configmapsync.plans import ContestedCopy, Interference, Plan, Verb, Write
from configmapsync.reasons import Outcome, Reason
from configmapsync.rendering import copy_template
from tests.configmapsync.objects import source, sync

SAME, OTHER = 1, 2
PLACE = NamespacedName("there", "config")
ELSEWHERE = NamespacedName("elsewhere", "config")
DEFERRED = ContestedCopy(Interference.REMOVER, None, 30.0, 60.0)
DUE = ContestedCopy(Interference.REMOVER, None, 0.0, 60.0)


OWNER = Owner("uid-1", False, "uid-of-namespace")


def recorded(history: History | None, done: WriteRecord, *, drifted: bool = False) -> History:
    return record_write(history, done, OWNER, drifted=drifted)


def told(
    writes: Iterable[tuple[float, int]], found: str | None = "7", left: str | None = "8"
) -> History:
    """Return the history of writes, each with a content hash and a time."""
    history: History | None = None
    for at, content_hash in writes:
        history = recorded(history, WriteRecord(content_hash, at, found, left))
    assert history is not None
    return history


def test_a_copy_is_contested_after_the_fifth_repair_in_ten_minutes() -> None:
    writes = [(float(second), SAME) for second in range(REPAIRS + 1)]

    assert not told(writes[:-1]).contested
    assert told(writes).contested


def test_writes_after_edits_of_the_source_are_no_contention() -> None:
    assert not told((float(number), number) for number in range(100)).contested


def test_two_manual_changes_are_no_contention() -> None:
    assert not told([(0.0, SAME), (20.0, SAME), (40.0, SAME)]).contested


def test_rare_repairs_are_no_contention() -> None:
    assert not told(
        (number * WINDOW_SECONDS / (REPAIRS - 1), SAME) for number in range(50)
    ).contested


def test_an_edit_of_the_source_does_not_end_contention() -> None:
    fighting = told((float(second), SAME) for second in range(REPAIRS + 1))

    edited = recorded(fighting, WriteRecord(OTHER, 10.0, "7", "8"))

    assert edited.contested
    assert edited.repairs == fighting.repairs


def test_contention_lasts_with_one_write_a_minute_and_ends_after_the_window() -> None:
    fighting = told((float(second), SAME) for second in range(REPAIRS + 1))
    for minute in range(1, 60):
        fighting = recorded(fighting, WriteRecord(SAME, minute * 60.0, "7", "8"))
        assert fighting.contested

    assert not recorded(fighting, WriteRecord(SAME, 59 * 60.0 + WINDOW_SECONDS, "7", "8")).contested


def test_a_drifted_copy_without_history_counts_as_repaired() -> None:
    done = WriteRecord(SAME, 0.0, "7", "8")

    assert recorded(None, done, drifted=True).repairs == (0.0,)
    assert recorded(None, done).repairs == ()


@pytest.mark.parametrize(
    ("found", "left", "interference"),
    [
        ("9", "8", Interference.WRITER),
        (None, "8", Interference.REMOVER),
        ("8", "8", Interference.ADMISSION),
        ("9", None, Interference.REMOVER),
    ],
)
def test_the_versions_show_what_undoes_a_write(
    found: str | None, left: str | None, interference: Interference
) -> None:
    assert told([(0.0, SAME), (1.0, SAME)], found, left).interference is interference


def test_the_content_hash_covers_content_and_metadata() -> None:
    said = copy_template(sync(), source({"k": "1"})).content_hash

    assert said == copy_template(sync(), source({"k": "1"})).content_hash
    assert said != copy_template(sync(), source({"k": "2"})).content_hash
    assert (
        said
        != copy_template(
            sync(metadata={"labels": {"team": "web"}}), source({"k": "1"})
        ).content_hash
    )


def test_a_plan_without_contested_copies_is_unchanged() -> None:
    planned = Plan(writes=(Write(Verb.CREATE, PLACE, "there is no copy"),))

    assert defer_contested(planned, "config", {}) is planned
    assert defer_contested(planned, "config", {ELSEWHERE: DUE}) == planned


def test_a_contested_copy_is_neither_written_nor_removed_nor_synced() -> None:
    right, former = NamespacedName("right", "config"), NamespacedName("there", "former")
    planned = Plan(
        writes=(Write(Verb.CREATE, PLACE, ""), Write(Verb.CREATE, ELSEWHERE, "")),
        removals=(Write(Verb.DELETE, former, ""),),
        settled=(
            Outcome("right", Reason.SYNCED),
            Outcome("taken", Reason.DESTINATION_CONFLICT, "theirs"),
        ),
        finalizer=True,
    )
    contested = {
        PLACE: DEFERRED,
        right: DEFERRED,
        former: DEFERRED,
        NamespacedName("taken", "config"): DEFERRED,
    }

    made = defer_contested(planned, "config", contested)

    assert [write.key for write in made.writes] == [ELSEWHERE]
    assert made.removals == ()
    assert set(made.settled) == {
        Outcome("there", Reason.CONTESTED, contention_message(PLACE, DEFERRED)),
        Outcome("right", Reason.CONTESTED, contention_message(right, DEFERRED)),
        Outcome("taken", Reason.DESTINATION_CONFLICT, "theirs"),
    }
    assert made.leftovers == (
        Outcome("there", Reason.CONTESTED, contention_message(former, DEFERRED)),
    )
    assert made.finalizer


def test_a_contested_copy_that_is_due_is_written_and_still_contested() -> None:
    planned = Plan(writes=(Write(Verb.UPDATE, PLACE, ""), Write(Verb.UPDATE, ELSEWHERE, "")))

    made = defer_contested(planned, "config", {PLACE: DUE})

    assert made.writes == (
        Write(Verb.UPDATE, PLACE, "", contested=contention_message(PLACE, DUE)),
        Write(Verb.UPDATE, ELSEWHERE, ""),
    )
    assert made.requeue_after == 60.0


def test_a_contested_copy_that_stayed_up_to_date_is_synced() -> None:
    planned = Plan(settled=(Outcome("there", Reason.SYNCED),))

    made = defer_contested(planned, "config", {PLACE: DUE})

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
def test_the_message_names_the_interference(
    interference: Interference, manager: str | None, expected: str
) -> None:
    said = contention_message(PLACE, ContestedCopy(interference, manager, 30.0, 60.0))

    assert said == f"{expected}; until that stops, it is written at most every 60 s"
