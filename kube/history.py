"""Notice that the storage of the API server was restored from a backup.

Versions of a collection only rise. `reflector.py` reports each version that it sees,
and asks for a check before it resumes a watch. This module only raises an error; the
reflector then marks the cache as stale and lists again.
"""

from collections.abc import Callable, Mapping
from typing import NamedTuple

from kube.client import METADATA_LIST, ApiServer
from kube.errors import Gone
from kube.wire import ObjectList, PartialObject, WatchedEvent, decode_as, version_number

PROBE_SECONDS = 10.0  # for a list of one object


class VersionsWentBackError(Exception):
    """The API server shows a lower version than before: its storage was restored from a backup."""


class Seen(NamedTuple):
    """An object, in a version that the API server has shown."""

    namespace: str
    name: str
    version: int


class History:
    """The versions of one collection that the API server has shown."""

    def __init__(self, connection: ApiServer, path: str, newest: Callable[[], Seen | None]) -> None:
        """Begin without a version.

        Args:
            connection: to the API server.
            path: of the collection.
            newest: returns the cached object with the highest version; None without one.
        """
        self._connection = connection
        self._path = path
        self._newest = newest
        self._reached = 0  # the highest version of a list or an event
        self._deleted: Seen | None = None  # the object that was deleted last

    @property
    def shown(self) -> int:
        """Return the highest version that the API server has shown in a list, a watch or a write.

        A list is a consistent read, so a later list shows no lower version.
        """
        newest = self._newest()
        return max(self._reached, newest.version if newest else 0)

    def clear(self) -> None:
        """Forget every version, because the storage was restored."""
        self._reached, self._deleted = 0, None

    def listed(self, version: int) -> None:
        """Note that a list of that version was completed."""
        self._reached = max(self._reached, version)

    def watched(self, event: WatchedEvent) -> None:
        """Note an event of the watch.

        Raises:
            VersionsWentBackError: its version is lower than an earlier one.
        """
        if event.version < self._reached:
            raise VersionsWentBackError
        if event.kind == "DELETED":
            self._deleted = Seen(*event.place, event.version)
        self._reached = event.version

    async def check(self) -> None:
        """Check, before a watch is resumed, that the storage was not restored from a backup.

        A watch from a version in the future would stay silent without an error. If the restored
        storage has passed that version since, one of two objects has an older version than
        before: the newest one that is held, or the one that was deleted last.

        Raises:
            VersionsWentBackError: the storage was restored.
            Gone: the newest object does not exist any more. It was deleted, or created after the
                backup; a list decides.
            ApiError: the API server did not answer.
        """
        if self._deleted is not None:
            await self._exists(self._deleted)
        newest = self._newest()
        if newest is not None:
            if not await self._exists(newest):
                what = f"GET {self._path}: the newest object does not exist any more"
                raise Gone(what, status=410)
        elif self._deleted is None:
            await self._probe(self._path, {"limit": "1"}, self._reached)

    async def _exists(self, seen: Seen) -> bool:
        """Return whether an object exists. It lists one name, so the right to list is enough.

        Raises:
            VersionsWentBackError: it has an older version than before.
        """
        collection, _, plural = self._path.rpartition("/")
        path = (
            f"{collection}/namespaces/{seen.namespace}/{plural}" if seen.namespace else self._path
        )
        params = {"fieldSelector": f"metadata.name={seen.name}"}
        page = await self._probe(path, params, max(self._reached, seen.version))
        for item in page.items or []:
            shown = decode_as(item, PartialObject, f"GET {path}: the list").metadata
            if version_number(shown.resource_version) < seen.version:
                raise VersionsWentBackError
        return bool(page.items)

    async def _probe(self, path: str, params: Mapping[str, str], shown: int) -> ObjectList:
        """Return a short list, whose version must not be lower than one that was shown before."""
        body = await self._connection.request(
            "GET", path, params=params, accept=METADATA_LIST, timeout=PROBE_SECONDS
        )
        page = decode_as(body, ObjectList, f"GET {self._path}: the list")
        if version_number(page.metadata.resource_version) < shown:
            raise VersionsWentBackError
        return page
