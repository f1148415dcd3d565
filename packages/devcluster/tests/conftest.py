import asyncio
import datetime as dt

import pytest

from harness.scripted import ScriptedWebhook, World, endpoints_of


def pytest_sessionstart() -> None:
    """Say that there is no event loop outside of async tests: looptime asks for one, and Python before 3.14 makes it."""
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
