"""Tables, ages and colours are those of kubectl; text cannot control the terminal."""

import json
from datetime import UTC, datetime, timedelta

import click
import pytest

from plugin.rows import DELETING, NOT_REPORTED, OUTDATED, row_of, status_table
from plugin.terminal import age, painted, printable, rendered, shortened, table
from tests.plugin.objects import sync_record

NOW = datetime(2026, 11, 28, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-5, "0s"),
        (0, "0s"),
        (119, "119s"),
        (125, "2m5s"),
        (180, "3m"),
        (601, "10m"),
        (3 * 3600 + 60, "3h1m"),
        (9 * 3600, "9h"),
        (47 * 3600, "47h"),
        (2 * 86400 + 7200, "2d2h"),
        (400 * 86400, "400d"),
    ],
)
def test_an_age_is_printed_as_kubectl_prints_it(seconds: int, text: str) -> None:
    assert age(NOW - timedelta(seconds=seconds), NOW) == text
    assert age(None, NOW) == "<unknown>"


@pytest.mark.parametrize(
    "hostile", ["\x1b[2J", "a\rb", "\x07", "\u202e", "\x9b31m", "\x00", "line\nline"]
)
def test_control_characters_of_a_cluster_do_not_reach_the_terminal(hostile: str) -> None:
    assert printable(printable(hostile)).isprintable()
    record = sync_record(reason="WriteFailed", message=hostile, failures={hostile: hostile})
    for wide in (False, True):
        for line in status_table([row_of(record)], NOW, wide=wide):
            assert click.unstyle(line).isprintable()
    for output in ("json", "yaml"):
        for line in rendered(row_of(record), output).splitlines():
            assert line.isprintable()


def test_colors_do_not_shift_the_columns() -> None:
    rows = [(painted("Synced", "Synced"), "x"), (painted("WriteFailed", "WriteFailed"), "y")]
    lines = [click.unstyle(line) for line in table(("STATE", "Z"), rows)]
    assert lines == ["STATE         Z", "Synced        x", "WriteFailed   y"]
    assert painted("a", "Synced") != painted("a", "WriteFailed") != painted("a", "Progressing")


def test_a_long_text_is_cut_with_a_sign() -> None:
    assert shortened("abcdef", 6) == "abcdef"
    assert shortened("abcdefg", 6) == "abcde…"


def test_the_state_is_never_taken_from_an_outdated_or_missing_status() -> None:
    assert row_of(sync_record(reason="")).state == NOT_REPORTED
    assert row_of(sync_record(generation=2)).state == OUTDATED
    assert row_of(sync_record(deleting=True)).state == DELETING


def test_the_last_failure_is_the_first_destination_else_the_whole_sync() -> None:
    many = sync_record(reason="WriteFailed", failures={"b": "WriteFailed", "a": "Contested"})
    assert row_of(many).last_failure == "a: Contested (and 1 more): the message of Contested"
    whole = sync_record(reason="SourceNotFound", message="source not found")
    assert row_of(whole).last_failure == "source not found"
    assert row_of(sync_record()).last_failure == "-"


def test_an_invalid_spec_has_a_row() -> None:
    record = sync_record(reason="InvalidSpec", message="spec.keys: wrong", configMapName=7)
    assert status_table([row_of(record)], NOW, wide=True)[1].split()[2] == "-"
    assert json.loads(rendered(row_of(record), "json"))["message"] == "spec.keys: wrong"
