"""Restore the logging configuration of this process after a test that changed it."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

import structlog

from runtime.logs import CHATTY_LIBRARIES


@contextmanager
def restored_logging() -> Iterator[None]:
    """Restore what `runtime.logs.configure` changes."""
    root = logging.getLogger()
    loggers = [root, *map(logging.getLogger, CHATTY_LIBRARIES)]
    levels = [logger.level for logger in loggers]
    handlers, config = root.handlers[:], structlog.get_config()
    try:
        yield
    finally:
        structlog.configure(**config)
        root.handlers[:] = handlers
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
