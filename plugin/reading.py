"""Read from a cluster what the commands show: syncs, copies, namespaces, ConfigMaps.

Lists come in pages bounded by bytes and are reduced to records on arrival, so that a
large cluster costs little memory. Of a list of ConfigMaps only metadata is read. This
module must not write.
"""

import random
from collections.abc import Callable, Mapping
from typing import TypeVar

import msgspec

from cluster.namespaces import NAMESPACES_PATH, read_namespace
from cluster.syncs import CONFIGMAPSYNCS, SyncRecord, read_sync
from configmapsync.names import (
    MANAGED_BY_LABEL,
    MANAGED_BY_VALUE,
    PROTECTED_NAMESPACES,
    NamespacedName,
)
from configmapsync.selection import Namespace
from kube.client import CONFIGMAPS, JSON, METADATA, NAMESPACES, ApiServer, Client
from kube.errors import NotFound
from kube.indexer import Record
from kube.informer import Informer
from plugin.cluster import MissingApiError
from plugin.network import CopyMark, read_mark
from plugin.progress import Progress

MANAGED = f"{MANAGED_BY_LABEL}={MANAGED_BY_VALUE}"
R = TypeVar("R", bound=Record)


class Reader:
    """Reads objects of one cluster, and reports to a progress line."""

    def __init__(self, connection: ApiServer, progress: Progress) -> None:
        """Read nothing yet; `progress` shows the present step."""
        self.client = Client(connection)
        self.progress = progress
        self._connection = connection

    async def syncs(self, namespace: str = "") -> list[SyncRecord]:
        """Return the syncs of one namespace, or of all, sorted by namespace and name.

        Raises:
            MissingApiError: the cluster does not serve ConfigMapSyncs.
            ApiError: they could not be read.
        """
        self.progress.step("reading ConfigMapSyncs")
        informer = self.sync_informer(namespace)
        try:
            await informer.read_once()
        except NotFound as error:
            raise MissingApiError from error
        return sorted(informer.values(), key=lambda record: record.key)

    def sync_informer(self, namespace: str = "") -> Informer[SyncRecord]:
        """Return an informer of the syncs of one namespace, or of all, which has not started."""
        path = CONFIGMAPSYNCS.path(namespace)
        return self._informer(path, lambda raw: read_sync(raw, PROTECTED_NAMESPACES))

    async def sync(self, key: NamespacedName) -> SyncRecord | None:
        """Return one sync; None if it does not exist.

        Raises:
            MissingApiError: the cluster does not serve ConfigMapSyncs.
            ApiError: it could not be read.
        """
        self.progress.step(f"reading ConfigMapSync {key}")
        try:
            raw = await self.client.get(CONFIGMAPSYNCS, *key)
        except NotFound as error:
            if key.name not in error.message:
                raise MissingApiError from error
            return None
        return read_sync(raw, PROTECTED_NAMESPACES)

    async def namespaces(self) -> dict[str, Namespace]:
        """Return all namespaces by name.

        Raises:
            ApiError: they could not be read.
        """
        self.progress.step("reading namespaces")
        informer = self._informer(NAMESPACES_PATH, read_namespace, accept=METADATA)
        await informer.read_once()
        return {record.name: record.view for record in informer.values()}

    async def copies(self) -> list[CopyMark]:
        """Return the marks of all copies in the cluster, sorted; only metadata is read.

        Raises:
            ApiError: they could not be read.
        """
        self.progress.step("reading the metadata of copies")
        informer = self._informer(
            CONFIGMAPS.path(), read_mark, accept=METADATA, params={"labelSelector": MANAGED}
        )
        await informer.read_once()
        return sorted(informer.values(), key=lambda copy: copy.key)

    async def namespace(self, name: str) -> Namespace | None:
        """Return one namespace; None if it does not exist.

        Raises:
            ApiError: it could not be read.
        """
        try:
            return read_namespace(
                await self.client.get(NAMESPACES, "", name, metadata_only=True)
            ).view
        except NotFound:
            return None

    async def configmap(self, key: NamespacedName) -> bytes | None:
        """Return one ConfigMap in JSON; None if it does not exist.

        Raises:
            ApiError: it could not be read.
        """
        self.progress.step(f"reading ConfigMap {key}")
        try:
            return await self.client.get(CONFIGMAPS, *key)
        except NotFound:
            return None

    def _informer(
        self,
        path: str,
        decode: Callable[[msgspec.Raw], R],
        *,
        accept: str = JSON,
        params: Mapping[str, str] | None = None,
    ) -> Informer[R]:
        rng = random.Random()  # noqa: S311 - jitter between retries
        informer: Informer[R] = Informer(
            self._connection, path, decode=decode, rng=rng, params=params, accept=accept
        )
        informer.on_change(lambda _old, _new: self.progress.did())
        return informer
