"""Turn the rounds of each story into one table, as Markdown and as JSON."""

import platform
import statistics
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from math import ceil
from typing import Any

from benchmarks.programs import Used

COLUMNS = (
    "story",
    "plain client: median, p99",
    "ConfigMapSync: median, p99",
    "ratio",
    "bar",
    "requests",
    "CPU per copy",
    "RSS, peak",
)
HEAD = (f"| {' | '.join(COLUMNS)} |", "|---" * len(COLUMNS) + "|")


@dataclass
class Round:
    """One measurement: seconds until every copy was up to date, and what the program used."""

    seconds: float
    used: Used


@dataclass
class Row:
    """The rounds of one story.

    Attributes:
        title: what happens.
        copies: ConfigMaps that a round writes.
        bar: the ratio, or for a story without one the seconds, to reach.
        has_ratio: whether the baseline does the same work.
        own: rounds of the reconciler.
        plain: rounds of the baseline.
        memory: of the reconciler at the end, in MiB: resident, and its highest.
    """

    title: str
    copies: int
    bar: float
    has_ratio: bool = True
    own: list[Round] = field(default_factory=list)
    plain: list[Round] = field(default_factory=list)
    memory: tuple[float, float] = (0.0, 0.0)

    @property
    def ratio(self) -> float | None:
        """Return how much longer the reconciler takes than the baseline."""
        if not self.has_ratio or not self.plain:
            return None
        return median(self.own) / median(self.plain)

    @property
    def reached(self) -> bool:
        """Return whether the bar is reached."""
        return (median(self.own) if self.ratio is None else self.ratio) <= self.bar

    def as_line(self) -> str:
        """Return the row in Markdown."""
        ratio = "" if self.ratio is None else f"{self.ratio:.2f}"
        bar = f"{self.bar:g}" if self.has_ratio else f"{self.bar:g} s"
        cells = [
            self.title,
            _times(self.plain),
            _times(self.own),
            ratio,
            bar if self.reached else f"**{bar}**",
            f"{_requests(self.own)} ({_requests(self.plain)})",
            self._cpu(),
            f"{self.memory[0]:.0f}, {self.memory[1]:.0f} MiB",
        ]
        return f"| {' | '.join(cells)} |"

    def _cpu(self) -> str:
        if not self.copies:
            return f"{_mean_cpu(self.own):.2f} s in all"
        own, plain = (_mean_cpu(rounds) / self.copies * 1e3 for rounds in (self.own, self.plain))
        return f"{own:.2f} ms ({plain:.2f} ms)"

    def as_document(self) -> dict[str, Any]:
        """Return the row for JSON, with every round."""
        return {
            "title": self.title,
            "copies": self.copies,
            "bar": self.bar,
            "ratio": self.ratio,
            "reached": self.reached,
            "own": [_document(each) for each in self.own],
            "plain": [_document(each) for each in self.plain],
            "resident_mebibytes": self.memory[0],
            "peak_mebibytes": self.memory[1],
        }


def table(rows: Sequence[Row]) -> str:
    """Return all rows in Markdown: a bold bar is missed, what the baseline uses is in brackets."""
    return "\n".join((*HEAD, *(row.as_line() for row in rows)))


def summary(rows: Sequence[Row]) -> str:
    """Return the medians and ratios of all rows in Markdown."""
    lines = ["| | plain client | ConfigMapSync | ratio |", "|---|---|---|---|"]
    for row in rows:
        ratio = "" if row.ratio is None else f"{row.ratio:.2f}"
        plain = _seconds(median(row.plain)) if row.has_ratio else ""
        lines.append(f"| {row.title} | {plain} | {_seconds(median(row.own))} | {ratio} |")
    return "\n".join(lines)


def machine() -> dict[str, Any]:
    """Return what the figures depend on beside the programs."""
    return {"python": platform.python_version(), "kernel": platform.release()}


def median(rounds: Sequence[Round]) -> float:
    """Return the median of the seconds."""
    return statistics.median(each.seconds for each in rounds)


def percentile(rounds: Sequence[Round], percent: int) -> float:
    """Return the seconds that so many percent of the rounds do not exceed."""
    ordered = sorted(each.seconds for each in rounds)
    return ordered[ceil(len(ordered) * percent / 100) - 1]


def _times(rounds: Sequence[Round]) -> str:
    if not rounds:
        return ""
    return f"{_seconds(median(rounds))}, {_seconds(percentile(rounds, 99))}"


def _seconds(seconds: float) -> str:
    return f"{seconds * 1e3:.1f} ms" if seconds < 0.1 else f"{seconds:.2f} s"


def _requests(rounds: Sequence[Round]) -> str:
    """Return the requests of a round by method, as the mean of all rounds."""
    total: Counter[str] = Counter()
    for each in rounds:
        total.update(each.used.requests)
    means = {method: number / len(rounds) for method, number in total.items() if number}
    return ", ".join(f"{method} {mean:.0f}" for method, mean in means.items() if mean >= 0.5)


def _mean_cpu(rounds: Sequence[Round]) -> float:
    return sum(each.used.cpu_seconds for each in rounds) / len(rounds)


def _document(each: Round) -> dict[str, Any]:
    used = each.used
    return {
        "seconds": each.seconds,
        "cpu_seconds": used.cpu_seconds,
        "requests": dict(used.requests),
    }
