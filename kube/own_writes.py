"""Hold the watch events that the writes of this process may have caused.

`informer.py` asks it about each event, and handles a held event when the write has
ended. The event of an own write can arrive before the answer, and without the answer it
looks like a change by another client.
"""

from kube.wire import Place, WatchedEvent

# Of all held events. A tenant can change many objects of a mebibyte while they are written.
MOST_HELD_BYTES = 8 << 20


class OwnWrites:
    """The objects that are being written, each with its newest event."""

    def __init__(self) -> None:
        self._newest: dict[Place, WatchedEvent | None] = {}
        self._generations: dict[Place, int | None] = {}
        self._bytes = 0

    def begin(self, place: Place, generation: int | None) -> None:
        """Hold the events of an object from now on, as long as it has that generation.

        Args:
            place: of the object.
            generation: None for a kind without generations, such as ConfigMap.
        """
        self._newest.setdefault(place, None)
        self._generations[place] = generation

    def hold(self, event: WatchedEvent) -> bool:
        """Hold an event in place of the previous one; return whether it is held.

        It is not held if the object is not being written, has another generation than at the
        begin of the write, or if too many bytes are held. The caller then handles it at once.
        """
        if event.place not in self._newest:
            return False
        self._drop(event.place)
        is_edit = event.generation != self._generations[event.place]
        if is_edit or self._bytes + len(event.line) > MOST_HELD_BYTES:
            return False
        self._newest[event.place] = event
        self._bytes += len(event.line)
        return True

    def has_event(self, place: Place) -> bool:
        """Return whether an event of the object is held."""
        return self._newest.get(place) is not None

    def end(self, place: Place) -> WatchedEvent | None:
        """Stop to hold the events of an object; return the newest one, which the caller handles."""
        event = self._newest.get(place)
        self._drop(place)
        self._newest.pop(place, None)
        self._generations.pop(place, None)
        return event

    def drop_events(self) -> None:
        """Drop every held event, because a list that begins now shows the same or more."""
        for place in self._newest:
            self._drop(place)

    def _drop(self, place: Place) -> None:
        if (event := self._newest.get(place)) is not None:
            self._newest[place] = None
            self._bytes -= len(event.line)
