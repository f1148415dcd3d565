"""One candidate leads despite failures, pauses and wrong clocks; the others notice."""

import asyncio
import re
from collections.abc import AsyncIterator, Callable
from datetime import datetime, timedelta
from itertools import pairwise

import pytest

from kube.errors import (
    ApiError,
    Fenced,
    Forbidden,
    Malformed,
    ServerError,
    TooManyRequests,
    Unauthorized,
    Unreachable,
)
from kube.leader_election import LeaseLostError, Timing
from tests.kube.lease_board import EPOCH, Board, Candidate, Trouble, now

pytestmark = pytest.mark.looptime(start=0)
MICRO_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z")
MOMENT = 0.2  # seconds that some requests take
DURATION, DEADLINE, RETRY = 15, 10.0, 2.0
LONGEST_RETRY = RETRY * 1.2 + MOMENT


class Scene:
    """A board, and the candidates of its election."""

    def __init__(self) -> None:
        self.board = Board()
        self.running: list[asyncio.Task[None]] = []

    def start(self, candidate: Candidate) -> asyncio.Task[None]:
        """Let it run to the end of the test. Cancelling it is a kill: it says nothing more."""
        candidate.task = asyncio.create_task(candidate.run())
        self.running.append(candidate.task)
        return candidate.task

    async def leader(self) -> Candidate:
        """One that leads."""
        candidate = Candidate(self.board, "first")
        self.start(candidate)
        await asyncio.sleep(MOMENT)
        assert candidate.elector.leading
        return candidate

    async def standby(self) -> Candidate:
        """One that waits."""
        candidate = Candidate(self.board, "second")
        self.start(candidate)
        await asyncio.sleep(MOMENT)
        assert not candidate.elector.leading
        return candidate


@pytest.fixture
async def scene() -> AsyncIterator[Scene]:
    made = Scene()
    yield made
    for task in made.running:
        task.cancel()
    await asyncio.gather(*made.running, return_exceptions=True)
    await made.board.close()


@pytest.fixture
def board(scene: Scene) -> Board:
    return scene.board


async def lost(candidate: Candidate) -> str:
    """Why it lost its Lease, once it has."""
    with pytest.raises(ExceptionGroup) as raised:
        await asyncio.wait_for(candidate.task, 600)
    (error,) = raised.value.exceptions
    assert isinstance(error, LeaseLostError)
    assert not candidate.elector.leading
    return str(error)


def time_in(text: str) -> datetime:
    assert MICRO_TIME.fullmatch(text)
    return datetime.fromisoformat(text)


def always(trouble: Trouble) -> Callable[[str], Trouble]:
    return lambda _method: trouble


def next_time(method: str, *troubles: Trouble) -> Callable[[str], Trouble]:
    """Trouble with the next requests of that method."""
    waiting = list(troubles)
    return lambda asked: waiting.pop(0) if waiting and asked == method else None


# A term in which all is well


async def test_the_first_candidate_makes_the_record_and_leads(scene: Scene, board: Board) -> None:
    await scene.leader()
    assert board.lease is not None
    assert board.lease["metadata"]["name"] == "leader"
    assert board.spec["holderIdentity"] == "first"
    assert board.spec["leaseDurationSeconds"] == DURATION
    assert board.spec["leaseTransitions"] == 0
    assert board.spec["acquireTime"] == board.spec["renewTime"]
    assert EPOCH <= time_in(board.spec["acquireTime"]) < EPOCH + timedelta(seconds=1)


async def test_a_holder_renews_every_retry_period_and_changes_nothing_else(
    scene: Scene, board: Board
) -> None:
    first = await scene.leader()
    began = dict(board.spec)

    await asyncio.sleep(600)

    assert first.elector.leading
    assert {**board.spec, "renewTime": began["renewTime"]} == began
    times = [when for when, _, _ in board.history]
    pauses = [later - earlier for earlier, later in pairwise(times)]
    assert all(RETRY <= pause < LONGEST_RETRY for pause in pauses)
    assert (
        len({round(pause, 3) for pause in pauses}) > len(pauses) / 2
    )  # chance has its part in each
    renewals = [time_in(lease["spec"]["renewTime"]) for _, _, lease in board.history]
    assert renewals == sorted(set(renewals))


