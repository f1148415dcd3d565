"""Keep the records of one collection, each with the version in which it was seen.

`informer.py` asks whether an object is news before it puts a record, so no record goes
back to an older version. Two exceptions: a list that shows a lower version, and stale
records after a restore of the storage, which any version replaces.
"""

from collections.abc import Mapping

from kube.history import Seen
from kube.indexer import Indexer, IndexFunction, R, Record, place_of
from kube.wire import Place

# Removed objects; beyond that number, those that the watch has passed are dropped.
REMOVED_LIMIT = 1000


class Store(Indexer[R]):
    """The records, and what a list in progress has shown of them.

    Attributes:
        revision: the number of changes so far.
        reached: the version up to which the list and the watch are complete.
        removed: the last version of each object that this process removed and of which an event may
            still come.
    """

    def __init__(self, indexes: Mapping[str, IndexFunction[R]]) -> None:
        """Create an empty store.

        Args:
            indexes: by name, what a record is to be found under.
        """
        super().__init__(indexes)
        self.revision = 0
        self.reached = 0
        self.removed: dict[Place, int] = {}
        self._removed_limit = REMOVED_LIMIT
        self._stale: set[Place] = set()  # records of before a restore
        self._listed: set[Place] | None = None  # by the list in progress; None without one
        self._listing = 0  # the version of the list in progress; 0 without one

    def version_at(self, place: Place) -> int:
        """Return the version of a record; 0 if there is none or it is stale."""
        held = self.records.get(place)
        return 0 if held is None or place in self._stale else version_of(held)

    def newest(self) -> Seen | None:
        """Return the place and version of the newest record; None if there is none.

        It visits every record: 9 ms for 50,000. A new list or watch needs it, no event does.
        """
        fresh = self.records
        if self._stale:
            fresh = {place: record for place, record in fresh.items() if place not in self._stale}
        newest = max(fresh.values(), key=version_of, default=None)
        if newest is None or version_of(newest) == 0:
            return None
        return Seen(*place_of(newest), version_of(newest))

    def is_news(self, new: R) -> bool:
        """Return whether a record may replace the one in its place; the same version may, too."""
        place, version = place_of(new), version_of(new)
        if place not in self.records:
            forgotten = self.removed.get(place, 0)
            return version == 0 or version > forgotten or forgotten <= self._listing
        # A list shows the newest version of each object. If the record is newer, the storage was
        # restored.
        return self.version_at(place) <= max(version, self._listing)

    def put(self, new: R) -> None:
        """Keep a record in place of the previous one, whatever its version."""
        self._stale.discard(place_of(new))
        self.revision += 1
        super().put(new)

    def remove(self, place: Place) -> R | None:
        """Remove and return a record; None if there is none."""
        self._stale.discard(place)
        self.revision += 1
        return super().remove(place)

    def note_removed(self, place: Place, version: int) -> None:
        """Note that this process removed an object, of which the watch may still bring events."""
        if version > self.reached:
            self.removed[place] = version

    def note_gone(self, place: Place, version: int) -> None:
        """Note that the watch has shown the removal of an object."""
        if self.removed.get(place, 0) <= version:
            self.removed.pop(place, None)

    def advance(self, version: int) -> None:
        """Note that the list or the watch has shown everything up to a version."""
        self.reached = max(self.reached, version)

    def bound_removed(self) -> None:
        """Drop removed objects that the watch has passed, if there are many."""
        if len(self.removed) > self._removed_limit:
            self._drop_passed()
            # Twice the rest, so that each sweep is paid for by as many removals.
            self._removed_limit = max(REMOVED_LIMIT, 2 * len(self.removed))

    def mark_stale(self) -> None:
        """Mark every record as stale, because versions went back."""
        self.reached = 0
        self.removed.clear()
        self._stale = set(self.records)

    def begin_list(self, version: int) -> None:
        """Begin a list of that version."""
        self._listed, self._listing = set(), version

    def note_listed(self, place: Place) -> None:
        """Note that a list in progress shows an object, or has passed its place already."""
        if self._listed is not None:
            self._listed.add(place)

    def not_listed(self, version: int) -> list[Place]:
        """Return the records that a whole list of that version did not show, unless newer."""
        listed = self._listed or set()
        missing = (place for place in self.records if place not in listed)
        return [place for place in missing if self.version_at(place) <= version]

    def end_list(self, version: int) -> None:
        """End a list: it was complete at that version."""
        self._listed, self._listing = None, 0
        self.advance(version)
        self._drop_passed()
        self._stale.clear()

    def _drop_passed(self) -> None:
        """Drop removed objects that the watch has passed: no older event can come any more."""
        self.removed = {place: gone for place, gone in self.removed.items() if gone > self.reached}


def number(version: str) -> int:
    """Return a version as an integer; versions of one cluster can be compared so."""
    return int(version or 0)


def version_of(record: Record) -> int:
    """Return the version of a record as an integer."""
    return number(record.resource_version)
