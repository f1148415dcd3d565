"""The content of sources: read when a source changed, kept while there is room.

The watch of versions (`caches.py`) tells that a source changed; only then is its content asked for, and only of that one ConfigMap. This
module must not decide what a missing source means: that is the planner's.
"""

from collections import OrderedDict

from configmapsync.content import SourceObject
from configmapsync.names import NamespacedName
from kube.client import CONFIGMAPS, Client
from kube.errors import NotFound
from kube.informer import Informer
from kube.rbac import Rule
from reconciler.known.configmaps import ConfigMapVersion, read_source

RULES = (Rule("configmaps", ("get",), why="the content of sources"),)
UNREAD = "0"  # older than every version there is
READS = 3  # until one is current; more are needed only where the cluster's own history went back, and then none will be


class Sources:
    """Reads sources, and remembers the latest used up to a number of bytes."""

    def __init__(
        self, client: Client, versions: Informer[ConfigMapVersion], limit_bytes: int
    ) -> None:
        self._client = client
        self._versions = versions
        self._limit = limit_bytes
        self._kept: OrderedDict[NamespacedName, SourceObject] = OrderedDict()
        self._kept_bytes = 0

    async def read(self, key: NamespacedName) -> SourceObject | None:
        """The source as it is now; None where there is none.

        Raises:
            ApiError: the API server did not say.
        """
        source = None
        for _ in range(READS):
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
            if (
                version is None
            ):  # held from before the read on, so that a deletion during it is not missed
                self._versions.record(ConfigMapVersion(*key, UNREAD))
            source = await self._get(key)
            if self._is_current(key, source):
                break
        if source is not None:
            self._keep(source)
        return source

    def clear(self) -> None:
        """Forget every source: after versions went back, an equal version does not mean equal content."""
        self._kept.clear()
        self._kept_bytes = 0

    async def _get(self, key: NamespacedName) -> SourceObject | None:
        try:
            return read_source(await self._client.get(CONFIGMAPS, *key))
        except NotFound:
            return None

    def _is_current(self, key: NamespacedName, source: SourceObject | None) -> bool:
        """Whether the watch will tell of everything that is newer than what was read; it is told what a first read has found.

        No other read is told to it: whoever reads ahead of the watch must not take the news from the other syncs of the source.
        """
        held = self._versions.get(*key)
        if source is None:
            if held is not None and held.resource_version == UNREAD:
                self._versions.forget(*key)
            return True
        if held is None:
            return False  # it went, or another read has found it gone
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
    """Roughly the bytes of its content."""
    content = source.content
    return sum(
        len(key) + len(value)
        for part in (content.data, content.binary_data)
        for key, value in part.items()
    )