async def test_who_waits_writes_nothing_and_asks_for_little(scene: Scene) -> None:
    await scene.leader()
    second = await scene.standby()
    await asyncio.sleep(3600)

    assert not second.elector.leading
    assert second.line.count() == {"GET": 1, "WATCH": 1}
    assert second.elector.holder == "first"


async def test_a_lease_that_is_given_back_is_taken_at_once(scene: Scene, board: Board) -> None:
    first = await scene.leader()
    second = await scene.standby()
    await asyncio.sleep(100)
    first.done.set()
    await first.task
    given_back = now()
    await asyncio.sleep(MOMENT)

    assert second.terms[0] - given_back < MOMENT
    assert board.spec["holderIdentity"] == "second"
    assert board.spec["leaseTransitions"] == 1
    assert board.spec["leaseDurationSeconds"] == DURATION
    assert time_in(board.spec["acquireTime"]) >= EPOCH + timedelta(seconds=100)


async def test_transitions_are_counted_over_many_terms(scene: Scene, board: Board) -> None:
    for number in range(4):
        candidate = Candidate(board, f"number {number}")
        term = scene.start(candidate)
        await asyncio.sleep(MOMENT)
        assert (board.holder, board.spec["leaseTransitions"]) == (f"number {number}", number)
        candidate.done.set()
        await term
        assert (board.holder, board.spec["leaseTransitions"]) == ("", number)


async def test_what_others_put_on_the_lease_stays(scene: Scene, board: Board) -> None:
    first = await scene.leader()
    await board.patch({"metadata": {"labels": {"team": "web"}}, "spec": {"strategy": "mine"}})

    await asyncio.sleep(60)
    first.done.set()
    await first.task

    assert board.lease is not None
    assert board.lease["metadata"]["labels"] == {"team": "web"}
    assert board.spec["strategy"] == "mine"


async def test_an_empty_record_that_somebody_made_beforehand_is_free(
    scene: Scene, board: Board
) -> None:
    await board.post({"metadata": {"name": "leader"}})
    candidate = Candidate(board, "first")

    scene.start(candidate)
    await asyncio.sleep(MOMENT)

    assert candidate.elector.leading


# A holder that says nothing


@pytest.mark.parametrize("skew", [timedelta(0), timedelta(hours=-5), timedelta(hours=5)])
async def test_a_silent_holder_is_replaced_after_the_duration_whatever_the_wall_clocks_say(
    scene: Scene, board: Board, skew: timedelta
) -> None:
    first = await scene.leader()
    second = Candidate(board, "second", wall_clock=lambda: EPOCH + skew + timedelta(seconds=now()))
    scene.start(second)
    await asyncio.sleep(60)
    assert not second.elector.leading
    last_sign = board.history[-1][0]

    first.task.cancel()
    await asyncio.sleep(DURATION + 1)

    assert second.elector.leading
    assert DURATION <= second.terms[0] - last_sign < DURATION + MOMENT


async def test_a_holder_whose_clock_stands_still_is_seen_alive(scene: Scene, board: Board) -> None:
    first, second = Candidate(board, "first", wall_clock=lambda: EPOCH), Candidate(board, "second")
    scene.start(first)
    await asyncio.sleep(MOMENT)
    scene.start(second)

    await asyncio.sleep(600)

    assert first.elector.leading
    assert not second.elector.leading


async def test_a_holder_is_believed_for_as_long_as_it_asked_for_itself(
    scene: Scene, board: Board
) -> None:
    first = Candidate(board, "first", Timing(60, DEADLINE, RETRY))
    term = scene.start(first)
    await asyncio.sleep(MOMENT)
    second = Candidate(board, "second")
    scene.start(second)
    await asyncio.sleep(MOMENT)

    term.cancel()
    await asyncio.sleep(59)

    assert not second.elector.leading
    await asyncio.sleep(2)
    assert second.elector.leading


@pytest.mark.parametrize(
    ("claimed", "believed"), [((1 << 31) - 1, 600), (0, DURATION), (-5, DURATION)]
)
async def test_an_absurd_duration_in_a_record_neither_keeps_nor_frees_the_lease_for_ever(
    scene: Scene, board: Board, claimed: int, believed: int
) -> None:
    spec = {
        "holderIdentity": "ghost",
        "leaseDurationSeconds": claimed,
        "renewTime": "soon",
        "acquireTime": "",
    }
    await board.post({"metadata": {"name": "leader"}, "spec": spec})
    candidate = Candidate(board, "first")
    scene.start(candidate)

    await asyncio.sleep(believed - 1)
    assert not candidate.elector.leading
    await asyncio.sleep(1 + MOMENT)
    assert candidate.elector.leading


