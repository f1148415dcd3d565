"""An API server as it would be after changes that are only imagined: what was drafted stands over what is really there.

`forecast.py` drafts the reconciler's writes here, and reads on as if they had been made. Nothing but questions ever reaches the cluster.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from typing import Any

import msgspec

from cluster.namespaces import NAMESPACES_PATH
from cluster.syncs import SYNCS_PATH
from configmapsync.names import NamespacedName
from kube.client import CONFIGMAPS, SUBJECT_ACCESS_REVIEWS, ApiServer
from kube.errors import Forbidden, NotFound
from kube.wire import decode_object
from reconciler.known.caches import CONFIGMAPS_PATH

COLLECTIONS = frozenset({CONFIGMAPS_PATH, NAMESPACES_PATH, SYNCS_PATH})
EMPTY_LIST = b'{"metadata":{"resourceVersion":"0"},"items":[]}'
AT_ONCE = 32  # requests
SERVICE_ACCOUNTS = "/serviceaccounts/"

Document = dict[str, Any]


class NoCluster:
    """An API server with nothing in it, for plans of files alone. Nobody's rights are known there."""

    async def request(self, method: str, path: str, **_options: Any) -> bytes:
        """Answer that nothing is there."""
        if method == "GET" and path in COLLECTIONS:
            return EMPTY_LIST
        if method == "GET" and SERVICE_ACCOUNTS not in path:
            raise NotFound(f"GET {path}: not in the files", status=404, reason="NotFound")
        raise Forbidden(
            f"{method} {path}: there is no cluster to ask", status=403, reason="Forbidden"
        )

    def stream(
        self, path: str, **_options: Any
    ) -> AbstractAsyncContextManager[AsyncIterator[bytes]]:
        """Nothing ever changes."""
        raise NotFound(f"{path} is not watched")


class SimulatedCluster:
    """ConfigMaps that were drafted, and beneath them an API server that is only read."""

    def __init__(self, beneath: ApiServer) -> None:
        self._base = beneath
        self._drafted: dict[str, bytes | None] = {}
        self._slots = asyncio.Semaphore(AT_ONCE)

    async def request(self, method: str, path: str, **options: Any) -> bytes:
        """Answer from the draft, else from what is beneath.

        Raises:
            ApiError: as the API server answers.
            Forbidden: it would have been a write.
        """
        if method == "GET" and path in self._drafted:
            if (drafted := self._drafted[path]) is None:
                raise NotFound(f"GET {path}: it would be gone", status=404, reason="NotFound")
            return drafted
        if method != "GET" and path != SUBJECT_ACCESS_REVIEWS.path():
            raise Forbidden(
                f"{method} {path}: a plan writes nothing", status=403, reason="Forbidden"
            )
        async with self._slots:
            return await self._base.request(method, path, **options)

    def stream(
        self, path: str, **options: Any
    ) -> AbstractAsyncContextManager[AsyncIterator[bytes]]:
        """Watch what is beneath."""
        return self._base.stream(path, **options)

    async def find(self, place: NamespacedName) -> Document | None:
        """The whole ConfigMap at a place; None where there is none."""
        try:
            answer = await self.request("GET", CONFIGMAPS.path(*place))
        except NotFound:
            return None
        return decode_object(answer, str(place))

    def put(self, place: NamespacedName, document: Document | None) -> None:
        """From now on, this stands there; None: nothing does."""
        self._drafted[CONFIGMAPS.path(*place)] = (
            None if document is None else msgspec.json.encode(document)
        )
