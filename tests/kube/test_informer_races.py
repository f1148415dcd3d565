"""Answers and watch events overtake each other in every order; the cache converges.

The test plays the reflector and the API server. `test_informer.py` covers the cache
behind a running watch.
"""

import json
from contextlib import AbstractContextManager, suppress
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kube.informer import Informer
from kube.own_writes import MOST_HELD_BYTES
from kube.wire import PartialObject, decode_as, event_of
from tests.kube.scripted import configmap, rng


class Version(msgspec.Struct, frozen=True):
    """All that these tests keep of an object: each write makes a new version."""

    namespace: str
    name: str
    resource_version: str


def read_version(raw: msgspec.Raw) -> Version:
    metadata = decode_as(raw, PartialObject, "the object").metadata
    return Version(metadata.namespace, metadata.name, metadata.resource_version)


def of(name: str, version: int) -> Version:
    return Version("team", name, str(version))


def raw(name: str, version: int) -> msgspec.Raw:
    return msgspec.Raw(json.dumps(configmap(name, version)).encode())


class Bench:
    """A cache, and the objects that its handler and its writer know."""

    def __init__(self) -> None:
        self.cache: Informer[Version] = Informer(
            None,  # type: ignore[arg-type]  # nothing runs here, so nothing is asked
            "/things",
            decode=self._read_version,
            confirms=lambda _record, _raw: True,
            rng=rng(),
        )
        self.cache.on_change(self._told)
        self.known: dict[str, int] = {}
        self.decoded = 0
        self.changes = 0

    def _read_version(self, item: msgspec.Raw) -> Version:
        self.decoded += 1
        return read_version(item)

    def _told(self, old: Version | None, new: Version | None) -> None:
        self.changes += 1
        if new is not None:
            self.known[new.name] = int(new.resource_version)
        elif old is not None:
            del self.known[old.name]

    def list(self, version: int, held: dict[str, int]) -> None:
        self.cache.list_began(0)
        for name, each in held.items():
            self.cache.listed(raw(name, each))
        self.cache.list_complete(version)

    def wrote(self, name: str, version: int) -> None:
        self.cache.record(of(name, version))
        if self.held().get(name) == version:
            self.known[name] = version

    def removed(self, name: str, version: int) -> None:
        self.cache.forget("team", name, str(version))
        if name not in self.held():
            self.known.pop(name, None)

    def held(self) -> dict[str, int]:
        return {each.name: int(each.resource_version) for each in self.cache.values()}


@pytest.fixture
async def bench() -> Bench:
    made = Bench()
    made.list(5, {"a": 5})
    return made


async def test_an_answer_that_comes_after_the_deletion_leaves_no_ghost(bench: Bench) -> None:
    bench.cache.changed(event_of("MODIFIED", raw("a", 10)))  # our own write
    bench.cache.changed(event_of("DELETED", raw("a", 11)))  # by another client
    bench.wrote("a", 10)  # only now the writer has its turn
    assert bench.held() == {}


async def test_an_answer_that_comes_after_a_list_without_the_object_leaves_no_ghost(
    bench: Bench,
) -> None:
    bench.list(20, {})
    bench.wrote("a", 10)
    assert bench.held() == {}


async def test_an_answer_that_comes_before_the_watch_is_held_at_once(bench: Bench) -> None:
    bench.wrote("b", 10)
    assert bench.held() == {"a": 5, "b": 10}


async def test_a_namesake_made_after_our_deletion_is_not_forgotten_with_it(bench: Bench) -> None:
    bench.cache.changed(event_of("DELETED", raw("a", 11)))
    bench.cache.changed(event_of("ADDED", raw("a", 12)))
    bench.removed("a", 5)
    assert bench.held() == {"a": 12}


async def test_what_one_reads_and_others_have_to_know_is_told_once(bench: Bench) -> None:
    bench.list(5, {"a": 5})
    bench.cache.learn(of("a", 7))
    assert bench.known == {"a": 7}
    bench.known["a"] = 0
    bench.cache.changed(event_of("MODIFIED", raw("a", 7)))
    assert bench.known == {"a": 0}
    bench.cache.changed(event_of("MODIFIED", raw("a", 8)))
    assert bench.known == bench.held() == {"a": 8}


async def test_what_is_read_too_late_is_told_to_nobody(bench: Bench) -> None:
    bench.list(5, {"a": 5, "b": 5})
    bench.cache.changed(event_of("MODIFIED", raw("a", 8)))
    bench.cache.changed(event_of("DELETED", raw("b", 9)))
    bench.cache.learn(of("a", 7))
    bench.cache.learn(of("b", 6))
    assert bench.known == bench.held() == {"a": 8}


async def test_what_was_forgotten_is_not_brought_back_by_its_own_echo(bench: Bench) -> None:
    bench.wrote("a", 10)
    bench.removed("a", 10)
    bench.cache.changed(event_of("MODIFIED", raw("a", 10)))
    assert bench.held() == {}
    bench.cache.changed(event_of("DELETED", raw("a", 11)))
    assert not bench.cache._store.removed  # no echo of it can come any more
    bench.cache.changed(event_of("ADDED", raw("a", 12)))
    assert bench.held() == {"a": 12}


