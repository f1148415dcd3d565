"""Structured logs: a constant message with named values, one line an event, on standard error.

The standard library's loggers (aiohttp, asyncio) go through the same door. Values of a
ConfigMap never come here, and no line is longer than 16 KiB (`log_limits.py`). The
level can be changed while the process runs: `lifecycle.py` calls `Verbosity.toggle` for
SIGUSR1.
"""

import logging
import sys
from typing import TextIO

import structlog
from structlog.typing import Processor

from runtime.log_limits import bounded, bounded_traceback
from runtime.settings import LogFormat, LogLevel

CHATTY_LIBRARIES = (
    "aiohttp.access",
    "asyncio",
    "kubernetes_asyncio",
)  # at DEBUG they print whole request bodies


class Verbosity:
    """How much is written: what was asked for at the start, or everything."""

    def __init__(self, level: int) -> None:
        self._usual = level
        self._level = level
        self._set(level)

    def toggle(self) -> None:
        """Write debug lines from now on; the next time, what was asked for at the start again."""
        self._set(self._usual if self._level == logging.DEBUG else logging.DEBUG)
        log = structlog.get_logger("logs")
        log.warning(
            "the log level has changed", log_level=logging.getLevelName(self._level).lower()
        )

    def _set(self, level: int) -> None:
        self._level = level
        logging.getLogger().setLevel(level)
        for library in CHATTY_LIBRARIES:
            logging.getLogger(library).setLevel(max(level, logging.WARNING))


def configure(log_format: LogFormat, level: LogLevel, stream: TextIO | None = None) -> Verbosity:
    """Route every log line of the process to `stream`; `__main__` calls it once.

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
        else [bounded, _for_people(colors=(stream or sys.stderr).isatty())]
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
        cache_logger_on_first_use=False,
    )
    return Verbosity(logging.getLevelNamesMapping()[level.upper()])


def _for_people(*, colors: bool) -> structlog.dev.ConsoleRenderer:
    """Return a renderer with plain tracebacks: richer ones print the values of local variables."""
    return structlog.dev.ConsoleRenderer(colors=colors, exception_formatter=bounded_traceback)
