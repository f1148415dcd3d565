"""Enumerate the runs of the sweep, and execute them.

The tests, `python -m tests.sweep` and `make soak` use it. A run is a story with a
disturbance; the words of a run (`words_of`) name it, and `parse` reads them.
"""

import ast
import random
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import celpy

from tests.randomized.fault_plan import FaultKind
from tests.sweep.faults import Strike, strikes_of
from tests.sweep.run import Disturbance, SweepRun, requests_of
from tests.sweep.schedules import Schedule, schedules
from tests.sweep.stories import BY_NAME, STORIES

# Of the random runs; the rest has two faults.
WITH_SCHEDULE = 0.4


@dataclass(frozen=True, slots=True)
class Case:
    """One run: a story and its disturbance."""

    story: str
    disturbance: Disturbance

    def __str__(self) -> str:
        return f"{self.story} {self.disturbance}".strip()


def single_faults(story: str) -> Iterator[Case]:
    """Yield a run for each request of the story and each fault that it can meet."""
    for number, request in enumerate(requests_of(story)):
        for strike in strikes_of(number, request):
            yield Case(story, Disturbance((strike,)))


def schedule_cases(story: str) -> Iterator[Case]:
    """Yield a run for each schedule of the watches."""
    for schedule in schedules():
        yield Case(story, Disturbance(schedule=schedule))


def random_cases(seed: int) -> Iterator[Case]:
    """Yield runs with two faults, or a fault and a schedule, for ever."""
    rng = random.Random(seed)  # noqa: S311 - a choice of runs
    every = list(schedules())
    while True:
        story = rng.choice(STORIES).name
        requests = requests_of(story)
        numbers = rng.sample(range(len(requests)), k=min(2, len(requests)))
        strikes = [rng.choice(list(strikes_of(number, requests[number]))) for number in numbers]
        delays = rng.randrange(1000)
        if rng.random() < WITH_SCHEDULE:
            disturbance = Disturbance((strikes[0],), rng.choice(every), delays)
        else:
            disturbance = Disturbance(tuple(strikes), seed=delays)
        yield Case(story, disturbance)


def failure(case: Case) -> str | None:
    """Execute a run; return what went wrong, and None if all promises were kept."""
    try:
        SweepRun(BY_NAME[case.story], case.disturbance).play()
    except AssertionError as error:
        return f"python -m tests.sweep {case}\n{error}"
    return None


def execute(cases: Iterable[Case]) -> tuple[int, list[str]]:
    """Execute runs; return their number and all failures."""
    prepare()
    failures, count = [], 0
    for case in cases:
        count += 1
        if (problem := failure(case)) is not None:
            failures.append(problem)
    return count, failures


def prepare() -> None:
    """Prepare the process: the first environment of CEL raises Python's recursion limit."""
    celpy.Environment()


def parse(words: list[str]) -> Case:
    """Return the run that these words name.

    Args:
        words: the name of a story, then `NUMBER:FAULT`, `seed=NUMBER` and the fields of a schedule.

    Raises:
        ValueError: a word cannot be read.
    """
    story, *rest = words
    if story not in BY_NAME:
        raise ValueError(f"no story {story!r}; there are {', '.join(BY_NAME)}")
    fields = dict(word.split("=", 1) for word in rest if "=" in word)
    values = {name: ast.literal_eval(value) for name, value in fields.items()}
    strikes = tuple(_strike(word) for word in rest if "=" not in word)
    options = {"seed": values.pop("seed")} if "seed" in values else {}
    return Case(story, Disturbance(strikes, Schedule(**values), **options))


def _strike(word: str) -> Strike:
    number, _, kind = word.partition(":")
    return Strike(int(number), FaultKind[kind])
