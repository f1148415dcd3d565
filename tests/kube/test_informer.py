"""The cache equals the server, never goes back in time, and notifies once."""

import asyncio
import json
from collections.abc import Iterable

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kube.informer import Informer
from kube.store import REMOVED_LIMIT
from kube.wire import ObjectMeta, decode_version, event_of
from tests.kube.scripted import ScriptedConnection, Step, a_list, configmap, event, rng
from tests.support.eventually import eventually

pytestmark = pytest.mark.looptime(start=0)
FOREVER = 1e9


class Thing(msgspec.Struct, frozen=True):
    """What these tests keep of an object."""

    namespace: str
    name: str
    resource_version: str
    color: str = ""


class _Object(msgspec.Struct):
    metadata: ObjectMeta
    data: dict[str, str] = {}


def read_thing(raw: msgspec.Raw) -> Thing | None:
    """An object with the color `none` is not kept; one with the color `broken` cannot be read."""
    thing = msgspec.json.decode(raw, type=_Object)
    color = thing.data.get("color", "")
    if color == "broken":
        raise ValueError("broken")
    meta = thing.metadata
    return (
        None if color == "none" else Thing(meta.namespace, meta.name, meta.resource_version, color)
    )


def thing(name: str, version: int, color: str = "") -> Thing:
    return Thing("team", name, str(version), color)


def raw(name: str, version: int, color: str = "") -> msgspec.Raw:
    return msgspec.Raw(json.dumps(configmap(name, version, color=color)).encode())


def by_color(record: Thing) -> Iterable[str]:
    return (record.color,) if record.color else ()


def show(informer: Informer[Thing], *items: msgspec.Raw) -> None:
    """Take objects of a list."""
    for item in items:
        informer.listed(item)


class Bench:
    """An informer over a script, and the calls of its handler."""

    def __init__(self, lists: list[Step] | None = None, watches: list[Step] | None = None) -> None:
        self.connection = ScriptedConnection(lists or [a_list(1)], watches or [[FOREVER]])
        self.informer: Informer[Thing] = Informer(
            self.connection,  # type: ignore[arg-type]
            "/things",
            decode=read_thing,
            indexes={"color": by_color},
            rng=rng(),
        )
        self.told: list[tuple[Thing | None, Thing | None]] = []
        self.informer.on_change(lambda old, new: self.told.append((old, new)))

    async def run_for(self, seconds: float) -> None:
        task = asyncio.create_task(self.informer.run())
        await asyncio.sleep(seconds)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    def content(self) -> set[tuple[str, str, str]]:
        return {(each.name, each.resource_version, each.color) for each in self.informer.values()}

    def take_told(self) -> list[tuple[Thing | None, Thing | None]]:
        told, self.told[:] = list(self.told), []
        return told


@pytest.fixture
async def bench() -> Bench:
    """Not running: the test plays the reflector."""
    return Bench()


async def test_list_and_watch_make_the_cache_and_tell_each_change() -> None:
    watch = [
        event("ADDED", configmap("b", 6)),
        event("MODIFIED", configmap("a", 7, color="red")),
        event("DELETED", configmap("b", 8)),
        FOREVER,
    ]
    bench = Bench([a_list(5, configmap("a", 3))], [watch])
    assert not bench.informer.synced.is_set()
    await bench.run_for(10)
    assert bench.informer.synced.is_set()
    assert bench.told == [
        (None, thing("a", 3)),
        (None, thing("b", 6)),
        (thing("a", 3), thing("a", 7, "red")),
        (thing("b", 6), None),
    ]
    assert bench.content() == {("a", "7", "red")}
    assert bench.informer.get("team", "a") == thing("a", 7, "red")
    assert bench.informer.get("team", "b") is None
    assert bench.informer.get("other", "a") is None
    assert len(bench.informer) == 1


async def test_it_is_not_in_sync_before_the_last_page() -> None:
    bench = Bench([a_list(5, configmap("a", 3), token="more"), a_list(5, configmap("b", 4))])
    task = asyncio.create_task(bench.informer.run())
    await eventually(lambda: len(bench.informer) == 1, every=0)
    assert not bench.informer.synced.is_set()
    await bench.informer.synced.wait()
    assert len(bench.informer) == 2
    task.cancel()


