"""Events are counted, combined and limited, and emitting one never fails or waits."""

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from hypothesis import given, settings
from hypothesis import strategies as st

from kube import events
from kube.client import Client
from kube.connection import Connection
from kube.event_correlator import BURST, COMBINED_FROM, Correlator, ObjectReference, Occurrence
from kube.events import EventRecorder
from tests.kube.scripted import ApiServer, api_server, status
from tests.support.eventually import eventually

START = datetime(2030, 1, 1, 12, 0, tzinfo=UTC)
THING = ObjectReference("example.org/v1", "Thing", "team", "a", "uid-a")


class Clock:
    """The time of day, as the test wants it."""

    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> datetime:
        return self.now

    def passes(self, **time: float) -> None:
        self.now += timedelta(**time)


class Store:
    """Keeps events as an API server does."""

    def __init__(self) -> None:
        self.events: dict[str, dict[str, Any]] = {}
        self.writes: list[str] = []
        self.trouble: list[
            web.Response | None
        ] = []  # answers to give instead; None is an answer that gets lost

    async def answer(self, request: web.Request) -> web.StreamResponse:
        document = json.loads(await request.read())
        if self.trouble:
            trouble = self.trouble.pop(0)
            if trouble is not None:
                return trouble
            self._write(request, document)
            assert request.transport is not None
            request.transport.close()
            return web.Response()
        return self._write(request, document)

    def _write(self, request: web.Request, document: dict[str, Any]) -> web.Response:
        self.writes.append(request.method)
        if request.method == "POST":
            path = f"{request.path}/{document['metadata']['name']}"
            if path in self.events:
                return web.json_response(status(409, "AlreadyExists"), status=409)
            self.events[path] = document
        else:
            if request.path not in self.events:
                return web.json_response(status(404, "NotFound"), status=404)
            self.events[request.path].update(document)
        return web.json_response({})

    def told(self) -> list[tuple[str, int]]:
        return [(each["message"], each["count"]) for each in self.events.values()]


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[ApiServer]:
    async with api_server(tmp_path) as running:
        yield running


@pytest.fixture
def store(server: ApiServer, monkeypatch: pytest.MonkeyPatch) -> Store:
    monkeypatch.setattr(events, "RETRY_SECONDS", (0.01, 0.01))
    store = Store()
    server.answer = store.answer
    return store


@pytest.fixture
async def connection(server: ApiServer) -> AsyncIterator[Connection]:
    async with server.connection() as opened:
        yield opened


@pytest.fixture
def recorder(connection: Connection, clock: Clock) -> EventRecorder:
    return EventRecorder(Client(connection), component="tester", instance="tester-1", clock=clock)


async def test_an_event_says_what_happened_to_what_and_who_says_so(
    recorder: EventRecorder, store: Store
) -> None:
    recorder.emit(THING, "Warning", "Failed", "it did not work", "Writing")
    await recorder.drain()
    ((path, told),) = store.events.items()
    name = told["metadata"]["name"]
    assert path == f"/api/v1/namespaces/team/events/{name}"
    assert name.startswith("a.")
    assert told == {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": name, "namespace": "team"},
        "involvedObject": {
            "apiVersion": "example.org/v1",
            "kind": "Thing",
            "namespace": "team",
            "name": "a",
            "uid": "uid-a",
        },
        "type": "Warning",
        "reason": "Failed",
        "message": "it did not work",
        "action": "Writing",
        "count": 1,
        "firstTimestamp": "2030-01-01T12:00:00Z",
        "lastTimestamp": "2030-01-01T12:00:00Z",
        "source": {"component": "tester"},
        "reportingComponent": "tester",
        "reportingInstance": "tester-1",
    }


async def test_an_event_of_an_object_without_a_namespace_goes_where_those_go(
    recorder: EventRecorder, store: Store
) -> None:
    recorder.emit(ObjectReference("v1", "Namespace", "", "team"), "Normal", "Seen", "a namespace")
    await recorder.drain()
    ((path, told),) = store.events.items()
    assert path.startswith("/api/v1/namespaces/default/events/team.")
    assert told["involvedObject"]["namespace"] == ""


