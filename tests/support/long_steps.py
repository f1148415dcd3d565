"""Find steps of the product that hold the event loop for too long.

A step is one callback of asyncio, such as a task from one `await` to the next, measured
in CPU time of its thread, so that a loaded machine changes nothing. It does not count
garbage collection, first imports, and steps of tests and devcluster. The fixture in
`conftest.py` fails the test in which a long step runs.
"""

import asyncio
import gc
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import CodeType
from typing import Any

LONGEST_STEP_SECONDS = 0.1  # twice the promised time: the machines of CI are slow
ROOT = Path(__file__).parents[2]
PRODUCT = tuple(
    f"{ROOT / package}/"
    for package in ("configmapsync", "kube", "runtime", "reconciler", "webhook", "certs")
)


class LongSteps:
    """Measures every callback while it is installed."""

    def __init__(
        self, folders: tuple[str, ...] = PRODUCT, limit_seconds: float = LONGEST_STEP_SECONDS
    ) -> None:
        """Create an empty record.

        Args:
            folders: of the code whose steps count. The steps of an HTTP handler are those of
                aiohttp, which calls it.
            limit_seconds: of CPU time; a longer step is recorded.
        """
        self._limit = limit_seconds
        self._folders = folders
        self.found: list[str] = []
        self._collecting_since = 0.0
        self._collected = 0.0

    @contextmanager
    def installed(self) -> Iterator[None]:
        """Measure during the block."""
        run = asyncio.Handle._run

        def measured(handle: asyncio.Handle) -> None:
            collected, modules, began = self._collected, len(sys.modules), time.thread_time()
            run(handle)
            seconds = time.thread_time() - began - (self._collected - collected)
            if seconds > self._limit and len(sys.modules) == modules:
                self._note(getattr(handle, "_callback", None), seconds)

        gc.callbacks.append(self._note_collection)
        asyncio.Handle._run = measured  # type: ignore[method-assign]
        try:
            yield
        finally:
            asyncio.Handle._run = run  # type: ignore[method-assign]
            gc.callbacks.remove(self._note_collection)

    def _note(self, callback: Callable[..., object] | None, seconds: float) -> None:
        code = code_of(callback)
        if code is not None and code.co_filename.startswith(self._folders):
            self.found.append(
                f"{code.co_qualname} ({code.co_filename}:{code.co_firstlineno}): {seconds:.3f} s"
            )

    def _note_collection(self, phase: str, _info: dict[str, int]) -> None:
        if phase == "start":
            self._collecting_since = time.thread_time()
        else:
            self._collected += time.thread_time() - self._collecting_since


def code_of(callback: Any) -> CodeType | None:
    """Return the code that a callback runs: of a task's coroutine, or of a function."""
    owner = getattr(callback, "__self__", None)
    if isinstance(owner, asyncio.Task):
        return getattr(owner.get_coro(), "cr_code", None)
    function = getattr(callback, "func", callback)
    return getattr(getattr(function, "__func__", function), "__code__", None)
