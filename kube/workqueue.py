"""Queue names for workers: deduplicated, delayed and prioritised.

The rules are those of controller-runtime's queue: a name that is added while it is
worked on is worked on once more afterwards; one that waits for its time and is added
meanwhile is due at once. Durations are on the event loop's clock.

Beyond those rules, names come in groups, one for each tenant. Workers serve the groups
in turn, so a group that adds thousands of names delays the name of another group by one
name only.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Hashable
from enum import IntEnum
from typing import Generic, Protocol, TypeVar

Key = TypeVar("Key", bound=Hashable)

# A timer may fire a moment early, by the resolution of the loop's clock. Work that then finds
# that it is not due yet asks for the rest of the time; without a shortest delay it would be
# called again at the same instant, for ever.
RESOLUTION_SECONDS = 0.001

# Retries wait for everything else, but a stream of events that never ends must not stop them: one
# retry goes after so many other names.
LOW_AFTER = 8


class Priority(IntEnum):
    """The order of names."""

    HIGH = 0  # an event
    LOW = 1  # a retry


class QueueMetrics(Protocol):
    """Counts the work of a queue."""

    def added(self, depth: int) -> None:
        """Count a name that was added and was not waiting."""

    def got(self, depth: int, waited: float) -> None:
        """Count a name that a worker took after it had waited for so many seconds."""

    def done(self, worked: float) -> None:
        """Count a name that a worker finished after so many seconds."""

    def retried(self) -> None:
        """Count a name that was added for later."""


class _Waiting(Generic[Key]):
    """Names that wait, in the order of their groups' turns."""

    def __init__(self, group_of: Callable[[Key], Hashable]) -> None:
        self._group_of = group_of
        self._groups: OrderedDict[Hashable, OrderedDict[Key, float]] = (
            OrderedDict()
        )  # the first group is next
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def __contains__(self, key: Key) -> bool:
        return key in self._groups.get(self._group_of(key), ())

    def put(self, key: Key, since: float) -> None:
        """Add a name that does not wait yet, as the last of its group."""
        self._groups.setdefault(self._group_of(key), OrderedDict())[key] = since
        self._count += 1

    def remove(self, key: Key) -> float | None:
        """Remove a name; returns since when it waits, or None if it does not."""
        group = self._group_of(key)
        waiting = self._groups.get(group)
        since = waiting.pop(key, None) if waiting is not None else None
        if since is not None:
            self._count -= 1
        if waiting is not None and not waiting:
            del self._groups[group]
        return since

    def take(self) -> tuple[Key, float]:
        """Remove the first name of the group whose turn it is; that group is served last then."""
        group, waiting = next(iter(self._groups.items()))
        key, since = waiting.popitem(last=False)
        self._count -= 1
        if waiting:
            self._groups.move_to_end(group)
        else:
            del self._groups[group]
        return key, since

    def count_from(self, now: float) -> None:
        """Count every name as waiting since `now`."""
        for waiting in self._groups.values():
            waiting.update(dict.fromkeys(waiting, now))


def _one_group(_key: Hashable) -> Hashable:
    return None


