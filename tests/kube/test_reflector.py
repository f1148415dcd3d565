"""The reflector keeps up through every fault, without hot loops, and logs the cause."""

import asyncio
import itertools
from typing import Any

import msgspec
import pytest

from kube.client import JSON, METADATA, METADATA_LIST
from kube.errors import (
    ApiError,
    Forbidden,
    Gone,
    Malformed,
    NotFound,
    ServerError,
    Silent,
    TooManyRequests,
    Unreachable,
)
from kube.history import Seen
from kube.reflector import (
    FIRST_DELAY_SECONDS,
    HEALTHY_SECONDS,
    MAX_DELAY_SECONDS,
    WATCH_SECONDS,
    Reflector,
)
from kube.wire import WatchedEvent
from tests.kube.scripted import (
    ScriptedConnection,
    Step,
    a_list,
    bookmark,
    configmap,
    event,
    rng,
    status,
)

pytestmark = pytest.mark.looptime(start=0)


class Sink:
    """Remembers what a reflector hands on."""

    def __init__(self) -> None:
        self.heard: list[str] = []
        self.mistake: Exception | None = None
        self.newest_seen: Seen | None = None

    def reset(self) -> None:
        self.heard.append("reset")

    def recovered(self) -> None:
        self.heard.append("recovered")

    def newest(self) -> Seen | None:
        return self.newest_seen

    def list_began(self, version: int) -> None:
        self.heard.append(f"list {version}")

    def listed(self, item: msgspec.Raw) -> None:
        self.heard.append(self._name(item))

    def list_complete(self, version: int) -> None:
        self.heard.append(f"complete {version}")

    def changed(self, event: WatchedEvent) -> bool:
        if self.mistake is not None:
            mistake, self.mistake = self.mistake, None
            raise mistake
        self.heard.append(f"{event.kind} {self._name(event.item)}")
        return True

    @staticmethod
    def _name(item: msgspec.Raw) -> str:
        name: str = msgspec.json.decode(item)["metadata"]["name"]
        return name


class Bench:
    """A reflector over a script."""

    def __init__(self, lists: list[Step], watches: list[Step], accept: str = JSON) -> None:
        self.sink = Sink()
        self.connection = ScriptedConnection(lists, watches)
        self.reflector = Reflector(
            self.connection,  # type: ignore[arg-type]
            "/things",
            self.sink,
            params={"labelSelector": "a=b"},
            accept=accept,
            rng=rng(),
        )

    async def run_for(self, seconds: float) -> None:
        task = asyncio.create_task(self.reflector.run())
        await asyncio.sleep(seconds)
        assert not task.done()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    def times(self, kind: str) -> list[float]:
        return [when for when, what, _, _ in self.connection.asked if what == kind]

    def versions(self) -> list[str]:
        return [
            params["resourceVersion"]
            for _, what, params, _ in self.connection.asked
            if what == "watch"
        ]


FOREVER = 1e9
QUIET: list[Any] = [FOREVER]
EMPTY = a_list(5)


async def test_a_list_is_followed_by_a_watch_from_its_version() -> None:
    bench = Bench(
        [a_list(5, configmap("a", 3))],
        [[event("ADDED", configmap("b", 6)), event("DELETED", configmap("a", 7)), FOREVER]],
    )
    await bench.run_for(10)
    assert bench.sink.heard == ["list 5", "a", "complete 5", "ADDED b", "DELETED a"]
    (_, _, first, _), (_, _, watch, _) = bench.connection.asked
    assert first == {"labelSelector": "a=b", "limit": "100"}
    seconds = int(watch.pop("timeoutSeconds"))
    assert WATCH_SECONDS[0] <= seconds <= WATCH_SECONDS[1]
    assert watch == {
        "labelSelector": "a=b",
        "watch": "true",
        "allowWatchBookmarks": "true",
        "resourceVersion": "5",
    }


async def test_pages_are_put_together_and_the_first_tells_the_version() -> None:
    pages = [
        a_list(5, configmap("a", 1), token="next"),
        a_list(9, configmap("b", 2), token="last"),
        a_list(9),
    ]
    bench = Bench(list(pages), [QUIET])
    await bench.run_for(10)
    assert bench.sink.heard == ["list 5", "a", "b", "complete 5"]
    assert [
        params.get("continue") for _, what, params, _ in bench.connection.asked if what == "list"
    ] == [
        None,
        "next",
        "last",
    ]
    assert bench.versions() == ["5"]


async def test_a_collection_without_items_is_empty() -> None:
    bench = Bench([{"metadata": {"resourceVersion": "5"}, "items": None}], [QUIET])
    await bench.run_for(1)
    assert bench.sink.heard == ["list 5", "complete 5"]


