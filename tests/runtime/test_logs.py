"""Check that an event becomes one line, and that the level can change at run time."""

import io
import json
import logging
import re
from typing import Any

import pytest
import structlog

from runtime import logs


def written(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_our_lines_and_those_of_libraries_go_through_one_door() -> None:
    stream = io.StringIO()
    logs.configure("json", "info", stream)

    structlog.get_logger("ours").info("done", sync="team/config")
    logging.getLogger("theirs").warning("careful")

    assert [(line["event"], line["level"]) for line in written(stream)] == [
        ("done", "info"),
        ("careful", "warning"),
    ]
    assert written(stream)[0]["sync"] == "team/config"


@pytest.mark.parametrize("usual", ["info", "warning", "error"])
def test_the_level_is_raised_to_debug_and_lowered_to_what_it_was_for_loggers_that_are_bound_already(
    usual: str,
) -> None:
    stream = io.StringIO()
    verbosity = logs.configure("json", usual, stream)  # type: ignore[arg-type]
    bound = structlog.get_logger("ours").bind(path="/things")

    for number in range(3):
        bound.debug("detail", number=number)
        verbosity.toggle()

    assert [line["number"] for line in written(stream) if line["event"] == "detail"] == [1]


def test_what_prints_whole_requests_never_writes_debug_lines() -> None:
    stream = io.StringIO()
    logs.configure("json", "info", stream).toggle()

    for library in logs.CHATTY_LIBRARIES:
        logging.getLogger(library).debug("a whole body")

    assert [line for line in written(stream) if line["event"] == "a whole body"] == []


def test_a_traceback_has_no_values_of_variables_in_either_format() -> None:
    for form in ("json", "console"):
        stream = io.StringIO()
        logs.configure(form, "debug", stream)  # type: ignore[arg-type]
        password = "canary"
        try:
            raise RuntimeError(f"something of {len(password)} characters")
        except RuntimeError:
            structlog.get_logger("ours").exception("failed")
        assert "something of 6 characters" in stream.getvalue()
        assert "canary" not in stream.getvalue()


LONGEST_LINE = 16 << 10
LONG = [
    "x" * 10_000_000,
    "\x00" * 5_000,
    "\N{PILE OF POO}" * 100_000,
    ["nested"] * 100_000,
    {"key": "<" * 100_000},
    b"\xff" * 100_000,
]


@pytest.mark.parametrize("value", LONG, ids=lambda value: type(value).__name__)
@pytest.mark.parametrize("log_format", ["json", "console"])
def test_no_line_is_longer_than_16_kibibytes(value: Any, log_format: Any) -> None:
    def fail() -> None:
        raise ValueError(value)

    stream = io.StringIO()
    logs.configure(log_format, "info", stream)
    structlog.get_logger("ours").info(
        "done", short="kept", **{f"value_{number}": value for number in range(100)}
    )
    structlog.get_logger("ours").info(str(value))
    logging.getLogger("theirs").warning("%s", value)
    for logger in (structlog.get_logger("ours"), logging.getLogger("theirs")):
        try:
            fail()
        except ValueError:
            logger.exception("failed")

    separator = r"\n" if log_format == "json" else r"\[(?:info|warning|error) "
    entries = re.split(separator, stream.getvalue())
    assert max(len(entry.encode()) for entry in entries) <= LONGEST_LINE
    assert stream.getvalue().count("failed") == 2
    assert stream.getvalue().count("in fail") == 2  # a traceback keeps its head
    if log_format == "json":
        assert [line["event"] for line in written(stream)].count("done") == 1
        assert written(stream)[0]["short"] == "kept"


def test_short_values_stay_what_they_are() -> None:
    stream = io.StringIO()
    logs.configure("json", "info", stream)
    structlog.get_logger("ours").info(
        "done", number=1, nothing=None, names=["a", "b"], text="é" * 100
    )
    line = written(stream)[0]
    assert (line["number"], line["nothing"], line["names"], line["text"]) == (
        1,
        None,
        ["a", "b"],
        "é" * 100,
    )
    assert "cut" not in line
