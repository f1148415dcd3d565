"""Stop a run in which the event loop works for ever at one moment of virtual time.

asyncio fires a timer early by up to a nanosecond, the resolution of its clock. Code
that then waits for the rest is called again at once. Virtual time moves on only when no
task is ready, so such code runs at the same moment for ever, as one random run of 3,000
did. On a real clock it needs a microsecond. `simulation.py` installs the check.
"""

import asyncio
from collections.abc import Callable

# The largest story needs a thousand steps at one moment.
MOST_STEPS = 200_000


class SpinError(AssertionError):
    """Virtual time stands still."""


def stop_spinning(loop: asyncio.AbstractEventLoop) -> None:
    """Let the loop raise `SpinError` after too many steps at one moment."""
    step: Callable[[], None] = loop._run_once  # type: ignore[attr-defined]
    steps, moment = 0, loop.time()

    def checked() -> None:
        nonlocal steps, moment
        now = loop.time()
        steps = steps + 1 if now == moment else 0
        moment = now
        if steps > MOST_STEPS:
            steps = 0
            raise SpinError(f"the event loop spins at {now} s of virtual time")
        step()

    loop._run_once = checked  # type: ignore[attr-defined]
