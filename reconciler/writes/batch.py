"""Hold the writes of one sync between its reconciles, and what became of them.

`applier.py` fills a batch with the writes of a plan, then with its removals. Below,
"plan" is the half that is being carried out. Nothing here may send a request or read
the clock.
"""

import asyncio
from collections import deque
from dataclasses import dataclass, field

from configmapsync.names import NamespacedName
from configmapsync.plans import Write
from configmapsync.reasons import Outcome


@dataclass(slots=True)
class Batch:
    """The writes of one sync. It outlives the reconcile that began it, until they are done.

    Attributes:
        sync: the sync.
        waiting: writes of the newest plan that have not started.
        in_flight: destinations of writes without an answer, of the newest plan or an earlier one.
        begun: destinations in flight that the newest plan has begun.
        joined: writes of the newest plan that found an earlier write in flight, by copy.
        outcomes: of the newest plan, by copy; `Progressing` until the write ends.
        largest: size of the largest copy of the newest plan, in bytes.
        runners: the number of tasks that carry out the writes.
        waiter: of the reconcile that waits; it gets whether the sync was enqueued again.
        outdated: whether a write ended in a way that the newest plan did not foresee.
        wrote: whether a copy was written since the last result.
        defect: an unexpected error of a write.
        unanswered: creates that may still happen, and until when, by copy.
    """

    sync: NamespacedName
    waiting: deque[Write] = field(default_factory=deque)
    in_flight: set[NamespacedName] = field(default_factory=set)
    begun: set[NamespacedName] = field(default_factory=set)
    joined: dict[NamespacedName, Write] = field(default_factory=dict)
    outcomes: dict[NamespacedName, Outcome] = field(default_factory=dict)
    largest: int = 0
    runners: int = 0
    waiter: asyncio.Future[bool] | None = None
    outdated: bool = False
    wrote: bool = False
    defect: Exception | None = None
    unanswered: dict[NamespacedName, float] = field(default_factory=dict)

    @property
    def idle(self) -> bool:
        """Return whether every write has ended."""
        return not self.waiting and not self.in_flight

    @property
    def done(self) -> bool:
        """Return whether the newest plan has begun every write, and those have ended.

        No plan waits for a write of an earlier one, because that may hang.
        """
        return not self.waiting and not self.begun

    def begin_plan(self) -> None:
        """Drop what is left of the previous plan, except the writes in flight."""
        self.waiting.clear()
        self.begun.clear()
        self.joined.clear()
        self.outcomes = {}
        self.largest, self.outdated, self.defect = 0, False, None

    def add(self, write: Write) -> None:
        """Add a write that waits for a task."""
        self.waiting.append(write)
        if write.template is not None:
            self.largest = max(self.largest, write.template.size)

    def begin(self, write: Write) -> None:
        """Record that a write is in flight."""
        self.in_flight.add(write.key)
        self.begun.add(write.key)

    def end(self, write: Write, outcome: Outcome | None) -> None:
        """Record that a write has ended, and its outcome if the newest plan has the same write.

        If not, the batch is outdated. None keeps the previous outcome.
        """
        self.in_flight.discard(write.key)
        self.begun.discard(write.key)
        planned = self.joined.pop(write.key, write)
        if write.key in self.outcomes and (
            planned is write or planned.content_hash == write.content_hash
        ):
            self.outcomes[write.key] = outcome or self.outcomes[write.key]
        else:
            self.outdated = True

    def wake(self, *, again: bool = False) -> None:
        """End the wait of the reconcile, if one waits; `again` if the sync was enqueued again."""
        if self.waiter is not None and not self.waiter.done():
            self.waiter.set_result(again)

    def unanswered_for(self, now: float) -> float:
        """Return the seconds until no unanswered create can happen any more."""
        return max((until - now for until in self.unanswered.values() if until > now), default=0.0)
