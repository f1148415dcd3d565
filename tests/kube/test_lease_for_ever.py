"""At no time do two candidates lead, and when the faults end, one leads."""

import asyncio
import contextvars
import random
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal

import looptime
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some

from kube.errors import Forbidden, NotFound, ServerError, TooManyRequests
from kube.leader_election import LeaseLostError
from tests.kube.lease_board import EPOCH, Board, Candidate, Trouble, now
from tests.randomized.freezing import freezable

TROUBLED_FOR = 240.0  # seconds of each story
CALM = 60.0  # seconds after which one has to lead
A_TICK = 1e-3  # virtual time stands still while no task waits
UNPREDICTABLE: tuple[Trouble, ...] = (
    None,
    "hangs",
    "answer lost",
    ServerError("no leader", status=500),
    TooManyRequests("later", status=429, retry_after=7),
    Forbidden("not you", status=403),
)

process: contextvars.ContextVar["Process"] = contextvars.ContextVar("process")


@dataclass(frozen=True)
class FaultKind:
    """Something that befalls one candidate."""

    at: float
    who: int  # 0 is the leader
    what: Literal["stopped", "cut off", "slow", "ends", "killed", "somebody edits the Lease"]
    seconds: float


class Process:
    """A candidate as a process that restarts when it ends and can be stopped."""

    def __init__(self, story: "Story", number: int, skew: float, speed: float) -> None:
        self.story = story
        self.number = number
        self.wall_clock: Callable[[], datetime] = lambda: (
            EPOCH + timedelta(seconds=skew + speed * now())
        )
        self.stopped_until = 0.0
        self.cut_off_until = 0.0
        self.slow_until = 0.0
        self.starts = 0
        self.rng = random.Random(number)  # noqa: S311 - troubles, not secrets
        self.candidate = self._start()
        self.task = asyncio.create_task(self._run())

    def suffer(self, mishap: FaultKind) -> None:
        until = now() + mishap.seconds
        match mishap.what:
            case "stopped":
                self.stopped_until = until
            case "cut off":
                self.cut_off_until = until
            case "slow":
                self.slow_until = until
            case "ends":
                self.candidate.done.set()
            case "killed":
                self.task.cancel()
                self.stopped_until = 0.0
                self.candidate = self._start()
                self.task = asyncio.create_task(self._run())

    async def _run(self) -> None:
        process.set(self)
        while True:
            try:
                await asyncio.create_task(self.candidate.run())
            except* LeaseLostError:
                pass
            await asyncio.sleep(1)
            self.candidate = self._start()

    def _start(self) -> Candidate:
        self.starts += 1
        identity = f"{self.number}, start {self.starts}"
        seed = self.rng.randrange(1000)
        candidate = Candidate(
            self.story.board, identity, wall_clock=self.wall_clock, seed=seed, tick=1e-7
        )
        candidate.line.trouble = lambda _: (
            self.rng.choice(UNPREDICTABLE) if now() < self.cut_off_until else None
        )
        candidate.line.delay = lambda: self.rng.uniform(0, 6 if now() < self.slow_until else 0.02)
        candidate.line.answered = lambda: asyncio.get_running_loop().call_soon(self.story.look)
        return candidate


def begin_task(loop: asyncio.AbstractEventLoop, coroutine: Any, **more: Any) -> "asyncio.Task[Any]":
    context = more.get("context") or contextvars.copy_context()
    owner = context.get(process)

    async def run() -> Any:
        if owner is None:
            return await coroutine
        return await freezable(
            coroutine,
            lambda: owner.stopped_until <= now(),
            lambda: asyncio.sleep(owner.stopped_until - now() + A_TICK),
        )

    task = asyncio.Task(run(), loop=loop, **more)
    task.add_done_callback(lambda _: coroutine.close())  # cancelled at once, it was never begun
    return task


class Story:
    """The faults of some processes, and the leaders meanwhile."""

    def __init__(self, clocks: list[tuple[float, float]]) -> None:
        self.board = Board()
        self.processes = [Process(self, number, *clock) for number, clock in enumerate(clocks)]
        self.terms: set[str] = set()
        self.together: list[
            tuple[float, list[str]]
        ] = []  # when more than one believed that it leads

    def leading(self) -> list[str]:
        """Return the candidates that believe to lead; a stopped one may do so when it wakes."""
        electors = [process.candidate.elector for process in self.processes]
        return [elector._identity for elector in electors if elector.leading]

    def look(self) -> None:
        """Check the leaders after each request: leadership begins only with a request."""
        leading = self.leading()
        self.terms.update(leading)
        if len(leading) > 1:
            self.together.append((now(), leading))

    async def tell(self, mishaps: list[FaultKind]) -> None:
        for mishap in sorted(mishaps, key=lambda each: each.at):
            await asyncio.sleep(mishap.at - now())
            if mishap.what == "somebody edits the Lease":
                with suppress(NotFound):
                    await self.board.patch({"metadata": {"annotations": {"seen": str(now())}}})
            else:
                self._victim(mishap.who).suffer(mishap)
        await asyncio.sleep(TROUBLED_FOR + CALM - now())

    def _victim(self, number: int) -> Process:
        leaders = [process for process in self.processes if process.candidate.elector.leading]
        return (
            leaders[0] if leaders and number == 0 else self.processes[number % len(self.processes)]
        )

    async def end(self) -> None:
        for process in self.processes:
            process.task.cancel()
        await asyncio.gather(*(process.task for process in self.processes), return_exceptions=True)
        await self.board.close()


async def tell(mishaps: list[FaultKind], clocks: list[tuple[float, float]]) -> None:
    asyncio.get_running_loop().set_task_factory(begin_task)
    story = Story(clocks)
    try:
        await story.tell(mishaps)
        assert story.together == []
        assert len(story.leading()) == 1, "one has to lead in the end"
        transitions = [
            lease["spec"].get("leaseTransitions", 0) for _, _, lease in story.board.history
        ]
        assert transitions == sorted(transitions)
        assert len(story.terms) <= transitions[-1] + 1
    finally:
        await story.end()


seconds = some.floats(min_value=0.1, max_value=40)
mishaps = some.builds(
    FaultKind,
    at=some.floats(min_value=0, max_value=TROUBLED_FOR - 40),
    who=some.sampled_from([0, 0, 0, 1, 2, 3]),
    what=some.sampled_from(
        ["stopped", "cut off", "slow", "ends", "killed", "somebody edits the Lease"]
    ),
    seconds=seconds,
)
clocks = some.tuples(
    some.floats(min_value=-1e5, max_value=1e5), some.sampled_from([1.0, 1.0, 0.0, -1.0, 3.0])
)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(befalls=some.lists(mishaps, max_size=25), clocks=some.lists(clocks, min_size=1, max_size=4))
def test_two_never_lead_and_one_leads_in_the_end(
    befalls: list[FaultKind], clocks: list[tuple[float, float]]
) -> None:
    with asyncio.Runner(loop_factory=lambda: looptime.new_event_loop(start=0)) as runner:
        runner.run(tell(befalls, clocks))
