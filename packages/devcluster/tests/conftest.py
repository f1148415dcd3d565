import asyncio
import datetime as dt

import pytest

from harness.scripted import ScriptedWebhook, World, endpoints_of


def pytest_sessionstart() -> None:
    """Report that no event loop runs outside of async tests.

    looptime asks for the loop, and Python before 3.14 would create one.
    """
    asyncio.set_event_loop(None)


@pytest.fixture
async def webhook(tmp_path):
    webhook = ScriptedWebhook(tmp_path, dt.datetime.now(dt.UTC))  # noqa: TID251  TLS compares with the real clock
    runner = await webhook.start()
    yield webhook
    await runner.cleanup()


@pytest.fixture
async def world(webhook):
    async with endpoints_of(webhook) as endpoints:
        yield World(webhook, endpoints)
