"""Decide which occurrences are one event.

A repeated occurrence raises the count of its event, many similar ones share one event,
and a burst is cut. The numbers are those of client-go, so the events behave like those
of other controllers. `events.py` sends the events; this module does no I/O.
"""

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import TypeVar

import msgspec

# Different messages of one object for one reason; more of them share one event.
COMBINED_FROM = 10
SIMILAR_WITHIN = timedelta(minutes=10)
BURST = 25  # events of one object in a row
REFILL_INTERVAL = timedelta(minutes=5)  # after a burst, one event is allowed in each interval
CACHE_LIMIT = 4096  # entries of each cache; the least recently used one is dropped
NAME_LIMIT = 236  # characters of the object's name in the event's name, which may have 253
COMBINED = "(combined from similar events): "


class ObjectReference(msgspec.Struct, rename="camel", frozen=True):
    """The object that an event is about; the UID excludes a later object of the same name."""

    api_version: str
    kind: str
    namespace: str
    name: str
    uid: str = ""


@dataclass(frozen=True, slots=True)
class Occurrence:
    """Something that happened to an object."""

    regarding: ObjectReference
    type: str
    reason: str
    message: str
    action: str = ""


@dataclass(slots=True)
class Series:
    """One event: the same occurrence, a number of times.

    Attributes:
        name: of the Event object.
        latest: the newest occurrence, with the message of the event.
        count: number of occurrences.
        first: time of the first occurrence, in whole seconds.
        last: time of the newest occurrence, in whole seconds.
        stored: whether the Event object exists and has to be updated.
    """

    name: str
    latest: Occurrence
    count: int
    first: datetime
    last: datetime
    stored: bool = False


class Correlator:
    """Counts repeated occurrences."""

    def __init__(self) -> None:
        self._series: _Cache[Series] = _Cache()
        self._similar: _Cache[_Similar] = _Cache()
        self._allowances: _Cache[_Allowance] = _Cache()
        self._last_suffix = 0

    def note(self, occurrence: Occurrence, now: datetime) -> Series | None:
        """Count an occurrence; return its series, or None if its object has too many events."""
        group = replace(occurrence, message="")  # equal for all that differ only in the message
        similar = self._similar.get_or_make(group, lambda: _Similar(now))
        allowance = self._allowances.get_or_make(occurrence.regarding, lambda: _Allowance(now))
        identity = occurrence
        if similar.add(occurrence.message, now):
            # Combined occurrences share one series, whatever the newest message is.
            identity = group
            occurrence = replace(occurrence, message=COMBINED + occurrence.message)
        if not allowance.take(now):
            return None
        second = now.replace(microsecond=0)
        series = self._series.get_or_make(
            identity,
            lambda: Series(self._make_name(occurrence, now), occurrence, 0, second, second),
        )
        series.count += 1
        series.last = second
        series.latest = occurrence
        return series

    def _make_name(self, occurrence: Occurrence, now: datetime) -> str:
        """Make a unique name: the object's, and the time in microseconds or a higher number."""
        self._last_suffix = max(self._last_suffix + 1, int(now.timestamp() * 1_000_000))
        return f"{occurrence.regarding.name[:NAME_LIMIT].rstrip('-.')}.{self._last_suffix:x}"


@dataclass(slots=True)
class _Similar:
    """The recent messages, as hashes, because those of many objects take much memory."""

    last: datetime
    messages: set[int] = field(default_factory=set)

    def add(self, message: str, now: datetime) -> bool:
        """Add a message unless there are many others; return whether there are."""
        if now - self.last > SIMILAR_WITHIN:
            self.messages.clear()
        self.last = now
        if hash(message) not in self.messages and len(self.messages) >= COMBINED_FROM:
            return True
        self.messages.add(hash(message))
        return False


@dataclass(slots=True)
class _Allowance:
    """The number of events that an object may still have, a token bucket."""

    since: datetime
    left: float = BURST

    def take(self, now: datetime) -> bool:
        self.left = min(BURST, self.left + (now - self.since) / REFILL_INTERVAL)
        self.since = now
        if self.left < 1:
            return False
        self.left -= 1
        return True


Value = TypeVar("Value")


class _Cache(OrderedDict[Occurrence | ObjectReference, Value]):
    """A bounded mapping that creates missing values."""

    def get_or_make(self, key: Occurrence | ObjectReference, make: Callable[[], Value]) -> Value:
        if key not in self:
            self[key] = make()
        self.move_to_end(key)
        if len(self) > CACHE_LIMIT:
            self.popitem(last=False)
        return self[key]
