"""Read from a cluster what the commands show: syncs, copies, namespaces, ConfigMaps.

`cluster.py` gives a `Reader` to the work of each command. Lists come in pages bounded
by bytes and are reduced to records on arrival, of ConfigMaps only the metadata, so that
a large cluster costs little memory. This module must not write.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
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
from kube.client import CONFIGMAPS, JSON, METADATA, NAMESPACES, ApiServer, Client, Kind, all_of
from kube.errors import NotFound
from kube.informer import Informer
from kube.store import Record
from kube.wire import decode_as
from plugin.network import Network, read_mark
from plugin.progress import Progress

MANAGED = f"{MANAGED_BY_LABEL}={MANAGED_BY_VALUE}"
R = TypeVar("R", bound=Record)
Item = TypeVar("Item")
Result = TypeVar("Result")


class MissingApiError(Exception):
    """The cluster does not serve ConfigMapSyncs."""


class _Keys(msgspec.Struct, rename="camel"):
    """The keys of a ConfigMap. The values stay undecoded."""

    data: dict[str, msgspec.Raw] | None = None
    binary_data: dict[str, msgspec.Raw] | None = None


def keys_of(configmap: bytes) -> frozenset[str]:
    """Return the keys of a ConfigMap in JSON; no value is decoded.

    Raises:
        Malformed: the ConfigMap cannot be decoded.
    """
    content = decode_as(configmap, _Keys, "the ConfigMap")
    return frozenset((*(content.data or ()), *(content.binary_data or ())))


class Reader:
    """Reads objects of one cluster, and reports to a progress line.

    Every method raises `ApiError` if the API server does not answer as expected.
    """

    def __init__(self, connection: ApiServer, progress: Progress) -> None:
        """Read nothing yet; `progress` shows the present step."""
        self.connection = connection
        self.client = Client(connection)
        self.progress = progress

    async def syncs(self, namespace: str = "") -> list[SyncRecord]:
        """Return the syncs of one namespace, or of all, sorted by namespace and name.

        Raises:
            MissingApiError: the cluster does not serve ConfigMapSyncs.
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
        return self._informer(path, lambda raw: read_sync(raw, PROTECTED_NAMESPACES), JSON)

    async def sync(self, key: NamespacedName) -> SyncRecord | None:
        """Return one sync; None if it does not exist.

        Raises:
            MissingApiError: the cluster does not serve ConfigMapSyncs.
        """
        self.progress.step(f"reading ConfigMapSync {key}")
        try:
            raw = await self.client.get(CONFIGMAPSYNCS, *key)
        except NotFound as error:
            # The API server names the object unless it does not serve the resource at all.
            if key.name not in error.message:
                raise MissingApiError from error
            return None
        return read_sync(raw, PROTECTED_NAMESPACES)

    async def namespaces(self) -> dict[str, Namespace]:
        """Return all namespaces by name."""
        self.progress.step("reading namespaces")
        records = await self.metadata(NAMESPACES_PATH, read_namespace)
        return {record.name: record.view for record in records}

    async def network(self) -> Network:
        """Return all syncs, and all copies by their metadata.

        Raises:
            MissingApiError: the cluster does not serve ConfigMapSyncs.
        """
        syncs = await self.syncs()
        self.progress.step("reading the metadata of copies")
        marks = await self.metadata(CONFIGMAPS.path(), read_mark, {"labelSelector": MANAGED})
        return Network(syncs, marks)

    async def get(
        self, kind: Kind, namespace: str, name: str, *, metadata_only: bool = False
    ) -> bytes | None:
        """Return one object, or only its metadata, in JSON; None if it does not exist."""
        try:
            return await self.client.get(kind, namespace, name, metadata_only=metadata_only)
        except NotFound:
            return None

    async def namespace(self, name: str) -> Namespace | None:
        """Return one namespace; None if it does not exist."""
        raw = await self.get(NAMESPACES, "", name, metadata_only=True)
        return read_namespace(raw).view if raw else None

    async def configmap(self, key: NamespacedName) -> bytes | None:
        """Return one ConfigMap in JSON; None if it does not exist."""
        self.progress.step(f"reading ConfigMap {key}")
        return await self.get(CONFIGMAPS, *key)

    async def each(
        self,
        step: str,
        work: Callable[[Item], Awaitable[Result]],
        items: Iterable[Item],
        limit: int,
    ) -> list[Result]:
        """Return the result of the work on each item, in the order of the items.

        Args:
            step: what the progress line shows, with the number of finished items.
            work: reads or asks something about one item.
            items: what to work on.
            limit: how many items are worked on at the same time.
        """
        self.progress.step(step)
        slots = asyncio.Semaphore(limit)

        async def with_slot(item: Item) -> Result:
            async with slots:
                result = await work(item)
            self.progress.did()
            return result

        return await all_of(map(with_slot, items))

    async def metadata(
        self,
        path: str,
        decode: Callable[[msgspec.Raw], R | None],
        params: Mapping[str, str] | None = None,
    ) -> Iterator[R]:
        """Return a record of each object of a collection, made from its metadata.

        Args:
            path: of the collection.
            decode: makes a record of a PartialObjectMetadata; None for one that is left out.
            params: of the list, such as `labelSelector`.
        """
        informer = self._informer(path, decode, METADATA, params)
        await informer.read_once()
        return informer.values()

    def _informer(
        self,
        path: str,
        decode: Callable[[msgspec.Raw], R | None],
        accept: str,
        params: Mapping[str, str] | None = None,
    ) -> Informer[R]:
        rng = random.Random()  # noqa: S311 - jitter between retries
        informer: Informer[R] = Informer(
            self.connection, path, decode=decode, rng=rng, params=params, accept=accept
        )
        informer.on_change(lambda _old, _new: self.progress.did())
        return informer
