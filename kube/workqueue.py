"""Queue names of syncs for the workers of the reconciler, each name once.

Events, writes and retries add names, `reconciler/controller.py` takes them, and
`reconciler/reports/status.py` waits until none waits. As in controller-runtime, a
name that is added while it is worked on is worked on once more afterwards. In addition,
names come in groups, which are served in turn.
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
    """The order of names: those of events go before those that are due for a retry.

    One retry goes after every `LOW_AFTER` of the others, so retries never starve.
    """

    HIGH = 0
    LOW = 1


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
        self._count = 0  # of the names in all groups

    def __len__(self) -> int:
        return self._count

    def __contains__(self, key: Key) -> bool:
        return key in self._groups.get(self._group_of(key), ())

    def put(self, key: Key, since: float) -> None:
        """Add a name that does not wait yet, as the last of its group."""
        self._groups.setdefault(self._group_of(key), OrderedDict())[key] = since
        self._count += 1

    def remove(self, key: Key) -> float | None:
        """Remove a name; return since when it waits, or None if it does not."""
        if key not in self:
            return None
        group = self._group_of(key)
        since = self._groups[group].pop(key)
        self._count -= 1
        if not self._groups[group]:
            del self._groups[group]
        return since

    def take(self) -> tuple[Key, float]:
        """Remove the first name of the group whose turn it is; that group is served last then."""
        group, waiting = self._groups.popitem(last=False)
        key, since = waiting.popitem(last=False)
        self._count -= 1
        if waiting:
            self._groups[group] = waiting
        return key, since


class WorkQueue(Generic[Key]):
    """A queue of names for several workers."""

    def __init__(
        self, metrics: QueueMetrics, group_of: Callable[[Key], Hashable] = lambda _key: None
    ) -> None:
        """Make an empty queue.

        Args:
            metrics: count what happens.
            group_of: returns the group of a name, such as its namespace. A group that adds
                thousands of names delays the name of another group by one name only. By default
                all names are in one group.
        """
        self._metrics = metrics
        self._high: _Waiting[Key] = _Waiting(group_of)
        self._low: _Waiting[Key] = _Waiting(group_of)
        self._before_low = LOW_AFTER
        self._working: dict[Key, float] = {}
        self._dirty: dict[Key, Priority] = {}  # added while worked on
        self._timers: dict[Key, asyncio.TimerHandle] = {}
        self._when_dirty: dict[Key, Callable[[], None]] = {}
        self._wakeup = asyncio.Event()
        self._empty = asyncio.Event()
        self._empty.set()
        self._began = 0.0
        self._closed = False

    def __len__(self) -> int:
        return len(self._high) + len(self._low)

    def working_for(self) -> tuple[float, ...]:
        """Return for how many seconds each name that a worker has now has been worked on."""
        now = asyncio.get_running_loop().time()
        return tuple(now - since for since in self._working.values())

    def add(self, key: Key, priority: Priority = Priority.HIGH) -> None:
        """Enqueue `key`: it is worked on as soon as a worker is free."""
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
        """Enqueue `key` in `seconds` with low priority, unless it is due earlier anyway."""
        if self._closed or key in self._dirty or key in self._high or key in self._low:
            return
        self._metrics.retried()
        if seconds <= 0:
            self.add(key, Priority.LOW)
            return
        loop = asyncio.get_running_loop()
        due = loop.time() + max(seconds, RESOLUTION_SECONDS)
        timer = self._timers.get(key)
        if timer is None or timer.when() > due:
            self._cancel_timer(key)
            self._timers[key] = loop.call_at(due, self.add, key, Priority.LOW)

    async def get(self) -> Key | None:
        """Return the next name, marked as worked on until `done`; None after `shutdown`."""
        while not self._closed:
            if len(self):
                key, since = self._choose().take()
                now = asyncio.get_running_loop().time()
                self._working[key] = now
                self._metrics.got(len(self), now - max(since, self._began))
                if not len(self):
                    self._empty.set()
                return key
            self._wakeup.clear()
            await self._wakeup.wait()
        return None

    def _choose(self) -> _Waiting[Key]:
        """Choose between the priorities, one of which has names."""
        if not self._low or (self._high and self._before_low > 0):
            self._before_low -= bool(self._low)
            return self._high
        self._before_low = LOW_AFTER
        return self._low

    def done(self, key: Key) -> None:
        """Note that a worker is through with `key`; if it was added meanwhile, it waits again."""
        self._metrics.done(asyncio.get_running_loop().time() - self._working.pop(key))
        self._when_dirty.pop(key, None)
        priority = self._dirty.pop(key, None)
        if priority is not None and not self._closed:
            self._enqueue(key, priority)

    def when_dirty(self, key: Key, callback: Callable[[], None]) -> None:
        """Call `callback` if `key`, which is being worked on, is added again before `done`.

        If the key was added already, `callback` is called at once.
        """
        if key in self._dirty:
            callback()
        else:
            self._when_dirty[key] = callback

    async def wait_empty(self) -> None:
        """Return once workers have taken every name, or the queue is shut down."""
        await self._empty.wait()

    def begin(self) -> None:
        """Count the waiting time of every name from now on, because the workers start now."""
        self._began = asyncio.get_running_loop().time()

    def shutdown(self) -> None:
        """End the work: `get` returns None from now on, and names are no longer added."""
        self._closed = True
        for key in list(self._timers):
            self._cancel_timer(key)
        self._wakeup.set()
        self._empty.set()

    def _enqueue(self, key: Key, priority: Priority) -> None:
        if key in self._high or (key in self._low and priority is Priority.LOW):
            return
        promoted = self._low.remove(key)
        since = asyncio.get_running_loop().time() if promoted is None else promoted
        (self._low if priority is Priority.LOW else self._high).put(key, since)
        if promoted is None:
            self._metrics.added(len(self))
        self._empty.clear()
        self._wakeup.set()

    def _cancel_timer(self, key: Key) -> None:
        timer = self._timers.pop(key, None)
        if timer is not None:
            timer.cancel()
