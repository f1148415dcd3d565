"""Bound the length of every log line, whatever a value in it quotes.

`logs.py` puts `bounded` before each renderer and uses `bounded_traceback` on consoles.
Lengths are those of the rendered text: a control character is six bytes in JSON.
"""

import io
import json
from typing import Any, TextIO

import structlog
from structlog.typing import EventDict, ExcInfo, WrappedLogger

VALUE_BYTES = 1 << 10
TRACEBACK_BYTES = 8 << 10
LINE_BYTES = (
    14 << 10
)  # of all values of a line together; keys, quotes and colors stay below the 16 KiB that log shippers take
TRACEBACKS = frozenset({"exception", "stack"})
FIRST = ("event", "level", "time", "exception")  # get their share before all others


def bounded(_logger: WrappedLogger, _method: str, event_dict: EventDict) -> EventDict:
    """Shorten each value of a log line, and leave out what is beyond the limit of the line."""
    left = LINE_BYTES
    short: dict[str, Any] = {}
    for key in sorted(event_dict, key=lambda key: FIRST.index(key) if key in FIRST else len(FIRST)):
        limit = min(left, TRACEBACK_BYTES if key in TRACEBACKS else VALUE_BYTES)
        if limit <= len(key):
            short["cut"] = "the line was too long"
            break
        short[key], size = _shortened(event_dict[key], limit)
        left -= size + len(key)
    return {key: short[key] for key in (*event_dict, "cut") if key in short}


def bounded_traceback(output: TextIO, exc_info: ExcInfo) -> None:
    """Write a traceback as structlog does in plain text, with its middle cut out where it is long."""
    text = io.StringIO()
    structlog.dev.plain_traceback(text, exc_info)
    output.write(shorten(text.getvalue(), TRACEBACK_BYTES))


def shorten(text: str, limit: int) -> str:
    """Return `text` with its middle cut out until it is at most `limit` bytes in JSON."""
    keep = len(text)
    short = text
    if keep > limit:
        keep = limit
        short = _without_middle(text, keep)
    while keep and (size := len(json.dumps(short))) > limit:
        keep = min(keep - 1, int(keep * limit / size))
        short = _without_middle(text, keep)
    return short


def _shortened(value: Any, limit: int) -> tuple[Any, int]:
    """Return what stands for `value`, and its size."""
    if value is None or isinstance(value, bool | int | float):
        return value, 24
    text = value if isinstance(value, str) else repr(value)
    short = shorten(text, limit)
    return (value if short == text else short), len(json.dumps(short))


def _without_middle(text: str, keep: int) -> str:
    head, tail = keep - keep // 3, keep // 3
    return f"{text[:head]} [{len(text) - keep} characters cut] {text[len(text) - tail :]}"
