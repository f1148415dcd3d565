"""A long step of the product is found, and no other step is."""

import asyncio
import time
from typing import Any

import pytest

from tests.support.long_steps import LONGEST_STEP_SECONDS, ROOT, LongSteps

BUSY = """
def busy(seconds):
    end = time.thread_time() + seconds
    while time.thread_time() < end:
        pass

async def step(seconds):
    await asyncio.sleep(0)
    busy(seconds)
    await asyncio.sleep(0)
"""


def code_in(path: str) -> dict[str, Any]:
    """Return functions whose code claims to be in that file."""
    names: dict[str, Any] = {"time": time, "asyncio": asyncio}
    exec(compile(BUSY, str(ROOT / path), "exec"), names)  # noqa: S102 - the file name is what matters
    return names


async def find(path: str, seconds: float) -> list[str]:
    steps = LongSteps()
    loop = asyncio.get_running_loop()
    with steps.installed():
        names = code_in(path)
        await asyncio.create_task(names["step"](seconds))
        loop.call_soon(names["busy"], seconds)
        loop.call_later(0, names["busy"], seconds)
        await asyncio.sleep(0.01)
    return steps.found


@pytest.mark.long_steps("it makes one")
@pytest.mark.parametrize(
    "path", ["kube/made_up.py", "webhook/made_up.py", "configmapsync/made_up.py"]
)
async def test_a_long_step_of_the_product_is_named(path: str) -> None:
    found = await find(path, LONGEST_STEP_SECONDS * 1.5)
    assert sorted(line.split(" ")[0] for line in found) == ["busy", "busy", "step"]
    assert all(path in line for line in found)


async def test_short_steps_and_those_of_others_do_not_count() -> None:
    assert await find("kube/made_up.py", LONGEST_STEP_SECONDS / 2) == []
    assert await find("tests/made_up.py", LONGEST_STEP_SECONDS * 1.5) == []
    assert await find("devcluster/made_up.py", LONGEST_STEP_SECONDS * 1.5) == []