async def test_a_new_list_tells_only_what_is_different(bench: Bench) -> None:
    bench.informer.list_began(0)
    show(bench.informer, raw("same", 1), raw("changed", 2), raw("gone", 3))
    bench.informer.list_complete(5)
    bench.take_told()
    bench.informer.list_began(0)
    show(bench.informer, raw("same", 1), raw("changed", 8), raw("new", 9))
    bench.informer.list_complete(10)
    assert bench.told == [
        (thing("changed", 2), thing("changed", 8)),
        (None, thing("new", 9)),
        (thing("gone", 3), None),
    ]


async def test_a_list_that_was_broken_off_deletes_nothing(bench: Bench) -> None:
    bench.informer.list_began(0)
    show(bench.informer, raw("a", 1), raw("b", 2))
    bench.informer.list_complete(5)
    bench.informer.list_began(0)
    show(bench.informer, raw("a", 1))
    bench.informer.list_began(0)  # the next page had expired
    show(bench.informer, raw("b", 2))
    bench.informer.list_complete(9)
    assert bench.content() == {("b", "2", "")}


async def test_what_is_older_than_what_is_held_is_dropped(bench: Bench) -> None:
    bench.informer.changed(event_of("ADDED", raw("a", 100, "new")))
    bench.take_told()
    bench.informer.changed(event_of("MODIFIED", raw("a", 99, "old")))
    bench.informer.changed(event_of("DELETED", raw("a", 98)))
    bench.informer.record(thing("a", 97, "older"))
    bench.informer.list_began(0)
    show(bench.informer, raw("a", 96, "oldest"))
    bench.informer.list_complete(99)
    assert bench.content() == {("a", "100", "new")}
    assert bench.told == []


async def test_versions_are_numbers_and_not_words(bench: Bench) -> None:
    bench.informer.changed(event_of("ADDED", raw("a", 9)))
    bench.informer.changed(event_of("MODIFIED", raw("a", 10, "new")))
    assert bench.content() == {("a", "10", "new")}


async def test_a_writes_answer_is_there_at_once_and_its_echo_is_no_news(bench: Bench) -> None:
    bench.informer.changed(event_of("ADDED", raw("a", 5, "old")))
    bench.take_told()
    bench.informer.record(thing("a", 7, "new"))
    assert bench.content() == {("a", "7", "new")}
    bench.informer.changed(
        event_of("MODIFIED", raw("a", 6, "between"))
    )  # still on its way when we wrote
    bench.informer.changed(event_of("MODIFIED", raw("a", 7, "new")))
    assert bench.told == []
    assert bench.content() == {("a", "7", "new")}


async def test_a_writes_answer_that_was_not_what_was_stored_is_put_right(bench: Bench) -> None:
    """A webhook may have changed the content that was sent; the version is the same."""
    bench.informer.record(thing("a", 7, "sent"))
    bench.informer.changed(event_of("MODIFIED", raw("a", 7, "stored")))
    assert bench.told == [(thing("a", 7, "sent"), thing("a", 7, "stored"))]
    assert bench.content() == {("a", "7", "stored")}


async def test_what_was_written_after_a_list_survives_it(bench: Bench) -> None:
    bench.informer.list_began(0)
    bench.informer.record(thing("ours", 12))
    bench.informer.list_complete(10)
    assert bench.content() == {("ours", "12", "")}
    bench.informer.list_began(0)
    bench.informer.list_complete(20)  # another client deleted it since
    assert bench.content() == set()
    assert bench.told == [(thing("ours", 12), None)]


async def test_what_was_written_before_a_list_and_deleted_goes_with_it(bench: Bench) -> None:
    bench.informer.list_began(0)
    bench.informer.record(thing("ours", 9))  # the answer came late
    bench.informer.list_complete(10)
    assert bench.content() == set()


