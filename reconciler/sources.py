"""The content of sources: read when a source changed, kept while there is room.

The watch of versions (`caches.py`) tells that a source changed; only then is its content asked for, and only of that one ConfigMap. This
module must not decide what a missing source means: that is the planner's.
"""

from collections import OrderedDict

from configmapsync.content import SourceObject
from configmapsync.names import NamespacedName
from kube.connection import Connection
from kube.errors import NotFound
from kube.informer import Informer
from kube.rbac import Rule
from reconciler.configmaps import ConfigMapVersion, read_source

RULES = (Rule("configmaps", ("get",), why="the content of sources"),)
UNREAD = "0"  # older than every version there is


class Sources:
    """Reads sources, and remembers the latest used up to a number of bytes."""

    def __init__(self, connection: Connection, versions: Informer[ConfigMapVersion], limit_bytes: int) -> None:
        self._connection = connection
        self._versions = versions
        self._limit = limit_bytes
        self._kept: OrderedDict[NamespacedName, SourceObject] = OrderedDict()
        self._kept_bytes = 0

    async def read(self, key: NamespacedName) -> SourceObject | None:
        """The source as it is now; None where there is none.

        Raises:
            ApiError: the API server did not say.
        """
        kept = self._kept.get(key)
        version = self._versions.get(*key)
        if kept is not None and version is not None and version.resource_version == kept.resource_version:
            self._kept.move_to_end(key)
            return kept
        self._drop(key)
        if version is None:  # held from before the read on, so that a deletion during it is not missed
            self._versions.record(ConfigMapVersion(*key, UNREAD))
        source = await self._get(key)
        self._note_version(key, source)
        if source is not None:
            self._keep(source)
        return source

    async def _get(self, key: NamespacedName) -> SourceObject | None:
        path = f"/api/v1/namespaces/{key.namespace}/configmaps/{key.name}"
        try:
            return read_source(await self._connection.request("GET", path))
        except NotFound:
            return None

    def _note_version(self, key: NamespacedName, source: SourceObject | None) -> None:
        """Tell the cache of versions what was read, unless the watch was faster: then its event has already made new work."""
        held = self._versions.get(*key)
        if held is None:
            return
        if source is not None:
            self._versions.record(ConfigMapVersion(*key, source.resource_version))
        elif held.resource_version == UNREAD:
            self._versions.forget(*key)

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
    """Roughly the bytes of its content."""
    content = source.content
    return sum(len(key) + len(value) for part in (content.data, content.binary_data) for key, value in part.items())
