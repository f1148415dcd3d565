"""Know the newest object of a cache without visiting every object.

`informer.py` notes each object that it caches, and a watch that is resumed asks for the
newest one. All objects are visited only if the ones that were noted last are gone.
"""

from collections import deque
from collections.abc import Callable, Iterable

from kube.wire import Place

NOTED = 64


class Newest:
    """The places of the newest objects, in rising order of their versions."""

    def __init__(
        self,
        version_of: Callable[[Place], int],
        everything: Callable[[], Iterable[Place]],
    ) -> None:
        """Start with nothing noted.

        Args:
            version_of: returns the cached version of an object; 0 if it does not count.
            everything: returns the places of all objects.
        """
        self._version_of = version_of
        self._everything = everything
        self._noted: deque[tuple[int, Place]] = deque(maxlen=NOTED)
        self._skipped = 0  # the highest version that was not noted

    def note(self, place: Place, version: int) -> None:
        """Note an object that was cached."""
        self._drop_gone()
        if not self._noted or version >= self._noted[-1][0]:
            self._noted.append((version, place))
        else:
            self._skipped = max(self._skipped, version)

    def clear(self) -> None:
        """Forget what was noted, because no cached object counts any more."""
        self._noted.clear()
        self._skipped = 0

    def find(self) -> Place | None:
        """Return the place of the object with the highest version; None if there is none."""
        self._drop_gone()
        if not self._noted or self._noted[-1][0] < self._skipped:
            self._visit_all()
        return self._noted[-1][1] if self._noted else None

    def _drop_gone(self) -> None:
        while self._noted and self._version_of(self._noted[-1][1]) != self._noted[-1][0]:
            self._noted.pop()

    def _visit_all(self) -> None:
        self.clear()
        place = max(self._everything(), key=self._version_of, default=None)
        if place is not None and (version := self._version_of(place)):
            self._noted.append((version, place))
            self._skipped = version
