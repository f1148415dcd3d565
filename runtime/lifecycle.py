"""Run a process on an event loop until a signal stops it.

The `__main__` of each process calls `run`. The first SIGTERM or SIGINT sets the event
that the process gets, and a second one ends the process at once. SIGUSR1 switches the
log level to debug and back.
"""

import asyncio
import gc
import os
import signal
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from functools import partial
from typing import Any, TypeVar

import uvloop

from runtime import logs
from runtime.settings import ProcessSettings, load

EXIT_KILLED = 130

Result = TypeVar("Result")
SettingsType = TypeVar("SettingsType", bound=ProcessSettings)


def run(
    settings: type[SettingsType],
    program: str,
    process: Callable[[SettingsType, asyncio.Event], Awaitable[int]],
    arguments: Sequence[str] | None = None,
) -> int:
    """Load the settings, configure the logs and run `process`; return its exit code.

    Args:
        settings: the class of the settings.
        program: name of the process in `--help` and errors.
        process: gets the settings and the event that a signal sets.
        arguments: the command line without the program; `sys.argv` by default.

    Raises:
        SystemExit: a setting is invalid.
    """
    loaded = load(settings, program, arguments)
    verbosity = logs.configure(loaded.log_format, loaded.log_level)
    gc.collect()  # the garbage of the imports, before it is frozen with the caches
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_until_signalled(partial(process, loaded), verbosity))


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


async def _until_signalled(
    process: Callable[[asyncio.Event], Awaitable[int]], verbosity: logs.Verbosity
) -> int:
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
