"""Enumerate what the watches may do while a story happens: late, deaf, cut, expired.

Watches are delayed against each other, their events are lost and made up for by a new
list, and lists are answered from the past. An admission policy may come for a while.
`run.py` calls a schedule before, during and
after the actions of a story.
"""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import Protocol

from tests.sweep.faults import NumberedFaults

WATCHES = ("copies", "configmaps", "namespaces", "configmapsyncs")
LAGS_SECONDS = (0.0, 0.05, 3.0)
DEAF_SECONDS = (0.05, 4.0)
DENIED_SECONDS = (0.05, 6.0)
HEALED_SECONDS = 5.0  # after the last event or list came through


class Simulated(Protocol):
    """What a schedule needs of a run."""

    plan: NumberedFaults

    def pass_time(self, seconds: float) -> None:
        """Let time pass."""

    def cut_watches(self, name: str | None = None) -> None:
        """Break watches."""

    def expire_watches(self, name: str | None = None) -> None:
        """End watches, so that the reconciler lists again."""

    def compact(self) -> None:
        """Compact the history."""


@dataclass(frozen=True, slots=True)
class Schedule:
    """What happens to the watches of one run.

    Attributes:
        lags: the delay of each watch in seconds, in the order of `WATCHES`.
        deaf: watches that lose their events, until the reconciler has to list again.
        deaf_seconds: for how long after the actions of the story.
        cut: watches that break directly before the story's actions.
        compacted: whether the cut watches cannot be resumed.
        denied: seconds for which an admission policy denies every create and update of a
            ConfigMap, from before the story's actions on.
        past: whether the lists after that show the state before the story's actions.
    """

    lags: tuple[float, ...] = ()
    deaf: tuple[str, ...] = ()
    deaf_seconds: float = 0.0
    cut: tuple[str, ...] = ()
    compacted: bool = False
    denied: float = 0.0
    past: bool = False

    @property
    def lasts(self) -> float:
        """Return the seconds by which the schedule delays the end of the story."""
        if self == CALM:
            return 0.0
        # Two rounds, because a sync is reconciled again after the events of its own first round.
        # The backoff of a denied write may have doubled once more when the policy ends.
        return (
            HEALED_SECONDS + 4 * max(self.lags, default=0.0) + self.deaf_seconds + 3 * self.denied
        )

    def words(self) -> Iterator[str]:
        """Yield the schedule as `python -m tests.sweep` reads it."""
        for field in fields(self):
            value = getattr(self, field.name)
            if value != field.default:
                yield f"{field.name}={value!r}".replace(" ", "")

    def begin(self, run: Simulated) -> None:
        """Disturb the watches before the actions of the story."""
        for name, lag in zip(WATCHES, self.lags, strict=False):
            run.plan.lag[name] = lag
        run.plan.deaf.update(self.deaf)
        run.plan.denies_content = self.denied > 0
        if self.compacted:
            run.compact()
        for name in self.cut:
            run.cut_watches(name)

    def go_on(self, run: Simulated) -> None:
        """Disturb the watches after the actions of the story."""
        if self.past:
            run.plan.past_lists = True
            run.expire_watches()
            run.pass_time(0.5)
            run.plan.past_lists = False
        if self.denied:
            run.pass_time(self.denied)
            run.plan.denies_content = False
        if self.deaf:
            run.pass_time(self.deaf_seconds)
            for name in self.deaf:
                run.plan.deaf.discard(name)
                run.expire_watches(name)

    def end(self, run: Simulated) -> None:
        """End the delays; events that are on the way still take their time."""
        run.plan.lag.clear()


CALM = Schedule()


def schedules() -> Iterator[Schedule]:
    """Yield every schedule of the sweep."""
    for lags in itertools.product(LAGS_SECONDS, repeat=len(WATCHES)):
        if any(lags):
            yield Schedule(lags=lags)
    for count in (1, len(WATCHES)):
        for names in itertools.combinations(WATCHES, count):
            for seconds in DEAF_SECONDS:
                yield Schedule(deaf=names, deaf_seconds=seconds)
            yield Schedule(cut=names)
            yield Schedule(cut=names, compacted=True)
    yield Schedule(past=True)
    for seconds in DENIED_SECONDS:
        yield Schedule(denied=seconds)
