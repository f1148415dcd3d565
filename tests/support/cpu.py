"""Measure CPU time, which other programs on the machine hardly change."""

import sys
import time
from collections.abc import Callable


def cpu_seconds(step: Callable[[], object]) -> float:
    """Return the CPU time that this thread spends in `step`, without that of coverage.

    Coverage multiplies the time of a loop by two to five, so it rests during the step.
    """
    trace = sys.gettrace()
    sys.settrace(None)
    began = time.thread_time()
    try:
        step()
        return time.thread_time() - began
    finally:
        sys.settrace(trace)
