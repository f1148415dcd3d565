"""Show on standard error what a command waits for, if it waits longer than a second.

`cluster.py` opens it around the work of a command. A terminal shows one line that
changes, a file receives a line every ten seconds. Standard output stays free for the
result.
"""

import asyncio
import contextlib
import sys
from typing import Self, TextIO

FIRST_SECONDS = 1.0
TERMINAL_SECONDS = 0.25  # between two updates of the line
FILE_SECONDS = 10.0  # between two lines in a log file
CLEAR_LINE = "\r\x1b[K"


class Progress:
    """The present step of a command, and how many objects it has read."""

    def __init__(self, stream: TextIO | None = None) -> None:
        """Show nothing yet.

        Args:
            stream: where to write; standard error by default.
        """
        self._stream = stream or sys.stderr
        self._is_terminal = self._stream.isatty()
        self._step = "connecting to the API server"
        self._count = 0
        self._shown = False
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._show())
        return self

    async def __aexit__(self, *_error: object) -> None:
        await self.stop()

    def step(self, text: str) -> None:
        """Begin a step, such as "reading ConfigMapSyncs"."""
        self._step, self._count = text, 0

    def did(self, count: int = 1) -> None:
        """Count objects of the present step."""
        self._count += count

    async def stop(self) -> None:
        """Clear the line; nothing is shown any more."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
            self._task = None
        if self._shown and self._is_terminal:
            self._stream.write(CLEAR_LINE)
            self._stream.flush()

    async def _show(self) -> None:
        await asyncio.sleep(FIRST_SECONDS)
        while True:
            counted = f" ({self._count:,})" if self._count else ""
            line = f"{self._step}{counted} ..."
            self._stream.write(f"{CLEAR_LINE}{line}" if self._is_terminal else f"{line}\n")
            self._stream.flush()
            self._shown = True
            await asyncio.sleep(TERMINAL_SECONDS if self._is_terminal else FILE_SECONDS)