@pytest.mark.parametrize(
    ("counted", "then"), [((1 << 31) - 1, (1 << 31) - 1), ((1 << 31) - 2, (1 << 31) - 1), (-7, 1)]
)
async def test_a_count_of_transitions_never_leaves_its_32_bits(
    scene: Scene, board: Board, counted: int, then: int
) -> None:
    await board.post(
        {
            "metadata": {"name": "leader"},
            "spec": {"holderIdentity": "", "leaseTransitions": counted},
        }
    )
    await scene.leader()
    assert board.spec["leaseTransitions"] == then


async def test_a_candidate_that_begins_late_waits_a_whole_duration_of_its_own(
    scene: Scene, board: Board
) -> None:
    """It cannot know how long the holder has been silent."""
    first = await scene.leader()
    first.task.cancel()
    await asyncio.sleep(DURATION - 1)
    late = Candidate(board, "late")
    scene.start(late)

    await asyncio.sleep(DURATION - 1)
    assert not late.elector.leading
    await asyncio.sleep(2)
    assert late.elector.leading


async def test_of_many_that_wait_one_gets_it(scene: Scene, board: Board) -> None:
    first = await scene.leader()
    others = [Candidate(board, f"other {number}", seed=number) for number in range(10)]
    for other in others:
        scene.start(other)
    await asyncio.sleep(10)

    first.task.cancel()
    await asyncio.sleep(60)

    assert sum(other.elector.leading for other in others) == 1
    assert sum(len(other.terms) for other in others) == 1


# A holder in trouble

OUTAGES: list[Trouble] = [
    Unreachable("connection refused"),
    ServerError("etcd has no leader", status=500),
    TooManyRequests("too many requests", status=429),
    TooManyRequests("come back tomorrow", status=429, retry_after=3600),
    Forbidden('cannot patch resource "leases"', status=403),
    Unauthorized("who are you?", status=401),
    Malformed("no JSON"),
    "hangs",
    "answer lost",
]


@pytest.mark.parametrize("outage", OUTAGES, ids=str)
async def test_a_holder_that_cannot_renew_ends_within_the_deadline_and_says_why(
    scene: Scene, outage: Trouble
) -> None:
    first = await scene.leader()
    await asyncio.sleep(60)
    renewed = max(when for when, _ in first.line.asked)
    first.line.trouble = always(outage)

    why = await lost(first)

    assert renewed + DEADLINE <= now() < renewed + DEADLINE + LONGEST_RETRY + MOMENT
    assert "not renewed for 10 s: " in why
    if isinstance(outage, ApiError):
        assert outage.message in why


@pytest.mark.parametrize("outage", OUTAGES, ids=str)
async def test_a_holder_survives_an_outage_that_is_shorter(
    scene: Scene, board: Board, outage: Trouble
) -> None:
    first = await scene.leader()
    second = await scene.standby()
    for _ in range(10):
        await asyncio.sleep(30)
        first.line.trouble = always(outage)
        await asyncio.sleep(3.5)
        first.line.trouble = always(None)

    await asyncio.sleep(DEADLINE)
    assert first.elector.leading
    assert not second.terms
    assert board.spec["leaseTransitions"] == 0


async def test_a_server_that_asks_for_patience_gets_as_much_as_the_lease_allows(
    scene: Scene,
) -> None:
    first = await scene.leader()
    await asyncio.sleep(60)
    first.line.trouble = always(TooManyRequests("later", status=429, retry_after=4))
    first.line.asked.clear()

    await lost(first)

    times = [when for when, _ in first.line.asked]
    assert 2 <= len(times) <= 4
    assert times[1] - times[0] > 3


async def test_somebody_who_edits_the_lease_disturbs_nobody(scene: Scene, board: Board) -> None:
    first = await scene.leader()
    second = await scene.standby()
    for number in range(20):
        await board.patch({"metadata": {"annotations": {"note": str(number)}}})
        await asyncio.sleep(1.3)

    assert first.elector.leading
    assert not second.terms
    assert board.spec["leaseTransitions"] == 0


