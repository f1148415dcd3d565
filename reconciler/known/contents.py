"""Keep the newest content of sources, up to a number of bytes.

The watch of ConfigMaps (`caches.py`) and reads (`sources.py`) put content here, and
`sources.py` takes it. The sources that were used last stay. Nothing here may send a
request.
"""

from collections import OrderedDict
from typing import NamedTuple

import msgspec

from configmapsync.content import SourceObject
from configmapsync.names import NamespacedName
from reconciler.known.configmaps import read_source


class _Kept(NamedTuple):
    """A source in one version: as the watch brought it, or decoded."""

    version: int
    value: bytes | SourceObject
    size: int


class Contents:
    """The content of sources by key."""

    def __init__(self, limit_bytes: int) -> None:
        """Create an empty store.

        Args:
            limit_bytes: the most bytes of content that are kept.
        """
        self._limit = limit_bytes
        self._kept: OrderedDict[NamespacedName, _Kept] = OrderedDict()
        self._bytes = 0

    @property
    def has_room(self) -> bool:
        """Return whether less than the limit is kept; a prefetch must not evict content."""
        return self._bytes < self._limit

    def arrived(self, key: NamespacedName, version: str, raw: msgspec.Raw) -> None:
        """Keep an object that a watch brought, if it is newer; it is decoded when needed."""
        number = int(version or 0)
        kept = self._kept.get(key)
        if kept is None or kept.version < number:
            text = bytes(raw)
            self._put(key, _Kept(number, text, len(text)))

    def get(self, key: NamespacedName, version: str) -> SourceObject | None:
        """Return the source in a version; None if that version is not kept.

        Any other version is dropped: it is too old, or of before a restore of the cluster.

        Raises:
            Malformed: the object cannot be decoded. It is dropped, so that the next call
                returns None and the source is read.
        """
        kept = self._kept.get(key)
        if kept is None or kept.version != int(version or 0):
            self.drop(key)
            return None
        if isinstance(kept.value, bytes):
            self.drop(key)
            source = read_source(kept.value)
            self.keep(source)
            return source
        self._kept.move_to_end(key)
        return kept.value

    def keep(self, source: SourceObject) -> None:
        """Keep a source that was read, unless a newer version is kept."""
        version = int(source.resource_version or 0)
        kept = self._kept.get(source.key)
        if kept is None or kept.version <= version:
            self._put(source.key, _Kept(version, source, source.content.size))

    def drop(self, key: NamespacedName) -> None:
        """Drop one source."""
        dropped = self._kept.pop(key, None)
        if dropped is not None:
            self._bytes -= dropped.size

    def clear(self) -> None:
        """Drop every source: after a restore an equal version does not mean equal content."""
        self._kept.clear()
        self._bytes = 0

    def _put(self, key: NamespacedName, kept: _Kept) -> None:
        self.drop(key)
        self._kept[key] = kept
        self._bytes += kept.size
        while self._bytes > self._limit:
            self.drop(next(iter(self._kept)))
