"""List and watch over real sockets against servers in trouble: no hot loop, no event made of an error page, and right in the end."""

import asyncio
import itertools
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import web

from kube.informer import Informer
from tests.kube.scripted import ApiServer, a_list, api_server, chance, configmap, event, line, running, stream_to
from tests.kube.test_informer import Thing, read_thing
from tests.support.eventually import eventually


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[ApiServer]:
    async with api_server(tmp_path) as running:
        yield running


@pytest.fixture
async def informer(server: ApiServer) -> AsyncIterator[Informer[Thing]]:
    async with server.connection() as connection:
        made: Informer[Thing] = Informer(connection, "/things", decode=read_thing, rng=chance())
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


async def test_an_empty_503_is_asked_again_with_pauses(server: ApiServer, informer: Informer[Thing]) -> None:
    trouble = Trouble(web.Response(status=503), web.Response(status=503), web.Response(status=503))
    server.answer = trouble.answer
    await eventually(lambda: informer.get("team", "a") is not None)
    assert len(trouble.watches) == 4
    pauses = [after - before for before, after in itertools.pairwise(trouble.watches)]
    assert min(pauses) >= 0.09
    assert informer.problem is None


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


async def test_what_a_resumed_watch_brings_is_complete(server: ApiServer, informer: Informer[Thing]) -> None:
    """Each watch ends after one event, at times in the middle of a line, and none is lost."""
    asked: list[str] = []

    async def answer(request: web.Request) -> web.StreamResponse:
        if "watch" not in request.query:
            return web.json_response(a_list(5))
        version = int(request.query["resourceVersion"])
        asked.append(request.query["resourceVersion"])
        if version >= 7:
            return await stream_to(request, then_stay=True)
        whole = line(event("ADDED", configmap(f"thing-{version + 1}", version + 1)))
        return await stream_to(request, whole, *([whole[:20]] if asked.count(str(version)) == 1 else []))

    server.answer = answer
    await eventually(lambda: {each.name for each in informer.values()} == {"thing-6", "thing-7"})
    assert sum("watch" not in seen.query for seen in server.requests) == 1