async def test_what_was_forgotten_is_not_brought_back_by_a_list_made_before(bench: Bench) -> None:
    bench.wrote("a", 10)
    bench.removed("a", 10)
    bench.list(10, {"a": 10})
    assert bench.held() == {}


async def test_what_was_made_and_removed_once_more_is_not_brought_back_by_the_whole_story(
    bench: Bench,
) -> None:
    bench.removed("a", 5)
    bench.wrote("a", 7)
    bench.removed("a", 7)
    for kind, version in (("DELETED", 6), ("ADDED", 7), ("DELETED", 8)):
        bench.cache.changed(event_of(kind, raw("a", version)))
        assert bench.held() == {}


async def test_what_was_made_and_removed_while_a_list_was_read_is_not_brought_back_after_it(
    bench: Bench,
) -> None:
    bench.cache.list_began(0)
    bench.wrote("b", 10)
    bench.removed("b", 10)
    bench.cache.list_complete(8)
    bench.cache.changed(event_of("ADDED", raw("b", 10)))
    assert "b" not in bench.held()


async def test_a_list_made_after_a_deletion_ends_the_waiting_for_its_echo(bench: Bench) -> None:
    bench.wrote("a", 10)
    bench.removed("a", 10)
    bench.list(12, {})
    assert not bench.cache._store.removed


async def test_forgetting_without_a_version_means_the_one_that_is_held(bench: Bench) -> None:
    bench.wrote("a", 10)
    bench.cache.forget("team", "a")
    bench.cache.changed(event_of("MODIFIED", raw("a", 10)))
    assert bench.held() == {}


async def test_a_deletion_that_a_finalizer_holds_up_shows_the_object_again(bench: Bench) -> None:
    bench.removed("a", 5)
    bench.cache.changed(event_of("MODIFIED", raw("a", 6)))  # with its deletion timestamp
    assert bench.held() == bench.known == {"a": 6}


async def test_a_place_that_was_forgotten_can_be_watched_again(bench: Bench) -> None:
    bench.wrote("a", 10)
    bench.removed("a", 10)
    bench.cache.record(of("a", 0))
    assert bench.held() == {"a": 0}
    bench.cache.changed(event_of("DELETED", raw("a", 11)))
    assert bench.held() == {}


@pytest.mark.parametrize("first", ["event", "answer"])
@pytest.mark.parametrize("what", ["create", "update", "delete"])
async def test_the_event_of_an_own_write_is_dropped_unread_before_and_after_the_answer(
    bench: Bench, first: str, what: str
) -> None:
    before, name = (bench.decoded, bench.changes), "b" if what == "create" else "a"
    kind = {"create": "ADDED", "update": "MODIFIED", "delete": "DELETED"}[what]
    with bench.cache.writing("team", name):
        if first == "event":
            bench.cache.changed(event_of(kind, raw(name, 10)))
        if what == "delete":
            bench.removed("a", 5)
        else:
            bench.wrote(name, 10)
    if first == "answer":
        bench.cache.changed(event_of(kind, raw(name, 10)))
    assert (bench.decoded, bench.changes) == before
    assert bench.held() == {"create": {"a": 5, "b": 10}, "update": {"a": 10}, "delete": {}}[what]


async def test_an_event_that_is_newer_than_the_answer_counts_when_the_write_ends(
    bench: Bench,
) -> None:
    with bench.cache.writing("team", "a"):
        bench.cache.changed(event_of("MODIFIED", raw("a", 10)))
        bench.cache.changed(event_of("MODIFIED", raw("a", 11)))  # by another client
        bench.wrote("a", 10)
        assert bench.held() == {"a": 10}
    assert bench.held() == bench.known == {"a": 11}


async def test_a_deletion_that_is_newer_than_the_answer_counts_when_the_write_ends(
    bench: Bench,
) -> None:
    with bench.cache.writing("team", "b"):
        bench.cache.changed(event_of("ADDED", raw("b", 10)))
        bench.cache.changed(event_of("DELETED", raw("b", 11)))  # by another client
        bench.wrote("b", 10)
    assert bench.held() == bench.known == {"a": 5}


async def test_an_event_counts_when_the_write_fails(bench: Bench) -> None:
    with suppress(TimeoutError), bench.cache.writing("team", "a"):
        bench.cache.changed(event_of("MODIFIED", raw("a", 10)))
        assert bench.held() == {"a": 5}
        raise TimeoutError
    assert bench.held() == bench.known == {"a": 10}


async def test_an_edit_of_the_spec_does_not_wait_for_a_write_of_the_status(bench: Bench) -> None:
    def version(number: int, generation: int) -> msgspec.Raw:
        document = configmap("a", number)
        document["metadata"]["generation"] = generation
        return msgspec.Raw(json.dumps(document).encode())

    with bench.cache.writing("team", "a", 1):
        bench.cache.changed(event_of("MODIFIED", version(10, 1)))  # our own write
        assert bench.held() == {"a": 5}
        bench.cache.changed(event_of("MODIFIED", version(11, 2)))  # an edit by another client
        assert bench.held() == bench.known == {"a": 11}
        bench.wrote("a", 10)
    assert bench.held() == bench.known == {"a": 11}


