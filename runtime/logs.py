"""Structured logs: a constant message with named values, one line an event, on standard error.

The standard library's loggers (aiohttp, asyncio) go through the same door. Values of a ConfigMap never come here.
"""

import logging
import sys
from typing import TextIO

import structlog
from structlog.typing import Processor

from runtime.settings import LogFormat, LogLevel

CHATTY_LIBRARIES = ("aiohttp.access", "asyncio", "kubernetes_asyncio")  # at DEBUG they print whole request bodies


def configure(log_format: LogFormat, level: LogLevel, stream: TextIO | None = None) -> None:
    """Route every line of the process to `stream` (standard error by default). Called once, by `__main__`."""
    number = logging.getLevelNamesMapping()[level.upper()]
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"),
    ]
    renderer: list[Processor] = (
        [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
        if log_format == "json"
        else [_for_people(colors=(stream or sys.stderr).isatty())]
    )
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *renderer],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(number)
    for library in CHATTY_LIBRARIES:
        logging.getLogger(library).setLevel(max(number, logging.WARNING))
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=False,
    )


def _for_people(*, colors: bool) -> structlog.dev.ConsoleRenderer:
    """Plain tracebacks: the richer ones print the values of local variables, and those may be a ConfigMap's."""
    return structlog.dev.ConsoleRenderer(colors=colors, exception_formatter=structlog.dev.plain_traceback)
