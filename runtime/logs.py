"""Configure structured logs: one line for each event, with named values.

Each process calls `configure` once (`lifecycle.py`), and so do the `plan` command and
the plugin. The loggers of libraries (aiohttp, asyncio) use the same output. A log line
must not contain values of a ConfigMap, and has at most 16 KiB, whatever it quotes.
"""

import io
import json
import logging
import sys
from typing import Any, TextIO

import structlog
from structlog.typing import EventDict, ExcInfo, Processor, WrappedLogger

from runtime.settings import LogFormat, LogLevel

# At DEBUG these print whole request bodies.
CHATTY_LIBRARIES = ("aiohttp.access", "asyncio", "kubernetes_asyncio")
VALUE_BYTES = 1 << 10
TRACEBACK_BYTES = 8 << 10
# All values of a line together. With keys, quotes and colors it stays below the 16 KiB that
# log shippers accept.
LINE_BYTES = 14 << 10
TRACEBACKS = frozenset({"exception", "stack"})
FIRST_KEYS = frozenset({"event", "level", "time", "exception"})  # these get their share first


class Verbosity:
    """The log level of the process: the configured one, or debug."""

    def __init__(self, level: int) -> None:
        self._usual = level
        self._set(level)

    def toggle(self) -> None:
        """Switch to debug, or back to the configured level."""
        debug = logging.getLogger().level == logging.DEBUG
        level = self._usual if debug else logging.DEBUG
        self._set(level)
        structlog.get_logger("logs").warning(
            "the log level has changed", log_level=logging.getLevelName(level).lower()
        )

    def _set(self, level: int) -> None:
        logging.getLogger().setLevel(level)
        for library in CHATTY_LIBRARIES:
            logging.getLogger(library).setLevel(max(level, logging.WARNING))


def configure(log_format: LogFormat, level: LogLevel, stream: TextIO | None = None) -> Verbosity:
    """Route every log line of the process to `stream`.

    Args:
        log_format: json for machines, console for people.
        level: the least severe level that is logged.
        stream: standard error by default.
    """
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"),
    ]
    renderer: list[Processor] = (
        [structlog.processors.format_exc_info, bounded, structlog.processors.JSONRenderer()]
        if log_format == "json"
        # Richer tracebacks print the values of local variables.
        else [
            bounded,
            structlog.dev.ConsoleRenderer(
                colors=(stream or sys.stderr).isatty(), exception_formatter=bounded_traceback
            ),
        ]
    )
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *renderer],
        )
    )
    logging.getLogger().handlers[:] = [handler]
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,  # asked at each line, so that the level can change
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        wrapper_class=structlog.stdlib.BoundLogger,
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
    return Verbosity(logging.getLevelNamesMapping()[level.upper()])


def bounded(_logger: WrappedLogger, _method: str, event_dict: EventDict) -> EventDict:
    """Shorten each value of a log line, and leave out what is beyond the limit of the line."""
    left = LINE_BYTES
    short: dict[str, Any] = {}
    for key in sorted(event_dict, key=lambda key: key not in FIRST_KEYS):
        limit = min(left, TRACEBACK_BYTES if key in TRACEBACKS else VALUE_BYTES)
        if limit <= len(key):
            short["cut"] = "the line was too long"
            break
        short[key], size = _shortened(event_dict[key], limit)
        left -= size + len(key)
    return {key: short[key] for key in (*event_dict, "cut") if key in short}


def bounded_traceback(output: TextIO, exc_info: ExcInfo) -> None:
    """Write a traceback as plain text; cut the middle out of a long one."""
    text = io.StringIO()
    structlog.dev.plain_traceback(text, exc_info)
    output.write(shorten(text.getvalue(), TRACEBACK_BYTES))


def shorten(text: str, limit: int) -> str:
    """Return `text` with its middle cut out until it is at most `limit` bytes in JSON."""
    keep = min(len(text), limit)
    short = text if keep == len(text) else _without_middle(text, keep)
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