async def test_a_lease_that_is_taken_away_is_lost_at_the_next_renewal(
    scene: Scene, board: Board
) -> None:
    first = await scene.leader()
    await board.patch({"spec": {"holderIdentity": "usurper"}})
    taken = now()

    assert await lost(first) == "usurper holds it now"
    assert now() - taken < LONGEST_RETRY
    assert board.holder == "usurper"


async def test_a_lease_that_is_deleted_under_its_holder_is_made_again(
    scene: Scene, board: Board
) -> None:
    first = await scene.leader()
    second = await scene.standby()
    await asyncio.sleep(60)
    before = board.spec
    await board.delete()
    await asyncio.sleep(LONGEST_RETRY + MOMENT)

    assert board.holder == "first"
    assert (board.spec["acquireTime"], board.spec["leaseTransitions"]) == (before["acquireTime"], 0)
    await asyncio.sleep(60)
    assert first.elector.leading
    assert not second.terms


async def test_a_lease_that_was_deleted_with_its_holder_is_free_only_when_it_would_have_run_out(
    scene: Scene, board: Board
) -> None:
    """Its holder may be alive, and believe in it."""
    first = await scene.leader()
    second = await scene.standby()
    await asyncio.sleep(60)
    last_sign = board.history[-1][0]
    first.task.cancel()
    await board.delete()

    await asyncio.sleep(DURATION + LONGEST_RETRY)

    assert second.elector.leading
    assert DURATION <= second.terms[0] - last_sign < DURATION + MOMENT
    assert board.spec["leaseTransitions"] == 1


@pytest.mark.parametrize("method", ["POST", "PATCH"])
async def test_a_claim_whose_answer_is_lost_is_a_claim(
    scene: Scene, board: Board, method: str
) -> None:
    if method == "PATCH":
        await board.post({"metadata": {"name": "leader"}})
    candidate = Candidate(board, "first")
    candidate.line.trouble = next_time(method, "answer lost")
    scene.start(candidate)

    await asyncio.sleep(LONGEST_RETRY + MOMENT)

    assert candidate.elector.leading
    assert board.spec["leaseTransitions"] == 0


async def test_the_lease_is_given_back_although_a_renewal_is_under_way(scene: Scene) -> None:
    """It is cut short and carried out all the same, so the release finds another version."""
    first = await scene.leader()
    second = await scene.standby()
    first.line.delay = lambda: 1.0
    await asyncio.sleep(RETRY * 1.2)  # one is under way

    first.done.set()
    await first.task

    await asyncio.sleep(MOMENT)
    assert second.elector.leading


async def test_a_term_whose_work_fails_is_not_given_back(scene: Scene, board: Board) -> None:
    """What it has begun to write may still be carried out."""
    first = await scene.leader()
    first.task.cancel()
    await asyncio.gather(first.task, return_exceptions=True)

    assert not first.elector.leading
    assert board.holder == "first"


async def test_a_lease_that_cannot_be_given_back_ends_the_term_all_the_same(
    scene: Scene, board: Board
) -> None:
    first = await scene.leader()
    first.line.trouble = always(ServerError("no", status=500))
    first.done.set()

    await first.task

    assert not first.elector.leading
    assert board.holder == "first"


# A candidate in trouble


@pytest.mark.parametrize("outage", OUTAGES, ids=str)
async def test_who_waits_outlasts_any_outage_and_asks_seldom(
    scene: Scene, board: Board, outage: Trouble
) -> None:
    first = await scene.leader()
    second = await scene.standby()
    second.line.trouble = always(outage)
    second.line.asked.clear()
    second.line.watches_end = True
    await board.patch({"metadata": {"annotations": {"a": "change"}}})
    first.task.cancel()
    await asyncio.sleep(600)
    assert not second.terms or outage == "answer lost"
    assert len(second.line.asked) < 2 * 600 / RETRY

    second.line.trouble = always(None)
    await asyncio.sleep(DURATION * 2 + MOMENT)

    assert second.elector.leading
    assert second.elector.problem is None