async def test_what_was_deleted_by_us_is_gone_without_a_word(bench: Bench) -> None:
    bench.informer.changed(event_of("ADDED", raw("a", 5, "red")))
    bench.take_told()
    bench.informer.forget("team", "a")
    bench.informer.forget("team", "never there")
    assert bench.informer.get("team", "a") is None
    assert bench.informer.by_index("color", "red") == ()
    bench.informer.changed(event_of("DELETED", raw("a", 6, "red")))
    assert bench.told == []


async def test_a_place_that_is_watched_before_it_is_known_misses_neither_news_nor_deletion(
    bench: Bench,
) -> None:
    bench.informer.record(thing("known", 5))
    for name in ("changed", "deleted", "known"):
        bench.informer.record(thing(name, 0))
    bench.informer.changed(event_of("MODIFIED", raw("changed", 7)))
    bench.informer.changed(event_of("DELETED", raw("deleted", 8)))
    assert bench.told == [(thing("changed", 0), thing("changed", 7)), (thing("deleted", 0), None)]
    assert bench.content() == {("changed", "7", ""), ("known", "5", "")}


async def test_a_place_that_a_list_has_passed_already_stays_watched(bench: Bench) -> None:
    bench.informer.list_began(0)
    show(bench.informer, raw("a", 3, "none"))
    bench.informer.record(thing("a", 0))  # now it is wanted
    bench.informer.list_complete(10)
    assert bench.informer.get("team", "a") == thing("a", 0)
    bench.informer.changed(event_of("DELETED", raw("a", 11)))
    assert bench.told == [(thing("a", 0), None)]


async def test_what_is_not_to_be_kept_is_not(bench: Bench) -> None:
    bench.informer.list_began(0)
    show(bench.informer, raw("a", 1, "none"), raw("b", 2, "red"))
    bench.informer.list_complete(5)
    assert bench.content() == {("b", "2", "red")}
    bench.take_told()
    bench.informer.changed(event_of("MODIFIED", raw("b", 6, "none")))
    bench.informer.changed(event_of("DELETED", raw("b", 7, "none")))
    assert bench.told == [(thing("b", 2, "red"), None)]
    bench.informer.changed(event_of("MODIFIED", raw("b", 8, "blue")))
    assert bench.content() == {("b", "8", "blue")}


async def test_an_object_that_cannot_be_read_stays_as_it_was_and_stops_nobody(
    bench: Bench, capsys: pytest.CaptureFixture[str]
) -> None:
    """Taken for a deletion, it would have its copies deleted."""
    bench.informer.changed(event_of("ADDED", raw("a", 1, "red")))
    bench.take_told()
    bench.informer.changed(event_of("MODIFIED", raw("a", 2, "broken")))
    bench.informer.list_began(0)
    show(bench.informer, raw("a", 2, "broken"), raw("b", 3))
    bench.informer.list_complete(5)
    assert bench.content() == {("a", "1", "red"), ("b", "3", "")}
    assert bench.told == [(None, thing("b", 3))]
    assert "cannot decode an object" in "".join(capsys.readouterr())
    bench.informer.changed(event_of("DELETED", raw("a", 6, "broken")))
    assert bench.content() == {("b", "3", "")}