async def test_metadata_is_asked_for_in_the_form_of_lists_and_of_watches() -> None:
    """A watch that is asked for in the form of lists stays silent for ever."""
    bench = Bench([EMPTY], [QUIET], METADATA)
    await bench.run_for(1)
    assert [accept for _, _, _, accept in bench.connection.asked] == [
        METADATA_LIST,
        METADATA,
    ]


async def test_a_watch_that_ends_is_resumed_from_the_last_version_without_a_new_list() -> None:
    watches: list[Step] = [
        [event("ADDED", configmap("a", 6)), 300],
        [bookmark(40), 300],
        [300],
        QUIET,
    ]
    bench = Bench([EMPTY], watches)
    await bench.run_for(1000)
    assert bench.versions() == ["5", "6", "40", "40"]
    assert bench.connection.count("list") == 1
    assert bench.times("watch")[-1] <= 900 + 3 * FIRST_DELAY_SECONDS
    assert bench.sink.heard == ["list 5", "complete 5", "ADDED a"]  # bookmarks are no news


@pytest.mark.parametrize(
    "gone", [Gone("too old"), event("ERROR", status(410, "Expired", "too old resource version"))]
)
async def test_a_version_that_is_too_old_means_a_new_list_at_once(gone: Step) -> None:
    bench = Bench(
        [EMPTY, a_list(50, configmap("b", 44))],
        [gone if isinstance(gone, ApiError) else [gone], QUIET],
    )
    await bench.run_for(10)
    assert bench.sink.heard == ["list 5", "complete 5", "list 50", "b", "complete 50"]
    assert bench.versions() == ["5", "50"]
    assert bench.times("list")[1] <= FIRST_DELAY_SECONDS
    assert bench.reflector.state.problem is None


async def test_a_page_that_has_expired_means_a_list_from_its_beginning() -> None:
    lists: list[Step] = [
        a_list(5, configmap("a", 1), token="next"),
        Gone("expired"),
        a_list(9, configmap("b", 2)),
    ]
    bench = Bench(lists, [QUIET])
    await bench.run_for(10)
    assert bench.sink.heard == ["list 5", "a", "list 9", "b", "complete 9"]
    assert "continue" not in bench.connection.asked[2][2]


async def test_a_server_that_always_says_gone_is_not_asked_without_a_pause() -> None:
    bench = Bench([EMPTY], [[event("ERROR", status(410, "Expired"))]])
    await bench.run_for(600)
    assert bench.connection.count("list") < 700 / MAX_DELAY_SECONDS * 2


@pytest.mark.parametrize("where", ["list", "watch"])
async def test_a_server_that_is_away_is_asked_again_ever_more_rarely_but_for_ever(
    where: str,
) -> None:
    trouble = ServerError("the server answered 503 without a message", status=503)
    bench = Bench([trouble] if where == "list" else [EMPTY], [trouble])
    await bench.run_for(3600)
    times = bench.times(where)
    pauses = [after - before for before, after in itertools.pairwise(times)]
    assert pauses[0] <= FIRST_DELAY_SECONDS
    assert max(pauses) <= MAX_DELAY_SECONDS
    assert min(pauses[10:]) >= MAX_DELAY_SECONDS / 2
    assert bench.reflector.state.problem is trouble


async def test_a_server_that_ends_each_watch_at_once_is_not_asked_without_a_pause() -> None:
    bench = Bench([EMPTY], [[]])
    await bench.run_for(600)
    assert bench.connection.count("watch") < 700 / MAX_DELAY_SECONDS * 2
    assert bench.connection.count("list") == 1


async def test_a_server_that_asks_for_patience_gets_it() -> None:
    bench = Bench([TooManyRequests("slow down", status=429, retry_after=20.0), EMPTY], [QUIET])
    await bench.run_for(600)
    first, second = bench.times("list")
    assert 20 <= second - first <= 21


