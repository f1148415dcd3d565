"""List and watch over real sockets, against servers in trouble."""

import asyncio
import itertools
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from aiohttp import web

from kube.connection import Connection
from kube.informer import Informer
from kube.paging import AIM_BYTES, ITEM_BYTES, PAGE_BYTES, STEP_BYTES
from tests.kube.scripted import (
    ApiServer,
    a_list,
    api_server,
    configmap,
    event,
    line,
    rng,
    running,
    stream_to,
)
from tests.kube.test_informer import Thing, read_thing
from tests.support.eventually import eventually


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[ApiServer]:
    async with api_server(tmp_path) as running:
        yield running


@pytest.fixture
async def informer(server: ApiServer) -> AsyncIterator[Informer[Thing]]:
    async with server.connection() as connection:
        made: Informer[Thing] = Informer(connection, "/things", decode=read_thing, rng=rng())
        async with running(made.run()):
            yield made


class Trouble:
    """Answers lists, and watches first with trouble and then with an event."""

    def __init__(self, *answers: web.Response) -> None:
        self.answers = list(answers)
        self.watches: list[float] = []

    async def answer(self, request: web.Request) -> web.StreamResponse:
        if "watch" not in request.query:
            return web.json_response(a_list(5))
        self.watches.append(asyncio.get_running_loop().time())
        if self.answers:
            return self.answers.pop(0)
        return await stream_to(request, line(event("ADDED", configmap("a", 6))), then_stay=True)


async def test_an_empty_503_is_asked_again_with_pauses(
    server: ApiServer, informer: Informer[Thing]
) -> None:
    trouble = Trouble(web.Response(status=503), web.Response(status=503), web.Response(status=503))
    server.answer = trouble.answer
    await eventually(lambda: informer.get("team", "a") is not None)
    assert len(trouble.watches) == 4
    pauses = [after - before for before, after in itertools.pairwise(trouble.watches)]
    assert min(pauses) >= 0.09
    assert informer.state.problem is None


async def test_a_429_in_plain_text_is_no_event_and_its_patience_is_kept(
    server: ApiServer, informer: Informer[Thing]
) -> None:
    text = "Too many requests, please try again later."
    trouble = Trouble(web.Response(status=429, text=text, headers={"Retry-After": "1"}))
    server.answer = trouble.answer
    await eventually(lambda: informer.get("team", "a") is not None)
    assert len(informer) == 1
    first, second = trouble.watches
    assert second - first >= 0.99


async def test_what_a_resumed_watch_brings_is_complete(
    server: ApiServer, informer: Informer[Thing]
) -> None:
    """Each watch ends after one event, at times in the middle of a line, and none is lost."""
    asked: list[str] = []

    async def answer(request: web.Request) -> web.StreamResponse:
        if "watch" not in request.query:
            return web.json_response(a_list(100, configmap("thing", 100)) if asked else a_list(5))
        version = int(request.query["resourceVersion"])
        asked.append(request.query["resourceVersion"])
        if version >= 7:
            return await stream_to(request, then_stay=True)
        whole = line(event("ADDED", configmap(f"thing-{version + 1}", version + 1)))
        return await stream_to(
            request, whole, *([whole[:20]] if asked.count(str(version)) == 1 else [])
        )

    server.answer = answer
    await eventually(lambda: {each.name for each in informer.values()} == {"thing-6", "thing-7"})
    lists = [seen for seen in server.requests if "watch" not in seen.query]
    assert [
        seen.path
        for seen in lists
        if "fieldSelector" not in seen.query and seen.query["limit"] != "1"
    ] == ["/things"]


class Shelves:
    """Answers lists in pages, and counts the bytes of the pages that it began to send."""

    def __init__(self, *sizes: int) -> None:
        self.items = [
            configmap(f"thing-{number:03}", 1, filler="x" * size)
            for number, size in enumerate(sizes)
        ]
        self.limits: list[int] = []

    async def answer(self, request: web.Request) -> web.StreamResponse:
        if "watch" in request.query:
            return await stream_to(request, then_stay=True)
        limit, begin = int(request.query["limit"]), int(request.query.get("continue", "0"))
        self.limits.append(limit)
        end = begin + limit
        token = str(end) if end < len(self.items) else ""
        return web.json_response(a_list(5, *self.items[begin:end], token=token))


@pytest.mark.parametrize(
    "sizes",
    [
        [100] * 700,
        [1 << 20] * 40,
        [100] * 300 + [3 << 20] * 5 + [100] * 300,
        [9 << 20, 100, 9 << 20],
        [100] * 99 + [19 << 20],
    ],
)
async def test_a_list_of_any_sizes_comes_whole(server: ApiServer, sizes: list[int]) -> None:
    shelves = Shelves(*sizes)
    server.answer = shelves.answer
    read: list[int] = []

    class Measured:
        """A connection that notes the size of each page that was read."""

        def __init__(self, connection: Connection) -> None:
            self.connection = connection
            self.stream = connection.stream

        async def request(self, *arguments: Any, **options: Any) -> bytes:
            body = await self.connection.request(*arguments, **options)
            read.append(len(body))
            return body

    async with server.connection() as connection:
        made: Informer[Thing] = Informer(
            Measured(connection), "/things", decode=read_thing, rng=rng()
        )
        async with running(made.run()):
            await eventually(made.synced.is_set, 30)
            assert {each.name for each in made.values()} == {
                f"thing-{number:03}" for number in range(len(sizes))
            }
    largest_object = max(sizes) + 1000
    assert max(read) <= max(PAGE_BYTES, largest_object)
    assert len(shelves.limits) < 20 + 2 * sum(sizes) / AIM_BYTES


async def test_a_page_is_handed_on_in_steps_with_other_tasks_in_between(server: ApiServer) -> None:
    """Decoding and caching a page of many objects never keeps the event loop from other work."""
    server.answer = Shelves(*[8000] * 100).answer
    turns = 0

    async def count_turns() -> None:
        nonlocal turns
        while True:
            await asyncio.sleep(0)
            turns += 1

    handled: list[int] = []  # the turn in which each object was handled

    def read(raw: msgspec.Raw) -> Thing | None:
        handled.append(turns)
        return read_thing(raw)

    async with server.connection() as connection:
        made: Informer[Thing] = Informer(connection, "/things", decode=read, rng=rng())
        async with running(made.run()), running(count_turns()):
            await eventually(made.synced.is_set)
    assert max(Counter(handled).values()) <= STEP_BYTES // 8000 + 1


async def test_a_burst_of_events_is_handled_in_steps(server: ApiServer) -> None:
    events = b"".join(
        line(event("ADDED", configmap(f"thing-{number}", number))) for number in range(6, 1006)
    )
    turns = 0

    async def answer(request: web.Request) -> web.StreamResponse:
        if "watch" not in request.query:
            return web.json_response(a_list(5))
        return await stream_to(request, events, then_stay=True)

    async def count_turns() -> None:
        nonlocal turns
        while True:
            await asyncio.sleep(0)
            turns += 1

    handled: list[int] = []

    def read(raw: msgspec.Raw) -> Thing | None:
        handled.append(turns)
        return read_thing(raw)

    server.answer = answer
    async with server.connection() as connection:
        made: Informer[Thing] = Informer(connection, "/things", decode=read, rng=rng())
        async with running(made.run()), running(count_turns()):
            await eventually(lambda: len(made) == 1000)
    assert max(Counter(handled).values()) <= STEP_BYTES // ITEM_BYTES + 1
