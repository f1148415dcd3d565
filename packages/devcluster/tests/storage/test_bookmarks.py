"""Check that a watch sends a bookmark about every minute.

Clients may close a watch that stays silent for longer.
"""

import asyncio
import json
from collections.abc import AsyncIterator

import pytest

from devcluster.http.options import ListOptions
from devcluster.schema.kinds import BUILT_IN
from devcluster.storage.store import Store
from devcluster.storage.watching import View, Watch

pytestmark = pytest.mark.looptime(start=0)
CONFIGMAPS = next(kind for kind in BUILT_IN if kind.plural == "configmaps")


async def moments(timeout_seconds: str) -> list[float]:
    """Return when a watch with that timeout sent something, and when it ended."""
    query = {
        "watch": "true",
        "allowWatchBookmarks": "true",
        "resourceVersion": "1",
        "timeoutSeconds": timeout_seconds,
    }
    watch = Watch(Store(), CONFIGMAPS, None, ListOptions.parse(query), View("object", dict))
    told = [round(asyncio.get_running_loop().time()) async for chunk in bookmarks(watch.chunks())]
    return [*told, round(asyncio.get_running_loop().time())]


async def bookmarks(chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    async for chunk in chunks:
        assert json.loads(chunk)["type"] == "BOOKMARK"
        yield chunk


async def test_a_long_watch_tells_every_minute_and_once_more_before_its_end() -> None:
    assert await moments("290") == [60, 120, 180, 240, 288, 290]


async def test_a_watch_that_ends_within_the_minute_tells_before_its_end() -> None:
    assert await moments("10") == [8, 10]


async def test_the_shortest_watch_tells_once() -> None:
    assert await moments("2") == [1, 2]