async def test_a_handler_that_fails_keeps_nothing_from_the_others(
    bench: Bench, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(old: Thing | None, new: Thing | None) -> None:
        raise ZeroDivisionError

    later: list[Thing | None] = []
    bench.informer.on_change(fail)
    bench.informer.on_change(lambda _, new: later.append(new))
    bench.informer.list_began(0)
    show(bench.informer, raw("a", 1), raw("b", 2))
    bench.informer.list_complete(5)
    assert later == [thing("a", 1), thing("b", 2)]
    assert bench.informer.synced.is_set()
    assert "ZeroDivisionError" in "".join(capsys.readouterr())


async def test_a_handler_sees_the_cache_as_it_is_after_the_change(bench: Bench) -> None:
    seen: list[Thing | None] = []
    bench.informer.on_change(lambda *_: seen.append(bench.informer.get("team", "a")))
    bench.informer.changed(event_of("ADDED", raw("a", 1)))
    bench.informer.changed(event_of("DELETED", raw("a", 2)))
    assert seen == [thing("a", 1), None]


async def test_records_are_found_by_their_index_as_they_are_now(bench: Bench) -> None:
    bench.informer.changed(event_of("ADDED", raw("a", 1, "red")))
    bench.informer.changed(event_of("ADDED", raw("b", 2, "red")))
    bench.informer.changed(event_of("ADDED", raw("c", 3)))
    assert bench.informer.by_index("color", "red") == (thing("a", 1, "red"), thing("b", 2, "red"))
    bench.informer.changed(event_of("MODIFIED", raw("a", 4, "blue")))
    bench.informer.changed(event_of("DELETED", raw("b", 5, "red")))
    assert bench.informer.by_index("color", "red") == ()
    assert bench.informer.by_index("color", "blue") == (thing("a", 4, "blue"),)
    assert (
        "red" not in bench.informer._store._indexed["color"]
    )  # values that nothing has any more cost no memory
    with pytest.raises(KeyError):
        bench.informer.by_index("size", "big")


class World:
    """A server that changes, and an informer that hears of it late, twice, or by a list."""

    def __init__(self, informer: Informer[Thing]) -> None:
        self.informer = informer
        self.objects: dict[str, tuple[int, str]] = {}
        self.on_its_way: list[tuple[str, msgspec.Raw]] = []
        self.heard: set[str] = set()  # the objects that a handler believes to exist
        informer.on_change(self._listen)

    def write(self, name: str, version: int, color: str) -> None:
        self.objects[name] = (version, color)
        self.on_its_way.append(("MODIFIED", raw(name, version, color)))

    def delete(self, name: str, version: int) -> None:
        if name in self.objects:
            self.on_its_way.append(("DELETED", raw(name, version, self.objects.pop(name)[1])))

    def deliver(self, times: int) -> None:
        for kind, item in self.on_its_way * times:
            self.informer.changed(event_of(kind, item))
        self.on_its_way.clear()

    def relist(self, version: int, broken_off: int) -> None:
        for _ in range(broken_off + 1):
            self.informer.list_began(0)
            show(self.informer, *[raw(name, *held) for name, held in self.objects.items()])
        self.informer.list_complete(version)
        self.on_its_way.clear()

    def _listen(self, old: Thing | None, new: Thing | None) -> None:
        if new is not None:
            self.heard.add(new.name)
        elif old is not None:
            self.heard.discard(old.name)


writes = st.tuples(
    st.just("write"), st.sampled_from("abc"), st.sampled_from(["red", "blue"]), st.booleans()
)
deletions = st.tuples(st.just("delete"), st.sampled_from("abc"))
deliveries = st.tuples(st.just("deliver"), st.integers(1, 2))
lists = st.tuples(st.just("relist"), st.integers(0, 1))


@settings(deadline=None, max_examples=150)
@given(st.lists(writes | deletions | deliveries | lists, max_size=20))
async def test_whatever_comes_late_or_twice_or_by_a_list_the_cache_ends_as_the_server_is(
    script: list[tuple[object, ...]],
) -> None:
    bench = Bench()
    world = World(bench.informer)
    for version, step in enumerate(script, start=1):
        match step:
            case ("write", str(name), str(color), bool(by_us)):
                world.write(name, version, color)
                if by_us:
                    bench.informer.record(thing(name, version, color))
            case ("delete", str(name)):
                world.delete(name, version)
            case ("deliver", int(times)):
                world.deliver(times)
            case ("relist", int(broken_off)):
                world.relist(version, broken_off)
    world.deliver(1)
    assert bench.content() == {
        (name, str(version), color) for name, (version, color) in world.objects.items()
    }
    for color in ("red", "blue"):
        found = {each.name for each in bench.informer.by_index("color", color)}
        assert found == {name for name, (_, held) in world.objects.items() if held == color}
    assert world.heard <= set(world.objects)


def restored(bench: Bench, version: int, *items: msgspec.Raw) -> None:
    """A list comes, as after a restore of the storage."""
    bench.informer.list_began(version)
    show(bench.informer, *items)
    bench.informer.list_complete(version)


async def test_after_versions_went_back_the_list_is_the_truth(bench: Bench) -> None:
    restored(bench, 50, raw("kept", 10, "red"), raw("changed", 40, "red"), raw("gone", 45))
    bench.informer.forget("team", "back", None)
    bench.informer.record(thing("written", 60, "red"))
    bench.informer.record(thing("removed", 61))
    bench.informer.forget("team", "removed")
    resets: list[int] = []
    bench.informer.on_reset(lambda: resets.append(len(bench.informer)))
    bench.take_told()
    bench.informer.reset()
    assert len(bench.informer) == 4  # until the truth is known
    restored(bench, 30, raw("kept", 10, "red"), raw("changed", 20, "blue"), raw("removed", 25))
    assert bench.content() == {
        ("kept", "10", "red"),
        ("changed", "20", "blue"),
        ("removed", "25", ""),
    }
    assert {told[0] and told[0].name for told in bench.take_told()} == {
        None,
        "changed",
        "gone",
        "written",
    }
    assert resets == [3]
    bench.informer.changed(event_of("MODIFIED", raw("kept", 31, "green")))
    assert ("kept", "31", "green") in bench.content()
    restored(bench, 32, raw("kept", 31, "green"))
    assert resets == [3]


async def test_what_is_written_while_the_list_after_a_reset_comes_stays(bench: Bench) -> None:
    restored(bench, 50, raw("a", 40))
    bench.informer.reset()
    bench.informer.list_began(30)
    bench.informer.record(thing("a", 31, "red"))
    bench.informer.record(thing("b", 32, "red"))
    show(bench.informer, raw("a", 20))
    bench.informer.list_complete(30)
    assert bench.content() == {("a", "31", "red"), ("b", "32", "red")}


async def test_a_list_wins_over_records_that_are_not_newer_than_itself(bench: Bench) -> None:
    """A restore may raise the version of the storage (`--bump-revision`)."""
    restored(bench, 50, raw("a", 40, "red"), raw("b", 41))
    bench.informer.record(thing("c", 60))
    bench.informer.forget("team", "c")
    restored(bench, 1000, raw("a", 20, "blue"), raw("c", 15, "blue"))
    assert bench.content() == {("a", "20", "blue"), ("c", "15", "blue")}


async def test_forgotten_places_do_not_pile_up(bench: Bench) -> None:
    """A namespace or a name is used once, and a tenant may use as many as it likes."""
    restored(bench, 1)
    for number in range(3000):
        bench.informer.record(thing(f"thing-{number}", 10 + number))
        bench.informer.forget("team", f"thing-{number}")
        bench.informer.changed(event_of("MODIFIED", raw("other", 10 + number)))
    assert (
        len(bench.informer._store.removed) <= REMOVED_LIMIT + 1
    )  # what is measured is what no outcome shows


class Weighed:
    """A record that counts how often its version is read."""

    reads = 0

    def __init__(self, raw: msgspec.Raw) -> None:
        shown = decode_version(raw)
        self.namespace, self.name, self._version = *shown.place, shown.resource_version

    @property
    def resource_version(self) -> str:
        Weighed.reads += 1
        return self._version


async def test_the_end_of_a_list_visits_no_record_that_did_not_change() -> None:
    informer: Informer[Weighed] = Informer(
        ScriptedConnection([], []),  # type: ignore[arg-type]
        "/things",
        decode=Weighed,
        rng=rng(),
    )
    items = [raw(f"thing-{number}", number) for number in range(1, 1001)]
    for _ in range(2):
        informer.list_began(2000)
        show(informer, *items)
        Weighed.reads = 0
        informer.list_complete(2000)
        assert len(informer) == 1000
        assert Weighed.reads < 10
        newest = informer.newest()
        assert newest is not None
        assert newest.version == 1000
        assert Weighed.reads < 1010  # once each: a renewed watch needs it every five minutes
