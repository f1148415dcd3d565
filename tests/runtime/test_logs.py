"""One line for one event, whoever writes it, and a level that can be changed while the process runs."""

import io
import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest
import structlog

from runtime import logs


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    """Logging is the process's: put back what was."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()


def written(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_our_lines_and_those_of_libraries_go_through_one_door() -> None:
    stream = io.StringIO()
    logs.configure("json", "info", stream)

    structlog.get_logger("ours").info("done", sync="team/config")
    logging.getLogger("theirs").warning("careful")

    assert [(line["event"], line["level"]) for line in written(stream)] == [("done", "info"), ("careful", "warning")]
    assert written(stream)[0]["sync"] == "team/config"


@pytest.mark.parametrize("usual", ["info", "warning", "error"])
def test_the_level_is_raised_to_debug_and_lowered_to_what_it_was_for_loggers_that_are_bound_already(usual: str) -> None:
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
