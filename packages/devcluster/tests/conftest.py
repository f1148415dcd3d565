import asyncio

import pytest
from hypothesis import HealthCheck, settings

from devcluster.app import Options, serve
from harness.scripted import ScriptedWebhook, World, endpoints_of
from harness.serving import connected, now
from tests.support.transports import transports_closed

# By default an example may take 200 ms, and ten of them a second to generate: a busy machine needs
# longer now and then.
settings.register_profile(
    "any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("any machine")


def pytest_sessionstart() -> None:
    """Report that no event loop runs outside of async tests.

    looptime asks for the loop, and Python before 3.14 would create one.
    """
    asyncio.set_event_loop(None)


@pytest.fixture
async def webhook(tmp_path):
    webhook = ScriptedWebhook(tmp_path, now())
    runner = await webhook.start()
    yield webhook
    await runner.cleanup()
    await transports_closed()


@pytest.fixture
async def world(webhook):
    async with endpoints_of(webhook) as endpoints:
        yield World(webhook, endpoints)


@pytest.fixture
async def running():
    async with serve(Options(), now) as server:
        yield server
    await transports_closed()


@pytest.fixture
async def client(running):
    async with connected(running) as session:
        yield session
