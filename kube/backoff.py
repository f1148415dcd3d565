"""Compute the delay before the next try of each key: doubling, jittered and bounded.

The controller, the status reporter and the retries of destinations in `reconciler/` use
it. It only counts and computes; the caller waits.
"""

import random
from collections.abc import Hashable
from typing import Generic, TypeVar

FIRST_SECONDS, MAX_SECONDS = 0.1, 300.0
JITTER = 0.1  # of the delay, up or down, so that keys that failed together do not retry together

Key = TypeVar("Key", bound=Hashable)


class Backoff(Generic[Key]):
    """Counts consecutive failures of each key."""

    def __init__(
        self,
        rng: random.Random,
        first_seconds: float = FIRST_SECONDS,
        max_seconds: float = MAX_SECONDS,
    ) -> None:
        """Start with no failures.

        Args:
            rng: for jitter.
            first_seconds: the delay after the first failure; each further one doubles it.
            max_seconds: the longest delay, without jitter.
        """
        self._rng = rng
        self._first_seconds = first_seconds
        self._max_seconds = max_seconds
        self._failures: dict[Key, int] = {}

    def __len__(self) -> int:
        """Return how many keys failed at their last try."""
        return len(self._failures)

    def keys(self) -> tuple[Key, ...]:
        """Return the keys that failed at their last try."""
        return tuple(self._failures)

    def failed(self, key: Key, retry_after: float | None = None) -> float:
        """Count a failure of `key`; return the seconds to wait, at least `retry_after`."""
        failures = self._failures.get(key, 0)
        self._failures[key] = failures + 1
        delay = min(self._max_seconds, self._first_seconds * 2.0 ** min(failures, 32))
        return max(delay * self._rng.uniform(1 - JITTER, 1 + JITTER), retry_after or 0.0)

    def forget(self, key: Key) -> None:
        """Reset `key`: it succeeded, or is not tried any more."""
        self._failures.pop(key, None)
