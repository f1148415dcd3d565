"""Run a process on an event loop until a signal stops it.

A process is a coroutine that gets an event and returns its exit code after the event is
set. The first SIGTERM or SIGINT sets the event, and a second one ends the process at
once. SIGUSR1 switches the log level to debug and back.
"""

import asyncio
import gc
import os
import signal
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar

import uvloop

from runtime.logs import Verbosity

EXIT_KILLED = 130

Result = TypeVar("Result")
Process = Callable[[asyncio.Event], Awaitable[int]]


def run(process: Process, verbosity: Verbosity) -> int:
    """Run `process` until it returns; return its exit code."""
    gc.collect()  # the garbage of the imports, before it is frozen with the caches
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_until_signalled(process, verbosity))


async def until_stopped(stop: asyncio.Event, work: Coroutine[Any, Any, Result]) -> Result | None:
    """Return the result of `work`, or None after `stop` was set first and `work` was cancelled."""
    working, stopping = asyncio.ensure_future(work), asyncio.ensure_future(stop.wait())
    await asyncio.wait((working, stopping), return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()
    if working.done():
        return working.result()
    working.cancel()
    await asyncio.wait((working,))
    return None


async def _until_signalled(process: Process, verbosity: Verbosity) -> int:
    stop = asyncio.Event()

    def on_signal() -> None:
        if stop.is_set():
            # Every write is atomic and the next start converges, so nothing is lost.
            os._exit(EXIT_KILLED)
        stop.set()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, on_signal)
    loop.add_signal_handler(signal.SIGUSR1, verbosity.toggle)
    return await process(stop)
