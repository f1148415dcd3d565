"""Read the content of sources, and cache it up to a number of bytes.

`observe.py` calls it. The watch of versions (`caches.py`) shows that a source changed;
only then is that ConfigMap read again. This module must not decide what a missing
source means.
"""

from collections import OrderedDict

from configmapsync.content import SourceObject
from configmapsync.names import NamespacedName
from kube.client import CONFIGMAPS, Client
from kube.errors import NotFound
from kube.informer import Informer
from kube.rbac import Rule
from reconciler.known.configmaps import ConfigMapVersion, read_source

RULES = (Rule("configmaps", ("get",), why="reads the content of sources"),)
UNREAD = "0"  # older than every version
# A read may return an older version than the watch has seen. More reads do not help if the
# cluster was restored from a backup.
MOST_READS = 3


class Sources:
    """Reads sources, and keeps the most recently used ones."""

    def __init__(
        self, client: Client, versions: Informer[ConfigMapVersion], limit_bytes: int
    ) -> None:
        """Create an empty cache.

        Args:
            client: of the API server.
            versions: cached versions of ConfigMaps, which make a kept source stale.
            limit_bytes: the size of the kept content.
        """
        self._client = client
        self._versions = versions
        self._limit = limit_bytes
        self._kept: OrderedDict[NamespacedName, SourceObject] = OrderedDict()
        self._kept_bytes = 0

    async def read(self, key: NamespacedName) -> SourceObject | None:
        """Return the current source; None if it does not exist.

        Raises:
            ApiError: the source could not be read.
        """
        source = None
        for _ in range(MOST_READS):
            kept = self._kept.get(key)
            version = self._versions.get(*key)
            if (
                kept is not None
                and version is not None
                and version.resource_version == kept.resource_version
            ):
                self._kept.move_to_end(key)
                return kept
            self._drop(key)
            if version is None:
                # Kept from before the read, so that a deletion during the read is not missed.
                self._versions.record(ConfigMapVersion(*key, UNREAD))
            source = await self._get(key)
            if self._is_current(key, source):
                break
        if source is not None:
            self._keep(source)
        return source

    def clear(self) -> None:
        """Drop every source: after a restore an equal version does not mean equal content."""
        self._kept.clear()
        self._kept_bytes = 0

    async def _get(self, key: NamespacedName) -> SourceObject | None:
        try:
            return read_source(await self._client.get(CONFIGMAPS, *key))
        except NotFound:
            return None

    def _is_current(self, key: NamespacedName, source: SourceObject | None) -> bool:
        """Return whether the watch reports every later change than the read one.

        The first read records its version in the cache. A later read does not: the event of a newer
        version must still enqueue the other syncs of the source.
        """
        held = self._versions.get(*key)
        if source is None:
            if held is not None and held.resource_version == UNREAD:
                self._versions.forget(*key)
            return True
        if held is None:
            return False  # it was deleted, or another read has not found it
        if held.resource_version == UNREAD:
            self._versions.record(ConfigMapVersion(*key, source.resource_version))
        return int(source.resource_version or UNREAD) >= int(held.resource_version or UNREAD)

    def _keep(self, source: SourceObject) -> None:
        self._drop(source.key)
        self._kept[source.key] = source
        self._kept_bytes += _size(source)
        while self._kept_bytes > self._limit:
            self._drop(next(iter(self._kept)))

    def _drop(self, key: NamespacedName) -> None:
        dropped = self._kept.pop(key, None)
        if dropped is not None:
            self._kept_bytes -= _size(dropped)


def _size(source: SourceObject) -> int:
    """Return the approximate size of the content in bytes."""
    content = source.content
    return sum(
        len(key) + len(value)
        for part in (content.data, content.binary_data)
        for key, value in part.items()
    )