async def test_a_list_during_a_write_drops_the_event_that_was_held(bench: Bench) -> None:
    with bench.cache.writing("team", "b"):
        bench.cache.changed(event_of("ADDED", raw("b", 10)))
        bench.list(12, {"a": 5})  # another client has deleted it since
        bench.wrote("b", 10)
    assert bench.held() == bench.known == {"a": 5}


async def test_large_events_are_not_held_beyond_a_number_of_bytes(bench: Bench) -> None:
    large = msgspec.Raw(json.dumps(configmap("a", 10, text="x" * MOST_HELD_BYTES)).encode())
    with bench.cache.writing("team", "a"):
        bench.cache.changed(event_of("MODIFIED", raw("a", 9)))
        bench.cache.changed(event_of("MODIFIED", large))
        assert bench.held() == bench.known == {"a": 10}
    assert bench.held() == {"a": 10}


class World(Bench):
    """With a server whose events and answers wait until they are drawn."""

    def __init__(self) -> None:
        super().__init__()
        self.version = 1
        self.stored: dict[str, int] = {}
        self.events: list[tuple[str, str, int]] = []
        self.answers: list[tuple[bool, str, int]] = []  # whether written, or removed
        self.writing: dict[str, AbstractContextManager[None]] = {}
        self.on_its_way: list[tuple[str, int]] = []
        self.listed_version: int | None = None  # while a list is being read
        self.newest: dict[str, int] = {}  # ever known of each name
        self.list(1, {})

    def write(self, name: str) -> None:
        kind = "MODIFIED" if name in self.stored else "ADDED"
        self.version += 1
        self.stored[name] = self.version
        self.events.append((kind, name, self.version))

    def delete(self, name: str) -> None:
        if name in self.stored:
            self.version += 1
            del self.stored[name]
            self.events.append(("DELETED", name, self.version))

    def write_as_us(self, name: str) -> None:
        """With a precondition: what is held must be what is stored."""
        if name not in self.writing and self.held().get(name) == self.stored.get(name):
            self._begin(name)
            self.write(name)
            self.answers.append((True, name, self.version))

    def delete_as_us(self, name: str) -> None:
        held = self.held().get(name)
        if name not in self.writing and held is not None and held == self.stored.get(name):
            self._begin(name)
            self.delete(name)
            self.answers.append((False, name, held))

    def _begin(self, name: str) -> None:
        self.writing[name] = self.cache.writing("team", name)
        self.writing[name].__enter__()

    def _end(self, name: str) -> None:
        self.writing.pop(name).__exit__(None, None, None)

    def deliver(self) -> None:
        if self.events and self.listed_version is None:
            kind, name, version = self.events.pop(0)
            self.cache.changed(event_of(kind, raw(name, version)))

    def answer(self, which: int) -> None:
        if self.answers:
            written, name, version = self.answers.pop(which % len(self.answers))
            (self.wrote if written else self.removed)(name, version)
            self._end(name)
            self.newest[name] = max(version, self.newest.get(name, 0))

    def lose_answer(self, which: int) -> None:
        """End a write whose outcome stays unknown."""
        if self.answers:
            _, name, _ = self.answers.pop(which % len(self.answers))
            self._end(name)

    def list_begins(self) -> None:
        """Take the state that the list shows; earlier changes do not come as events."""
        self.events.clear()
        self.on_its_way = sorted(self.stored.items())
        self.listed_version = self.version
        self.cache.list_began(0)
        self.list_page()

    def list_page(self) -> None:
        if self.on_its_way:
            self.cache.listed(raw(*self.on_its_way.pop(0)))

    def list_ends(self) -> None:
        if self.listed_version is not None:
            while self.on_its_way:
                self.list_page()
            self.cache.list_complete(self.listed_version)
            self.listed_version = None

    def check(self) -> None:
        """No name is ever held in a version older than the newest that was known of it."""
        for name, version in self.held().items():
            assert version >= self.newest.get(name, 0), name
            self.newest[name] = version


NAMES = st.sampled_from("ab")
STEPS = st.one_of(
    st.tuples(
        st.sampled_from([World.write, World.delete, World.write_as_us, World.delete_as_us]), NAMES
    ),
    st.tuples(
        st.sampled_from([World.deliver, World.list_begins, World.list_page, World.list_ends])
    ),
    st.tuples(st.sampled_from([World.answer, World.lose_answer]), st.integers(0, 3)),
)


@settings(deadline=None, max_examples=300)
@given(st.lists(STEPS, max_size=40))
async def test_in_whatever_order_things_come_the_cache_ends_right_and_nobody_misses_a_change(
    steps: list[tuple[Any, ...]],
) -> None:
    world = World()
    for step, *arguments in steps:
        step(world, *arguments)
        world.check()
    world.list_ends()
    while world.events or world.answers:
        world.deliver()
        world.answer(0)
        world.check()
    assert world.held() == world.stored
    assert world.known == world.stored
    assert not world.cache._store.removed  # what can come no more is not remembered for ever
