"""Keep the unmanaged ConfigMaps in the way of copies, and the syncs that wait for them.

The writer records a blocker when a write finds one, and the applier the destinations
that a plan waits for. `triggers.py` asks which syncs wait for a ConfigMap that is gone.
Nothing here may send a request.
"""

from collections.abc import Set

from configmapsync.copies import CopyRecord
from configmapsync.names import NamespacedName


class Blockers:
    """Unmanaged ConfigMaps in the way of copies, and the syncs that wait for their deletion."""

    def __init__(self) -> None:
        self._found: dict[NamespacedName, CopyRecord | None] = {}
        self._waiting: dict[NamespacedName, set[NamespacedName]] = {}  # syncs, by destination
        self._destinations: dict[NamespacedName, set[NamespacedName]] = {}  # by sync

    def __contains__(self, key: NamespacedName) -> bool:
        """Return whether a sync waits for `key`, with a known blocker or without one."""
        return key in self._found

    def expect(self, key: NamespacedName, sync: NamespacedName) -> None:
        """Let `sync` wait for the deletion of a blocker at `key`, known or not.

        From now on the watch of versions keeps `key`. The writer calls it before it reads a
        blocker, so that a deletion during the read is not missed.
        """
        self._found.setdefault(key, None)
        self._waiting.setdefault(key, set()).add(sync)
        self._destinations.setdefault(sync, set()).add(key)

    def found(self, record: CopyRecord) -> None:
        """Record a blocker that was read; do nothing if no sync waits for its key any more."""
        if record.key in self._found:
            self._found[record.key] = record

    def at(self, key: NamespacedName) -> CopyRecord | None:
        """Return the blocker at `key`; None if none is known."""
        return self._found.get(key)

    def cleared(self, key: NamespacedName) -> None:
        """Record that no blocker is at `key`; syncs that wait for `key` keep waiting."""
        if key in self._waiting:
            self._found[key] = None
        else:
            self._found.pop(key, None)

    def gone(self, key: NamespacedName) -> frozenset[NamespacedName]:
        """Forget a deleted blocker and the waits for its deletion; return the syncs that waited."""
        syncs = self.waiting(key)
        for sync in syncs:
            self.stop_waiting(key, sync)
        self._found.pop(key, None)
        return syncs

    def retain(self, sync: NamespacedName, wanted: Set[NamespacedName]) -> None:
        """End the waits of a sync for all destinations but those in `wanted`."""
        for key in self._destinations.get(sync, set()) - wanted:
            self.stop_waiting(key, sync)

    def waiting(self, key: NamespacedName) -> frozenset[NamespacedName]:
        """Return the syncs that wait for the deletion of a blocker at `key`."""
        return frozenset(self._waiting.get(key, ()))

    def stop_waiting(self, key: NamespacedName, sync: NamespacedName) -> None:
        """Record that a sync has its copy at `key`, or needs none there.

        A blocker that no sync waits for is forgotten.
        """
        if key not in self._destinations.get(sync, ()):
            return
        self._destinations[sync].discard(key)
        if not self._destinations[sync]:
            del self._destinations[sync]
        self._waiting[key].discard(sync)
        if not self._waiting[key]:
            del self._waiting[key]
            self._found.pop(key, None)
