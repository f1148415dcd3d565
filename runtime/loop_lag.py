"""Measure how late the event loop runs what is due: a step that holds it makes every other task wait.

Each process runs one `LoopLag` beside its work; `docs/runbook.md` says what to do where
it is high.
"""

import asyncio
import time

from prometheus_client import CollectorRegistry, Histogram

EVERY_SECONDS = 0.25
BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class LoopLag:
    """A timer that observes its own delay."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._seconds = Histogram(
            "configmapsync_event_loop_lag_seconds",
            "How late a timer fires that is due four times a second: for so long, one step held the event loop.",
            buckets=BUCKETS,
            registry=registry,
        )

    async def run(self) -> None:
        """Measure until cancelled."""
        while True:
            due = (
                time.monotonic() + EVERY_SECONDS
            )  # the loop's own clock stands still during a step
            await asyncio.sleep(EVERY_SECONDS)
            self._seconds.observe(max(0.0, time.monotonic() - due))