async def test_the_same_again_counts_up(
    recorder: EventRecorder, store: Store, clock: Clock
) -> None:
    for _ in range(3):
        recorder.emit(THING, "Normal", "Synced", "all is well")
        await recorder.drain()
        clock.passes(minutes=1)
    ((_, told),) = store.events.items()
    assert (told["count"], told["firstTimestamp"], told["lastTimestamp"]) == (
        3,
        "2030-01-01T12:00:00Z",
        "2030-01-01T12:02:00Z",
    )
    assert store.writes == ["POST", "PATCH", "PATCH"]


async def test_what_happens_again_before_it_was_sent_is_sent_once(
    recorder: EventRecorder, store: Store
) -> None:
    for _ in range(5):
        recorder.emit(THING, "Normal", "Synced", "all is well")
    await recorder.drain()
    assert store.told() == [("all is well", 5)]
    assert store.writes == ["POST"]


async def test_different_things_are_different_events(recorder: EventRecorder, store: Store) -> None:
    other = ObjectReference("example.org/v1", "Thing", "team", "a", "uid-of-its-successor")
    recorder.emit(THING, "Normal", "Synced", "x")
    recorder.emit(THING, "Warning", "Synced", "x")
    recorder.emit(THING, "Normal", "Other", "x")
    recorder.emit(THING, "Normal", "Synced", "y")
    recorder.emit(other, "Normal", "Synced", "x")
    await recorder.drain()
    assert [count for _, count in store.told()] == [1] * 5


async def test_many_similar_ones_are_combined(recorder: EventRecorder, store: Store) -> None:
    for number in range(COMBINED_FROM + 5):
        recorder.emit(THING, "Normal", "Synced", f"message {number}")
        await recorder.drain()
    told = dict(store.told())
    assert len(told) == COMBINED_FROM + 1
    assert told[f"(combined from similar events): message {COMBINED_FROM + 4}"] == 5


async def test_after_a_quiet_time_messages_are_told_again(
    recorder: EventRecorder, store: Store, clock: Clock
) -> None:
    for number in range(COMBINED_FROM + 1):
        recorder.emit(THING, "Normal", "Synced", f"message {number}")
    clock.passes(minutes=11)
    recorder.emit(THING, "Normal", "Synced", "later")
    await recorder.drain()
    assert ("later", 1) in store.told()


async def test_a_flood_of_one_object_is_cut_and_others_are_heard(
    recorder: EventRecorder, store: Store, clock: Clock
) -> None:
    for _ in range(10 * BURST):
        recorder.emit(THING, "Normal", "Synced", "again")
    recorder.emit(ObjectReference("v1", "Thing", "team", "quiet"), "Normal", "Synced", "once")
    await recorder.drain()
    assert store.told() == [("again", BURST), ("once", 1)]
    clock.passes(minutes=5)
    for _ in range(10):
        recorder.emit(THING, "Normal", "Synced", "again")
    await recorder.drain()
    assert store.told()[0] == ("again", BURST + 1)


async def test_an_event_that_has_expired_begins_anew(recorder: EventRecorder, store: Store) -> None:
    recorder.emit(THING, "Normal", "Synced", "x")
    await recorder.drain()
    store.events.clear()
    recorder.emit(THING, "Normal", "Synced", "x")
    await recorder.drain()
    assert store.told() == [("x", 2)]
    recorder.emit(THING, "Normal", "Synced", "x")
    await recorder.drain()
    assert store.told() == [("x", 3)]


@pytest.mark.parametrize(
    "trouble",
    [
        web.Response(status=503),
        web.Response(status=429, headers={"Retry-After": "0"}),
        web.json_response(status(500, "InternalError"), status=500),
        None,
    ],
    ids=["503", "429", "500", "answer lost"],
)
async def test_what_may_pass_is_tried_again_and_told_once(
    recorder: EventRecorder,
    store: Store,
    trouble: web.Response | None,
    capsys: pytest.CaptureFixture[str],
) -> None:
    store.trouble = [trouble]
    recorder.emit(THING, "Normal", "Synced", "x")
    await recorder.drain()
    assert store.told() == [("x", 1)]
    assert "events are lost" not in "".join(capsys.readouterr())
    recorder.emit(THING, "Normal", "Synced", "x")
    await recorder.drain()
    assert store.told() == [("x", 2)]
    assert store.writes[-1] == "PATCH"


