"""From start to exit code: the event loop, the signals, the last line.

A process is a coroutine that gets an event and returns its exit code after the event is set. The first SIGTERM or SIGINT
sets it; a second one ends the process at once, for whoever has lost patience. SIGUSR1 changes how much is logged.
"""

import asyncio
import gc
import os
import signal
from collections.abc import Awaitable, Callable

import uvloop

from runtime.logs import Verbosity

EXIT_KILLED = 130

Process = Callable[[asyncio.Event], Awaitable[int]]


def run(process: Process, verbosity: Verbosity) -> int:
    """Run `process` on a fast event loop until it returns; returns its exit code."""
    gc.collect()  # the garbage of the imports, before it is frozen with the caches
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_until_signalled(process, verbosity))


async def _until_signalled(process: Process, verbosity: Verbosity) -> int:
    stop = asyncio.Event()

    def on_signal() -> None:
        if stop.is_set():
            os._exit(
                EXIT_KILLED
            )  # nothing is lost: every write is atomic, and the next start converges
        stop.set()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, on_signal)
    loop.add_signal_handler(signal.SIGUSR1, verbosity.toggle)
    return await process(stop)
