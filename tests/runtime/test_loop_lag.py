"""A step that holds the event loop is measured with its length."""

import asyncio
import time

from prometheus_client import CollectorRegistry

from runtime.metrics import LoopLag
from tests.support.eventually import eventually


async def test_a_step_that_holds_the_loop_is_observed() -> None:
    registry = CollectorRegistry()
    measuring = asyncio.create_task(LoopLag(registry).run())

    def slow() -> float:
        counted = registry.get_sample_value("configmapsync_event_loop_lag_seconds_count") or 0
        return counted - (
            registry.get_sample_value("configmapsync_event_loop_lag_seconds_bucket", {"le": "0.5"})
            or 0
        )

    await asyncio.sleep(0)
    end = time.perf_counter() + 1.0
    while time.perf_counter() < end:
        pass
    await eventually(lambda: slow() >= 1)
    measuring.cancel()
    await asyncio.gather(measuring, return_exceptions=True)
