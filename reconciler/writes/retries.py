"""Decide when a destination that failed may be tried again.

`applier.py` asks it before each write and reports the result, and `triggers.py` ends a
wait when an event may have healed the cause. `kube/backoff.py` doubles the delay with
each failure. A failure that only an edit heals has the longest delay, which other
content ends.
"""

import asyncio
import random
from collections.abc import Set
from typing import NamedTuple

from configmapsync.names import NamespacedName
from configmapsync.plans import Write
from configmapsync.reasons import Outcome
from kube.backoff import Backoff
from kube.errors import ApiError, Retry
from reconciler.writes.failures import is_stale

# The delay after the first failure of a destination, and the longest one, which is also that of an
# error that only an edit can heal.
FIRST_DELAY_SECONDS, MAX_DELAY_SECONDS = 0.1, 300.0

SyncDestination = tuple[NamespacedName, NamespacedName]  # the sync and the copy


class BackoffEntry(NamedTuple):
    """A destination that failed and waits for its next attempt.

    Attributes:
        until: when the wait ends, in seconds on the event loop's clock.
        outcome: of the failed write.
        content_hash: of what was written; None for a removal.
        retry: how the error heals; after `NEVER` other content is tried at once.
    """

    until: float
    outcome: Outcome
    content_hash: int | None
    retry: Retry


class Retries:
    """The failed destinations of all syncs."""

    def __init__(self, rng: random.Random) -> None:
        """Start with no failures; `rng` is for jitter."""
        self._backoff: Backoff[SyncDestination] = Backoff(
            rng, FIRST_DELAY_SECONDS, MAX_DELAY_SECONDS
        )
        self._entries: dict[NamespacedName, dict[NamespacedName, BackoffEntry]] = {}

    def __len__(self) -> int:
        """Return how many destinations failed at their last attempt."""
        return sum(len(entries) for entries in self._entries.values())

    def deferred(self, sync: NamespacedName, write: Write) -> Outcome | None:
        """Return the last outcome of a destination that must wait; None if it may be tried."""
        entry = self._entries.get(sync, {}).get(write.key)
        if entry is None or asyncio.get_running_loop().time() >= entry.until:
            return None
        is_other = write.template and write.template.content_hash != entry.content_hash
        return None if is_other and entry.retry is Retry.NEVER else entry.outcome

    def failed(
        self, sync: NamespacedName, write: Write, outcome: Outcome, error: ApiError
    ) -> float:
        """Record a failure; return the seconds until the destination may be tried again."""
        longest = error.retry is Retry.NEVER and not is_stale(write, error)
        delay = self._backoff.failed(
            (sync, write.key), MAX_DELAY_SECONDS if longest else error.retry_after
        )
        until = asyncio.get_running_loop().time() + delay
        entry = BackoffEntry(until, outcome, write.content_hash, error.retry)
        self._entries.setdefault(sync, {})[write.key] = entry
        return delay

    def next_in(self, sync: NamespacedName, busy: Set[NamespacedName]) -> float | None:
        """Return the seconds until a destination of `sync` may be tried; None if none waits.

        Args:
            sync: the sync.
            busy: destinations that are being tried now.
        """
        now = asyncio.get_running_loop().time()
        entries = self._entries.get(sync, {})
        waits = (max(entry.until - now, 0.0) for key, entry in entries.items() if key not in busy)
        return min(waits, default=None)

    def retain(self, sync: NamespacedName, destinations: Set[NamespacedName]) -> None:
        """Forget the failures of a sync at all other destinations."""
        for key in self._entries.get(sync, {}).keys() - destinations:
            self.release(sync, key)

    def release(self, sync: NamespacedName, destination: NamespacedName | None = None) -> None:
        """Forget the failures of one destination, or of all destinations of a sync."""
        entries = self._entries.get(sync)
        if entries is None:
            return
        for key in [destination] if destination else list(entries):
            entries.pop(key, None)
            self._backoff.forget((sync, key))
        if not entries:
            del self._entries[sync]

    def release_transient(self) -> set[NamespacedName]:
        """Forget the failures that the server or the network caused, once it answers again.

        Returns:
            The syncs of these destinations, which the caller enqueues.
        """
        failed = [
            (sync, key)
            for sync, entries in self._entries.items()
            for key, entry in entries.items()
            if entry.retry is Retry.TRANSIENT
        ]
        for sync, key in failed:
            self.release(sync, key)
        return {sync for sync, _ in failed}