class WorkQueue(Generic[Key]):
    """A queue of names for several workers."""

    def __init__(
        self, metrics: QueueMetrics, group_of: Callable[[Key], Hashable] = _one_group
    ) -> None:
        """Make an empty queue.

        Args:
            metrics: count what happens.
            group_of: returns the group of a name; by default all names are in one group.
        """
        self._metrics = metrics
        self._ready: dict[Priority, _Waiting[Key]] = {
            priority: _Waiting(group_of) for priority in Priority
        }
        self._before_low = LOW_AFTER
        self._working: dict[Key, float] = {}
        self._dirty: dict[Key, Priority] = {}  # added while worked on
        self._timers: dict[Key, asyncio.TimerHandle] = {}
        self._when_dirty: dict[Key, Callable[[], None]] = {}
        self._wakeup = asyncio.Event()
        self._empty = asyncio.Event()
        self._empty.set()
        self._closed = False

    def __len__(self) -> int:
        return sum(len(waiting) for waiting in self._ready.values())

    def working_for(self) -> tuple[float, ...]:
        """For how many seconds each name that a worker has now has been worked on."""
        now = asyncio.get_running_loop().time()
        return tuple(now - since for since in self._working.values())

    def add(self, key: Key, priority: Priority = Priority.HIGH) -> None:
        """Have `key` worked on as soon as a worker is free."""
        if self._closed:
            return
        self._cancel_timer(key)
        if key in self._working:
            self._dirty[key] = min(priority, self._dirty.get(key, priority))
            if (callback := self._when_dirty.pop(key, None)) is not None:
                callback()
            return
        self._enqueue(key, priority)

    def add_after(self, key: Key, seconds: float) -> None:
        """Have `key` worked on in `seconds` with low priority, unless it is due earlier anyway."""
        if (
            self._closed
            or key in self._dirty
            or any(key in waiting for waiting in self._ready.values())
        ):
            return
        self._metrics.retried()
        if seconds <= 0:
            self.add(key, Priority.LOW)
            return
        loop = asyncio.get_running_loop()
        seconds = max(seconds, RESOLUTION_SECONDS)
        timer = self._timers.get(key)
        if timer is not None and timer.when() <= loop.time() + seconds:
            return
        self._cancel_timer(key)
        self._timers[key] = loop.call_later(seconds, self.add, key, Priority.LOW)

    async def get(self) -> Key | None:
        """The next name, marked as worked on until `done`; None once the queue is shut down."""
        while not self._closed:
            if len(self):
                key, since = self._choose().take()
                now = asyncio.get_running_loop().time()
                self._working[key] = now
                self._metrics.got(len(self), now - since)
                if not len(self):
                    self._empty.set()
                return key
            self._wakeup.clear()
            await self._wakeup.wait()
        return None

    def _choose(self) -> _Waiting[Key]:
        """Choose between the priorities, one of which has names."""
        high, low = self._ready[Priority.HIGH], self._ready[Priority.LOW]
        if not low or (high and self._before_low > 0):
            self._before_low -= bool(low)
            return high
        self._before_low = LOW_AFTER
        return low

    def done(self, key: Key) -> None:
        """A worker is through with `key`; if it was added meanwhile, it waits again."""
        self._metrics.done(asyncio.get_running_loop().time() - self._working.pop(key))
        self._when_dirty.pop(key, None)
        priority = self._dirty.pop(key, None)
        if priority is not None and not self._closed:
            self._enqueue(key, priority)

    def when_dirty(self, key: Key, callback: Callable[[], None]) -> None:
        """Call `callback` once `key`, which is being worked on, has been added again."""
        if key in self._dirty:
            callback()
        else:
            self._when_dirty[key] = callback

    async def wait_empty(self) -> None:
        """Return once no name waits, or the queue is shut down."""
        await self._empty.wait()

    def begin(self) -> None:
        """Count the waiting time of every name from now on, because the workers start now."""
        now = asyncio.get_running_loop().time()
        for waiting in self._ready.values():
            waiting.count_from(now)

    def shutdown(self) -> None:
        """Give out nothing more; workers get None."""
        self._closed = True
        for key in list(self._timers):
            self._cancel_timer(key)
        self._wakeup.set()
        self._empty.set()

    def _enqueue(self, key: Key, priority: Priority) -> None:
        high, low = self._ready[Priority.HIGH], self._ready[Priority.LOW]
        if key in high or (key in low and priority is Priority.LOW):
            return
        promoted = low.remove(key)
        self._ready[priority].put(
            key, asyncio.get_running_loop().time() if promoted is None else promoted
        )
        if promoted is None:
            self._metrics.added(len(self))
        self._empty.clear()
        self._wakeup.set()

    def _cancel_timer(self, key: Key) -> None:
        timer = self._timers.pop(key, None)
        if timer is not None:
            timer.cancel()
