"""Wait until a check passes, with a deadline and never for a fixed time.

`eventually` is for tests on the event loop, `wait_until` for tests that run processes.
A check raises AssertionError or returns False to be called again. At the deadline its
last error fails the test.
"""

import asyncio
import inspect
import threading
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar, overload

EVERY_SECONDS = 0.02  # short, so that a test is as fast as the thing it waits for
# Generous: a step of one second on a quiet machine must not fail on a busy one. A test of a bound
# sets its own (`tests/journeys/bounds.py`).
WINDOW_SECONDS = 30.0

Result = TypeVar("Result")


class NotYetError(AssertionError):
    """A check returned False until the deadline."""


@overload
async def eventually(
    check: Callable[[], Awaitable[Result]], within: float = ..., every: float = ...
) -> Result: ...
@overload
async def eventually(
    check: Callable[[], Result], within: float = ..., every: float = ...
) -> Result: ...
async def eventually(
    check: Callable[[], Result | Awaitable[Result]],
    within: float = WINDOW_SECONDS,
    every: float = EVERY_SECONDS,
) -> Result:
    """Return the result of `check` once it neither raises AssertionError nor returns False.

    Args:
        check: a plain or async function.
        within: seconds until the deadline.
        every: seconds between two calls.

    Raises:
        AssertionError: the one of the check that began at the deadline.
    """
    loop = asyncio.get_running_loop()
    deadline = loop.time() + within
    while True:
        # A check that a busy machine stops in its middle may have seen what was true long ago.
        is_last = loop.time() >= deadline
        try:
            outcome = check()
            return _accepted(await outcome if inspect.isawaitable(outcome) else outcome)
        except AssertionError:
            if is_last:
                raise
        await asyncio.sleep(every)


def wait_until(
    check: Callable[[], Result], within: float = WINDOW_SECONDS, every: float = EVERY_SECONDS
) -> Result:
    """Do the same as `eventually` in a test without an event loop."""
    deadline = time.monotonic() + within
    while True:
        is_last = time.monotonic() >= deadline
        try:
            return _accepted(check())
        except AssertionError:
            if is_last:
                raise
        threading.Event().wait(every)


def _accepted(outcome: Result) -> Result:
    if outcome is False:
        raise NotYetError("the check still says False")
    return outcome
