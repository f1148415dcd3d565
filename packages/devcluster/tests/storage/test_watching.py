"""Check watches of a whole server: no event is lost or repeated, and faults work."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest

from devcluster.app import Running
from devcluster.http.faults import Fault
from tests.support.eventually import eventually

PATH = "/api/v1/namespaces/default/configmaps"


async def create(client: aiohttp.ClientSession, name: str) -> int:
    """Create a ConfigMap; returns its version."""
    async with client.post(
        PATH, json={"metadata": {"name": name}}, raise_for_status=True
    ) as answer:
        return int((await answer.json())["metadata"]["resourceVersion"])


class Watching:
    """An open watch and the events so far."""

    def __init__(self, answer: aiohttp.ClientResponse) -> None:
        self.events: list[dict[str, Any]] = []
        self.ended = False
        self._answer = answer

    async def read(self) -> None:
        try:
            async for line in self._answer.content:
                self.events.append(json.loads(line))
        except aiohttp.ClientError:
            pass
        self.ended = True

    def told(self) -> list[str]:
        return [
            f"{event['type']} {event['object']['metadata'].get('name', '')}".strip()
            for event in self.events
        ]


@asynccontextmanager
async def watch(client: aiohttp.ClientSession, **query: str) -> AsyncIterator[Watching]:
    async with client.get(
        PATH, params={"watch": "true", "fieldSelector": "metadata.name!=kube-root-ca.crt", **query}
    ) as answer:
        watching = Watching(answer)
        task = asyncio.ensure_future(watching.read())
        yield watching
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_a_watch_resumes_where_it_left_off_and_tells_every_event_once(
    client: aiohttp.ClientSession,
) -> None:
    first = await create(client, "a")
    await create(client, "b")

    async with watch(client, resourceVersion=str(first)) as watching:
        await create(client, "c")
        await eventually(lambda: len(watching.events) >= 2)
        assert watching.told() == ["ADDED b", "ADDED c"]


async def test_a_bookmark_comes_before_the_end_and_carries_the_newest_version(
    client: aiohttp.ClientSession,
) -> None:
    newest = await create(client, "a")

    async with watch(
        client, resourceVersion=str(newest), allowWatchBookmarks="true", timeoutSeconds="2"
    ) as watching:
        await eventually(lambda: watching.ended)

    assert watching.told() == ["BOOKMARK"]
    assert int(watching.events[0]["object"]["metadata"]["resourceVersion"]) >= newest


async def test_a_frozen_watch_is_silent_and_has_lost_nothing_when_it_thaws(
    running: Running, client: aiohttp.ClientSession
) -> None:
    newest = await create(client, "a")
    async with watch(client, resourceVersion=str(newest)) as watching:
        running.faults.add(Fault(action="freeze", resource="configmaps"))
        await create(client, "b")
        with pytest.raises(AssertionError):
            await eventually(lambda: bool(watching.events), within=0.2)

        running.faults.clear()

        await eventually(lambda: watching.told() == ["ADDED b"])


async def test_a_cut_watch_ends_and_may_be_resumed(
    running: Running, client: aiohttp.ClientSession
) -> None:
    newest = await create(client, "a")
    async with watch(client, resourceVersion=str(newest)) as watching:
        running.faults.add(Fault(action="cut", resource="configmaps"))
        await eventually(lambda: watching.ended)
    await create(client, "b")
    running.faults.clear()

    async with watch(client, resourceVersion=str(newest)) as resumed:
        await eventually(lambda: resumed.told() == ["ADDED b"])


async def test_a_version_from_before_the_history_is_told_to_be_too_old(
    running: Running, client: aiohttp.ClientSession
) -> None:
    first = await create(client, "a")
    await create(client, "b")
    running.store.compact()

    async with watch(client, resourceVersion=str(first)) as watching:
        await eventually(lambda: watching.ended)

    assert [event["object"]["code"] for event in watching.events] == [410]


async def test_the_nth_write_fails_as_scripted_and_the_others_do_not(
    running: Running, client: aiohttp.ClientSession
) -> None:
    fault = Fault(
        action="fail",
        verb="create",
        resource="configmaps",
        status=429,
        retry_after=7,
        skip=1,
        times=1,
    )
    running.faults.add(fault)

    await create(client, "a")
    async with client.post(PATH, json={"metadata": {"name": "b"}}) as refused:
        assert refused.status == 429
        assert refused.headers["Retry-After"] == "7"
    await create(client, "b")

    assert fault.hits == 3


async def test_a_dropped_write_has_happened_although_nobody_was_told(
    running: Running, client: aiohttp.ClientSession
) -> None:
    running.faults.add(Fault(action="drop", verb="create", times=1))

    with pytest.raises(aiohttp.ClientError):
        await create(client, "a")

    async with client.get(f"{PATH}/a") as found:
        assert found.status == 200


async def test_a_restart_ends_every_connection_and_keeps_the_data(
    running: Running, client: aiohttp.ClientSession
) -> None:
    newest = await create(client, "a")
    async with watch(client, resourceVersion=str(newest)) as watching:
        running.restart(0.0)
        await eventually(lambda: watching.ended)

    async with client.get(f"{PATH}/a") as found:
        assert found.status == 200
