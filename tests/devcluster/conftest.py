import datetime as dt

import pytest

from tests.devcluster.admission.scripted import ScriptedWebhook, World, endpoints_of


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