async def test_what_keeps_a_candidate_out_is_told(scene: Scene, board: Board) -> None:
    candidate = Candidate(board, "first")
    candidate.line.trouble = always(Forbidden('cannot create resource "leases"', status=403))
    scene.start(candidate)
    await asyncio.sleep(60)

    assert isinstance(candidate.elector.problem, Forbidden)

    candidate.line.trouble = always(None)
    await asyncio.sleep(LONGEST_RETRY)
    assert candidate.elector.leading
    assert candidate.elector.problem is None


async def test_a_watch_that_hears_nothing_lets_nobody_take_a_lease_that_is_held(
    scene: Scene, board: Board
) -> None:
    """What it would decide on is read once more, and the write carries its version."""
    first = await scene.leader()
    deaf = Candidate(board, "deaf")
    deaf.line.trouble = lambda method: "hangs" if method == "WATCH" else None
    scene.start(deaf)

    await asyncio.sleep(600)

    assert not deaf.terms
    assert first.elector.leading


async def test_watches_that_end_at_once_are_not_opened_all_the_time(
    scene: Scene, board: Board
) -> None:
    await scene.leader()
    second = await scene.standby()
    second.line.watches_end = True
    await board.delete()
    second.line.asked.clear()

    await asyncio.sleep(60)

    assert second.line.count()["WATCH"] <= 60 / (RETRY / 2) + 1


@pytest.mark.parametrize("after", [10 + step / 4 for step in range(8)])
async def test_a_release_between_two_watches_is_noticed_within_two_seconds(
    scene: Scene, after: float
) -> None:
    first = await scene.leader()
    second = Candidate(scene.board, "second")
    second.line.watches_end = True
    scene.start(second)
    await asyncio.sleep(after)

    first.done.set()
    await first.task
    given_back = now()
    await asyncio.sleep(2)

    assert second.elector.leading
    assert second.terms[0] - given_back < 2


# The fence


async def test_the_fence_lets_only_a_holder_pass(scene: Scene) -> None:
    first = await scene.leader()
    second = await scene.standby()
    first.elector.check()
    with pytest.raises(Fenced):
        second.elector.check()


async def test_the_fence_is_closed_before_the_lease_is_given_back(
    scene: Scene, board: Board
) -> None:
    first = await scene.leader()
    open_at_release = []
    request = first.line.request

    async def watched(method: str, *arguments: object, **named: object) -> bytes:
        if b'"holderIdentity":""' in named.get("body", b""):  # type: ignore[operator]
            open_at_release.append(first.elector.leading)
        return await request(method, *arguments, **named)  # type: ignore[arg-type]

    first.line.request = watched  # type: ignore[method-assign, assignment]
    first.done.set()
    await first.task

    assert open_at_release == [False]


async def test_a_holder_that_was_stopped_may_write_nothing_from_its_first_moment_on_and_ends(
    scene: Scene, board: Board
) -> None:
    """Its loop has not turned yet, and no timer has fired: the fence asks a clock of its own."""
    first = await scene.leader()
    await asyncio.sleep(60)
    first.stopped_for = DEADLINE + 1

    with pytest.raises(Fenced):
        first.elector.check()

    assert "suspended" in await lost(first)


async def test_a_renewal_that_was_answered_after_a_long_stop_counts_from_when_it_was_asked(
    scene: Scene, board: Board
) -> None:
    """The others have counted from then on, too."""
    first = await scene.leader()
    first.line.delay = lambda: 0.5
    await asyncio.sleep(2.6)
    first.stopped_for = 30.0  # in the middle of a renewal, which is carried out
    await lost(first)

    with pytest.raises(Fenced):
        first.elector.check()


# The settings


@pytest.mark.parametrize(
    ("duration", "deadline", "retry", "problem"),
    [
        (15, 15, 2, "lease duration"),
        (10, 15, 2, "lease duration"),
        (15, 10, 10, "renew deadline"),
        (15, 2.4, 2, "renew deadline"),
        (15, 10, 0, "retry period"),
        (15, 10, -1, "retry period"),
        (601, 10, 2, "at most 600 seconds"),
    ],
)
def test_times_that_do_not_fit_together_are_refused(
    duration: int, deadline: float, retry: float, problem: str
) -> None:
    with pytest.raises(ValueError, match=problem):
        Timing(duration, deadline, retry)


def test_the_times_that_everybody_uses_fit_together() -> None:
    assert Timing() == Timing(15, 10, 2)
    Timing(1, 0.9, 0.1)