async def test_a_silent_peer_is_left_and_the_watch_resumed(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Bookmarks are not promised, so a silent watch is no problem to report."""
    silent: list[Any] = [event("ADDED", configmap("a", 6)), 80, Silent("nothing came for too long")]
    bench = Bench([EMPTY], [silent, QUIET])
    await bench.run_for(200)
    assert bench.reflector.state.problem is None
    logged = "".join(capsys.readouterr())
    assert "warning" not in logged
    assert "watch idle timeout, reconnecting" in logged
    assert bench.versions() == ["5", "6"]
    assert bench.times("watch")[1] <= 90
    assert bench.connection.count("list") == 1


async def test_an_error_in_the_middle_of_a_watch_resumes_it() -> None:
    broken: list[Any] = [
        event("ADDED", configmap("a", 6)),
        event("ERROR", status(500, "InternalError")),
    ]
    bench = Bench([EMPTY], [broken, QUIET])
    await bench.run_for(10)
    assert bench.versions() == ["5", "6"]


@pytest.mark.parametrize(
    "nonsense", [{"type": "ADDED"}, {"type": "ADDED", "object": {"metadata": {"name": 5}}}, {}]
)
async def test_an_event_that_cannot_be_read_means_a_new_list(nonsense: dict[str, Any]) -> None:
    """Resumed from the same version, the same event would come again and again."""
    bench = Bench([EMPTY, a_list(9)], [[nonsense], QUIET])
    await bench.run_for(10)
    assert bench.sink.heard == ["list 5", "complete 5", "recovered", "list 9", "complete 9"]
    assert bench.versions() == ["5", "9"]


async def test_a_list_that_cannot_be_read_is_a_problem_and_asked_for_again() -> None:
    bench = Bench([{"kind": "Status"}, {"kind": "Status"}, EMPTY], [QUIET])
    task = asyncio.create_task(bench.reflector.run())
    await asyncio.sleep(0.01)
    assert isinstance(bench.reflector.state.problem, Malformed)
    await asyncio.sleep(10)
    assert bench.reflector.state.problem is None
    assert bench.sink.heard[-1] == "complete 5"
    task.cancel()


async def test_a_mistake_of_ours_does_not_make_us_blind(capsys: pytest.CaptureFixture[str]) -> None:
    bench = Bench([EMPTY, a_list(9)], [[event("ADDED", configmap("a", 6))], QUIET])
    bench.sink.mistake = ZeroDivisionError("ours")
    await bench.run_for(10)
    assert bench.sink.heard == ["list 5", "complete 5", "list 9", "complete 9"]
    logged = "".join(capsys.readouterr())
    assert "failed unexpectedly" in logged
    assert "ZeroDivisionError" in logged


async def test_what_is_wrong_is_said_once_and_again_when_it_is_something_else(
    capsys: pytest.CaptureFixture[str],
) -> None:
    away, missing = Unreachable("cannot connect"), NotFound("no such resource", status=404)
    lists: list[Step] = [
        away,
        away,
        away,
        missing,
        missing,
        Forbidden("you may not", status=403),
        EMPTY,
    ]
    bench = Bench(lists, [QUIET])
    await bench.run_for(60)
    logged = "".join(capsys.readouterr())
    assert logged.count("cannot list or watch") == 3
    assert logged.count("cannot connect") == 1
    assert logged.count("no such resource") == 1
    assert logged.count("list and watch recovered") == 1
    assert bench.sink.heard == ["recovered", "list 5", "complete 5"]
    assert "Traceback" not in logged
    assert bench.reflector.state.problem is None


@pytest.mark.parametrize("healthy", [True, False])
async def test_a_watch_that_lived_long_is_resumed_quickly_after_trouble(healthy: bool) -> None:
    trouble: list[Step] = [[Unreachable("away")]] * 8
    alive: list[Any] = [HEALTHY_SECONDS + 1 if healthy else 1, Unreachable("away")]
    bench = Bench([EMPTY], [*trouble, alive, QUIET])
    await bench.run_for(600)
    times = bench.times("watch")
    pause = times[9] - times[8] - alive[0]
    assert pause <= FIRST_DELAY_SECONDS if healthy else pause > 1


async def test_it_tells_when_it_last_heard_something() -> None:
    bench = Bench([EMPTY], [[100, bookmark(9), FOREVER]])
    task = asyncio.create_task(bench.reflector.run())
    await asyncio.sleep(50)
    assert bench.reflector.state.last_heard < 1
    await asyncio.sleep(100)
    assert bench.reflector.state.last_heard == 100
    task.cancel()


async def test_it_is_active_while_the_api_server_is_away_and_not_while_it_is_stuck() -> None:
    away = Bench([Unreachable("no route")], [])
    stuck = Bench([EMPTY], [QUIET])
    await asyncio.gather(away.run_for(3600), stuck.run_for(3600))
    assert away.reflector.state.last_heard == 0
    assert away.reflector.state.last_active > 3590
    assert stuck.reflector.state.last_active < 1


async def test_two_watches_are_not_renewed_together() -> None:
    bench = Bench([EMPTY], [[300]])
    await bench.run_for(3000)
    asked = [
        params["timeoutSeconds"] for _, what, params, _ in bench.connection.asked if what == "watch"
    ]
    assert len(set(asked)) > 3


async def test_a_retry_after_of_an_hour_silences_a_watch_for_30_seconds_at_most() -> None:
    bench = Bench([EMPTY], [TooManyRequests("slow down", status=429, retry_after=3600.0), QUIET])
    await bench.run_for(600)
    first, second = bench.times("watch")
    assert 30 <= second - first <= 31


async def test_an_event_of_an_older_version_drops_the_cache_and_lists_again(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A storage that was restored counts from an older version on."""
    bench = Bench(
        [a_list(50, configmap("a", 40)), a_list(12, configmap("a", 9))],
        [
            [event("MODIFIED", configmap("a", 60)), event("MODIFIED", configmap("a", 11)), FOREVER],
            QUIET,
        ],
    )
    await bench.run_for(30)
    assert bench.sink.heard == [
        *("list 50", "a", "complete 50", "MODIFIED a"),
        *("reset", "list 12", "a", "complete 12"),
    ]
    assert bench.versions() == ["50", "12"]
    assert capsys.readouterr().out.count("resource versions went back") == 1


async def test_a_bookmark_of_an_older_version_drops_the_cache() -> None:
    bench = Bench([a_list(50), a_list(12)], [[bookmark(11), FOREVER], QUIET])
    await bench.run_for(30)
    assert bench.sink.heard == ["list 50", "complete 50", "reset", "list 12", "complete 12"]


async def test_a_list_of_an_older_version_drops_the_cache() -> None:
    gone = event("ERROR", status(410, "Expired"))
    bench = Bench([a_list(50), a_list(12)], [[gone], QUIET])
    await bench.run_for(30)
    assert bench.sink.heard == ["list 50", "complete 50", "reset", "list 12", "complete 12"]


async def test_a_watch_is_not_resumed_from_a_version_of_the_future() -> None:
    """A real API server accepts such a watch and sends nothing until that version."""
    bench = Bench([a_list(50), a_list(12)], [[], QUIET])
    bench.connection.now_at = 12
    await bench.run_for(30)
    assert bench.sink.heard == ["list 50", "complete 50", "reset", "list 12", "complete 12"]
    assert bench.versions() == ["50", "12"]


async def test_an_object_that_is_older_than_it_was_drops_the_cache_although_versions_went_on() -> (
    None
):
    """The restored cluster is busy and has passed the version that was reached."""
    bench = Bench([a_list(50), a_list(70)], [[], QUIET])
    bench.sink.newest_seen = Seen("team", "a", 45)
    bench.connection.versions["a"] = 20
    await bench.run_for(30)
    assert bench.sink.heard == ["list 50", "complete 50", "reset", "list 70", "complete 70"]


async def test_a_deleted_object_that_is_back_in_an_older_version_drops_the_cache() -> None:
    bench = Bench([a_list(50), a_list(70)], [[event("DELETED", configmap("gone", 55))], QUIET])
    bench.connection.versions["gone"] = 20
    await bench.run_for(30)
    assert bench.sink.heard[-3:] == ["reset", "list 70", "complete 70"]


async def test_a_newest_object_that_is_not_there_any_more_means_a_list() -> None:
    """It was deleted, or made after the backup: only a list can say."""
    bench = Bench([a_list(50), a_list(70)], [[], QUIET])
    bench.sink.newest_seen = Seen("team", "a", 45)
    bench.connection.versions["a"] = 0
    await bench.run_for(30)
    assert bench.sink.heard == ["list 50", "complete 50", "list 70", "complete 70"]


async def test_a_watch_is_resumed_where_the_newest_object_is_as_it_was_or_newer() -> None:
    for version in (45, 60):
        bench = Bench([a_list(50)], [[], QUIET])
        bench.sink.newest_seen = Seen("team", "a", 45)
        bench.connection.versions["a"] = version
        await bench.run_for(30)
        assert bench.sink.heard == ["list 50", "complete 50"]
        assert bench.versions() == ["50", "50"]


async def test_a_list_below_the_version_of_an_own_write_drops_the_cache() -> None:
    """An answer to a write may show a higher version than the broken watch had reached."""
    gone = event("ERROR", status(410, "Expired"))
    bench = Bench([a_list(50), a_list(52)], [[gone], QUIET])
    bench.sink.newest_seen = Seen("team", "a", 45)
    task = asyncio.create_task(bench.run_for(30))
    await asyncio.sleep(0.05)
    bench.sink.newest_seen = Seen("team", "a", 60)
    await task
    assert bench.sink.heard == ["list 50", "complete 50", "reset", "list 52", "complete 52"]
