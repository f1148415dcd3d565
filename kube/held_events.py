"""Hold the watch events of objects that this process is writing.

`informer.py` asks it about each event. The event of an own write can arrive before the
answer to that write. Without the answer it looks like a change by another client. This
module must not decide what an event means.
"""

from typing import NamedTuple

import msgspec

from kube.wire import Place

# Of all held events. A tenant can change many objects of a mebibyte while they are written.
MOST_HELD_BYTES = 8 << 20


class WatchedEvent(NamedTuple):
    """An event whose object is not decoded beyond its version."""

    kind: str
    place: Place
    version: int
    item: msgspec.Raw

    @property
    def size(self) -> int:
        """Return the bytes of the object."""
        return len(memoryview(self.item))


class HeldEvents:
    """The objects that are being written, each with its newest event."""

    def __init__(self) -> None:
        self._newest: dict[Place, WatchedEvent | None] = {}
        self._bytes = 0

    def begin(self, place: Place) -> None:
        """Hold the events of an object from now on."""
        self._newest.setdefault(place, None)

    def hold(self, event: WatchedEvent) -> bool:
        """Hold an event in place of the previous one; return False if it cannot be held."""
        if event.place not in self._newest:
            return False
        self._drop(event.place)
        if self._bytes + event.size > MOST_HELD_BYTES:
            return False
        self._newest[event.place] = event
        self._bytes += event.size
        return True

    def has_event(self, place: Place) -> bool:
        """Return whether an event of the object is held."""
        return self._newest.get(place) is not None

    def end(self, place: Place) -> WatchedEvent | None:
        """Stop to hold the events of an object; return the newest one."""
        event = self._newest.get(place)
        self._drop(place)
        self._newest.pop(place, None)
        return event

    def clear(self) -> None:
        """Drop every event, because a list that begins now shows the same or more."""
        for place in self._newest:
            self._drop(place)

    def _drop(self, place: Place) -> None:
        if (event := self._newest.get(place)) is not None:
            self._newest[place] = None
            self._bytes -= event.size
