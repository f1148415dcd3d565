"""Read the content of sources, or answer from what the watches brought.

`observe.py` calls it. The watch of ConfigMaps brings an edited source with its content
(`caches.py`), so that a read is needed only for a source that is new to this process.
This module must not decide what a missing source means.
"""

from configmapsync.content import SourceObject
from configmapsync.copies import CopyRecord
from configmapsync.names import NamespacedName
from kube.client import Client
from kube.rbac import Rule
from reconciler.known.caches import UNREAD, Caches
from reconciler.known.configmaps import ConfigMapVersion, read_copy, read_source
from reconciler.known.source_reads import Raw, SourceReads

RULES = (Rule("configmaps", ("get", "list"), why="reads the content of sources"),)
# A read may return an older version than the watch has seen. More reads do not help if the
# cluster was restored from a backup.
MOST_READS = 3


class Sources:
    """Reads sources; `Caches.contents` keeps the most recently used ones."""

    def __init__(self, client: Client, caches: Caches) -> None:
        """Create the reads.

        Args:
            client: of the API server.
            caches: the versions and the content that the watches brought.
        """
        self._caches = caches
        self._contents = caches.contents
        self._reads = SourceReads(client, self._prefetch)

    async def read(self, key: NamespacedName) -> SourceObject | None:
        """Return the current source; None if it does not exist.

        Raises:
            ApiError: the source could not be read.
        """
        source = None
        for _ in range(MOST_READS):
            if (kept := self.kept(key)) is not None:
                return kept
            self._caches.expect_version(key)
            source, is_current = self._accept(key, await self._reads.get(key))
            if is_current:
                break
        if source is not None:
            self._contents.keep(source)
        return source

    def kept(self, key: NamespacedName) -> SourceObject | None:
        """Return the current source if its content is cached; else None."""
        version = self._caches.version_of(key)
        return None if version is None else self._contents.get(key, version)

    def _prefetch(self, key: NamespacedName, raw: Raw) -> bool:
        """Keep a listed source that a later read will ask for; return whether it is kept."""
        if not self._contents.has_room or not self._caches.syncs_of_source(key):
            return False
        if self.kept(key) is None:
            self._caches.expect_version(key)
            source, is_current = self._accept(key, raw)
            if source is not None and is_current:
                self._contents.keep(source)
        return True

    def _accept(self, key: NamespacedName, raw: Raw | None) -> tuple[SourceObject | None, bool]:
        """Return a read source, and whether the watches report every later change of it."""
        if raw is None:
            self._caches.forget_expected(key)
            return None, True
        source = read_source(raw)
        if source.labelled_as_copy:
            return source, self._is_current_copy(read_copy(raw))
        return source, self._is_current(source)

    def _is_current(self, source: SourceObject) -> bool:
        """Return whether the watch of versions reports every later change.

        The first read records its version in the cache. A later read does not: the event of a newer
        version must still enqueue the other syncs of the source.
        """
        held = self._caches.versions.get(*source.key)
        if held is None:
            return False  # it was deleted, or another read has not found it
        if held.resource_version == UNREAD:
            self._caches.versions.record(ConfigMapVersion(*source.key, source.resource_version))
        return int(source.resource_version or UNREAD) >= int(held.resource_version or UNREAD)

    def _is_current_copy(self, read: CopyRecord) -> bool:
        """Return whether the watch of copies reports every later change.

        The watch of versions excludes ConfigMaps with the label of copies.
        """
        self._caches.forget_expected(read.key)
        if self._caches.copy_at(read.key) is None:
            self._caches.copies.record(read)
        held = self._caches.copy_at(read.key)
        if held is None:
            return False  # it was deleted after the read
        return int(read.resource_version or UNREAD) >= int(held.resource_version or UNREAD)
