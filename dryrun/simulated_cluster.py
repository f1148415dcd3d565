"""An API server as it would be after the planned writes.

`simulator.py` puts ConfigMaps into it, and it answers reads of them by name. Other
reads, also lists, and access reviews go to the API server below it. It must not send a
write.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from typing import Any

from cluster.namespaces import NAMESPACES_PATH
from cluster.syncs import SYNCS_PATH
from configmapsync.names import NamespacedName
from kube.client import CONFIGMAPS, SUBJECT_ACCESS_REVIEWS, ApiServer, Kind
from kube.errors import Forbidden, NotFound
from kube.wire import decode_object
from reconciler.known.caches import CONFIGMAPS_PATH

COLLECTIONS = frozenset({CONFIGMAPS_PATH, NAMESPACES_PATH, SYNCS_PATH})
EMPTY_LIST = b'{"metadata":{"resourceVersion":"0"},"items":[]}'
CONCURRENT_REQUESTS = 32
SERVICE_ACCOUNTS = "/serviceaccounts/"

Document = dict[str, Any]


class _Unwatched:
    """An API server without watches, because a plan needs none."""

    def stream(
        self, path: str, **_options: Any
    ) -> AbstractAsyncContextManager[AsyncIterator[bytes]]:
        """Refuse a watch."""
        raise NotFound(f"{path} is not watched")


class EmptyCluster(_Unwatched):
    """An API server without objects, for plans from files alone. It knows no rights."""

    async def request(self, method: str, path: str, **_options: Any) -> bytes:
        """Return an empty list.

        Raises:
            NotFound: the request reads one object.
            Forbidden: the request needs a real cluster.
        """
        if method == "GET" and path in COLLECTIONS:
            return EMPTY_LIST
        if method == "GET" and SERVICE_ACCOUNTS not in path:
            raise NotFound(f"GET {path}: not in the files")
        raise Forbidden(f"{method} {path}: no cluster")


class SimulatedCluster(_Unwatched):
    """The planned ConfigMaps over an API server that is only read."""

    def __init__(self, base: ApiServer) -> None:
        """Start without planned ConfigMaps.

        Args:
            base: answers every read of an object that is not planned.
        """
        self._base = base
        self._planned: dict[str, bytes | None] = {}
        self._slots = asyncio.Semaphore(CONCURRENT_REQUESTS)

    async def request(self, method: str, path: str, **options: Any) -> bytes:
        """Answer the read of a planned ConfigMap; pass other reads and access reviews on.

        Raises:
            ApiError: the base answered with an error.
            Forbidden: the request is a write.
        """
        if method == "GET" and path in self._planned:
            if (planned := self._planned[path]) is None:
                raise NotFound(f"GET {path}: deleted by the plan")
            return planned
        if method != "GET" and path != SUBJECT_ACCESS_REVIEWS.path():
            raise Forbidden(f"{method} {path}: a plan writes nothing")
        async with self._slots:
            return await self._base.request(method, path, **options)

    async def find(self, key: NamespacedName, kind: Kind = CONFIGMAPS) -> Document | None:
        """Return an object; None if it does not exist.

        Raises:
            ApiError: the object could not be read.
        """
        try:
            answer = await self.request("GET", kind.path(*key))
        except NotFound:
            return None
        return decode_object(answer, kind.path(*key))

    def put(self, key: NamespacedName, raw: bytes | None) -> None:
        """Plan a ConfigMap in JSON, or its deletion if `raw` is None."""
        self._planned[CONFIGMAPS.path(*key)] = raw
