"""How long to wait before the next try, for each key by itself: doubling, jittered, bounded.

Chance is an argument, so that tests repeat. Whoever waits does the waiting; here is only arithmetic.
"""

import random
from collections.abc import Hashable
from typing import Generic, TypeVar

FIRST = 0.1  # seconds
LONGEST = 300.0
JITTER = 0.1  # of the delay, up or down: many that failed together do not come back together

Key = TypeVar("Key", bound=Hashable)


class Backoff(Generic[Key]):
    """Counts consecutive failures of each key."""

    def __init__(self, rng: random.Random, first: float = FIRST, longest: float = LONGEST) -> None:
        self._rng = rng
        self._first = first
        self._longest = longest
        self._failures: dict[Key, int] = {}

    def __len__(self) -> int:
        """How many keys failed when they were tried last."""
        return len(self._failures)

    def next(self, key: Key, retry_after: float | None = None) -> float:
        """Count a failure of `key`; returns the seconds to wait, never less than the server's own `retry_after`."""
        failures = self._failures.get(key, 0)
        self._failures[key] = failures + 1
        delay = min(self._longest, self._first * 2.0 ** min(failures, 32))
        jittered = delay * self._rng.uniform(1 - JITTER, 1 + JITTER)
        return max(jittered, retry_after or 0.0)

    def forget(self, key: Key) -> None:
        """It succeeded, or nobody cares any more."""
        self._failures.pop(key, None)
