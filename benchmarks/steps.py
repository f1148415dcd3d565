"""Run the reconciler and report every step that holds the event loop for long.

    python -m benchmarks.steps --kubeconfig FILE [...]

`scale.py` starts it in place of `python -m reconciler`. It uses asyncio's own event
loop, because that of uvloop cannot be observed.
"""

import asyncio
import sys

import uvloop

from reconciler.__main__ import main
from tests.support.long_steps import LongSteps

LONGEST_STEP_SECONDS = 0.05
MARK = "long step: "


def observed(arguments: list[str]) -> int:
    """Run the reconciler until SIGTERM, then print its long steps."""
    uvloop.new_event_loop = asyncio.new_event_loop
    steps = LongSteps(limit_seconds=LONGEST_STEP_SECONDS)
    with steps.installed():
        code = main(arguments)
    for found in steps.found:
        print(f"{MARK}{found}", flush=True)
    return code


if __name__ == "__main__":
    sys.exit(observed(sys.argv[1:]))
