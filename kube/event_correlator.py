"""Which of many occurrences are one event: the same thing again counts up, many similar ones become one, a flood is cut.

The numbers are those of client-go, so that our events behave as those of every other controller. Values in, values out; `events.py` sends them.
"""

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Generic, TypeVar

COMBINED_FROM = (
    10  # different messages of one object for one reason; from here on they share one event
)
SIMILAR_WITHIN = timedelta(minutes=10)
BURST = 25  # events of one object in a row
ONE_MORE_EVERY = timedelta(minutes=5)  # after a burst
REMEMBERED = (
    4096  # of each kind of memory; what was used longest ago is forgotten, and then told anew
)
NAME_LIMIT = (
    236  # characters of the object's name in an event's name, which with its suffix may have 253
)
COMBINED = "(combined from similar events): "


@dataclass(frozen=True, slots=True)
class ObjectReference:
    """The object that an event is about, with its UID so that a namesake made later is not meant."""

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

    @property
    def similar(self) -> "Occurrence":
        """What all occurrences have in common that differ in their message only."""
        return Occurrence(self.regarding, self.type, self.reason, "", self.action)


@dataclass(slots=True)
class Series:
    """One event as it stands in the cluster, or will: the same occurrence, so many times.

    Attributes:
        name: of the Event object.
        latest: the newest occurrence, with the message as it is told.
        count: how many there were.
        first: when the first one was.
        last: when the newest one was.
        stored: whether the cluster knows the event, so that it has to be updated and not made.
    """

    name: str
    latest: Occurrence
    count: int
    first: datetime
    last: datetime
    stored: bool = False


class Correlator:
    """Remembers what was told, to tell it no second time."""

    def __init__(self) -> None:
        self._series: _Memory[Series] = _Memory()
        self._similar: _Memory[_Similar] = _Memory()
        self._allowances: _Memory[_Allowance] = _Memory()
        self._last_suffix = 0

    def note(self, occurrence: Occurrence, now: datetime) -> Series | None:
        """Return the series that `occurrence` belongs to, with it counted; None where its object is too loud."""
        told = self._combined(occurrence, now)
        allowance = self._allowances.of(occurrence.regarding, lambda: _Allowance(now))
        if not allowance.take(now):
            return None
        # All that are combined share one series, whatever the newest message is.
        identity = told if told is occurrence else occurrence.similar
        series = self._series.of(identity, lambda: Series(self._name(told, now), told, 0, now, now))
        series.count += 1
        series.last = now
        series.latest = told
        return series

    def _combined(self, occurrence: Occurrence, now: datetime) -> Occurrence:
        """The occurrence as it is told: as it is, or as the newest of many similar ones."""
        similar = self._similar.of(occurrence.similar, lambda: _Similar(now))
        if not similar.is_one_of_many(occurrence.message, now):
            return occurrence
        message = COMBINED + occurrence.message
        return Occurrence(
            occurrence.regarding, occurrence.type, occurrence.reason, message, occurrence.action
        )

    def _name(self, occurrence: Occurrence, now: datetime) -> str:
        """A name of its own: the object's, and the time in microseconds, moved on where two fall together."""
        self._last_suffix = max(self._last_suffix + 1, int(now.timestamp() * 1_000_000))
        return f"{occurrence.regarding.name[:NAME_LIMIT].rstrip('-.')}.{self._last_suffix:x}"


@dataclass(slots=True)
class _Similar:
    """The different messages of late, as hashes: thousands of objects with ten messages each would be tens of mebibytes."""

    last: datetime
    messages: set[int] = field(default_factory=set)

    def is_one_of_many(self, message: str, now: datetime) -> bool:
        if now - self.last > SIMILAR_WITHIN:
            self.messages.clear()
        self.last = now
        if hash(message) not in self.messages and len(self.messages) >= COMBINED_FROM:
            return True
        self.messages.add(hash(message))
        return False


@dataclass(slots=True)
class _Allowance:
    """How many events an object may still have; it grows again with time."""

    since: datetime
    left: float = BURST

    def take(self, now: datetime) -> bool:
        self.left = min(BURST, self.left + (now - self.since) / ONE_MORE_EVERY)
        self.since = now
        if self.left < 1:
            return False
        self.left -= 1
        return True


Remembered = TypeVar("Remembered")


class _Memory(Generic[Remembered]):
    """A bounded mapping that makes what it lacks."""

    def __init__(self) -> None:
        self._items: OrderedDict[Occurrence | ObjectReference, Remembered] = OrderedDict()

    def of(self, key: Occurrence | ObjectReference, make: Callable[[], Remembered]) -> Remembered:
        if key not in self._items:
            self._items[key] = make()
        self._items.move_to_end(key)
        if len(self._items) > REMEMBERED:
            self._items.popitem(last=False)
        return self._items[key]