async def test_a_server_that_asks_for_patience_gets_it(
    recorder: EventRecorder, store: Store
) -> None:
    store.trouble = [web.Response(status=429, headers={"Retry-After": "1"})]
    recorder.emit(THING, "Normal", "Synced", "x")
    began = asyncio.get_running_loop().time()
    await recorder.drain()
    assert asyncio.get_running_loop().time() - began >= 0.99
    assert store.told() == [("x", 1)]


async def test_what_is_refused_is_given_up_with_one_line(
    recorder: EventRecorder, store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    store.trouble = [
        web.json_response(status(403, "Forbidden", "you may not"), status=403) for _ in range(3)
    ]
    for number in range(3):
        recorder.emit(THING, "Normal", "Synced", f"message {number}")
    recorder.emit(THING, "Normal", "Synced", "at last")
    await recorder.drain()
    assert store.told() == [("at last", 1)]
    logged = "".join(capsys.readouterr())
    assert logged.count("events are lost") == 1
    assert "you may not" in logged


async def test_what_never_passes_is_given_up(recorder: EventRecorder, store: Store) -> None:
    store.trouble = [
        web.json_response(status(503, "ServiceUnavailable"), status=503) for _ in range(3)
    ]
    recorder.emit(THING, "Normal", "Synced", "lost")
    recorder.emit(THING, "Normal", "Synced", "next")
    await recorder.drain()
    assert store.told() == [("next", 1)]


async def test_no_more_than_a_bounded_number_waits(
    recorder: EventRecorder,
    store: Store,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(events, "QUEUE_LIMIT", 3)
    for number in range(10):
        recorder.emit(
            ObjectReference("v1", "Thing", "team", f"thing-{number}"), "Normal", "Synced", "x"
        )
    recorder.emit(
        ObjectReference("v1", "Thing", "team", "thing-0"), "Normal", "Synced", "x"
    )  # waits already
    await recorder.drain()
    assert [told["involvedObject"]["name"] for told in store.events.values()] == [
        "thing-0",
        "thing-1",
        "thing-2",
    ]
    assert next(iter(store.events.values()))["count"] == 2
    assert "too many events are queued" in "".join(capsys.readouterr())


async def test_a_long_message_is_cut_and_a_long_name_fits(
    recorder: EventRecorder, store: Store
) -> None:
    name = "a" * 230 + "." + "-" * 5 + "." + "b" * 16
    recorder.emit(ObjectReference("v1", "Thing", "team", name), "Normal", "Synced", "x" * 5000)
    await recorder.drain()
    ((_, told),) = store.events.items()
    assert len(told["message"]) == 1024
    assert len(told["metadata"]["name"]) <= 253
    assert "-." not in told["metadata"]["name"]


async def test_the_background_task_sends_as_it_is_told(
    recorder: EventRecorder, store: Store
) -> None:
    task = asyncio.create_task(recorder.run())
    for message in ("first", "second"):
        recorder.emit(THING, "Normal", "Synced", message)
        await eventually(lambda message=message: (message, 1) in store.told())
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_whoever_tells_is_not_delayed_by_a_server_that_hangs(
    recorder: EventRecorder, server: ApiServer
) -> None:
    async def hang(_: web.Request) -> web.StreamResponse:
        hanging.set()
        await asyncio.Event().wait()
        raise AssertionError

    hanging = asyncio.Event()
    server.answer = hang
    task = asyncio.create_task(recorder.run())
    recorder.emit(THING, "Normal", "Synced", "x")
    await asyncio.wait_for(hanging.wait(), 5)
    recorder.emit(
        THING, "Normal", "Synced", "y"
    )  # returns at once, or this test ends by its timeout
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


occurrences = st.tuples(
    st.sampled_from("ab"), st.sampled_from(["x", "y", "z"]), st.integers(0, 400)
)


@settings(deadline=None, max_examples=60)
@given(st.lists(occurrences, max_size=60))
def test_names_are_unique_and_counts_add_up(script: list[tuple[str, str, int]]) -> None:
    """Every series has a name of its own, and every admitted event is counted once."""
    correlator, now = Correlator(), START
    series: dict[str, Any] = {}
    let_through = 0
    for name, message, seconds in script:
        now += timedelta(seconds=seconds)
        noted = correlator.note(
            Occurrence(ObjectReference("v1", "T", "n", name), "Normal", "R", message), now
        )
        if noted is None:
            continue
        let_through += 1
        assert series.setdefault(noted.name, noted) is noted
        assert noted.first <= noted.last == now
    assert sum(each.count for each in series.values()) == let_through
