"""A run that spins fails instead of running for ever."""

import asyncio
from unittest import mock

import looptime
import pytest

from tests.randomized.spinning import SpinError, stop_spinning


def test_a_wait_for_less_than_the_resolution_of_the_clock_is_found() -> None:
    async def wait_for_the_rest() -> None:
        loop, never = asyncio.get_running_loop(), asyncio.Event()
        await asyncio.sleep(0.2)
        end = loop.time() + 0.1  # 0.30000000000000004, which the clock does not reach
        while (left := end - loop.time()) > 0:
            await asyncio.wait({asyncio.create_task(never.wait())}, timeout=left)

    loop = looptime.new_event_loop(noop_cycles=0)
    stop_spinning(loop)
    try:
        with (
            mock.patch("tests.randomized.spinning.MOST_STEPS", 1000),
            pytest.raises(SpinError, match=r"spins at 0\.3"),
        ):
            loop.run_until_complete(wait_for_the_rest())
    finally:
        for task in asyncio.all_tasks(loop):
            task.cancel()
        loop.run_until_complete(asyncio.sleep(0.1))
        loop.close()
