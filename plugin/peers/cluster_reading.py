"""Fill an inventory from a cluster.

`plugin/commands/import_.py` calls it. Lists carry metadata only. Of a ConfigMap that
pulls its content, the keys are read one object at a time; no value is decoded. This
module must not write.
"""

import asyncio
import random
from collections.abc import Iterable, Mapping

import msgspec

from configmapsync.names import MANAGED_BY_LABEL, NamespacedName
from kube.client import CONFIGMAPS, METADATA, SECRETS, ApiServer, Kind, all_of
from kube.errors import Forbidden, NotFound
from kube.informer import Informer
from kube.wire import decode_partial, decoding
from plugin.cluster import MissingApiError
from plugin.peers import config_syncer, replicator
from plugin.peers.documents import PREFIXES
from plugin.peers.inventory import AnnotatedObject, Inventory, Remark
from plugin.progress import Progress
from plugin.reading import Reader

PARALLEL_READS = 16
NO_TEXTS: Mapping[str, str] = {}


class _Record(msgspec.Struct):
    namespace: str
    name: str
    resource_version: str
    labels: Mapping[str, str]
    annotations: Mapping[str, str]


class _Keys(msgspec.Struct, rename="camel"):
    """The keys of a ConfigMap. The values stay undecoded."""

    data: dict[str, msgspec.Raw] | None = None
    binary_data: dict[str, msgspec.Raw] | None = None


_keys_decoder = msgspec.json.Decoder(_Keys)


async def read(connection: ApiServer, progress: Progress) -> tuple[Inventory, list[Remark]]:
    """Return the ConfigMaps, namespaces and syncs of a cluster, and what could not be read.

    Raises:
        ApiError: namespaces or ConfigMaps could not be read.
    """
    reader = Reader(connection, progress)
    inventory = Inventory(namespaces=await reader.namespaces())
    try:
        syncs = await reader.syncs()
    except MissingApiError:
        syncs = []  # the operator is not installed yet
    inventory.syncs = {
        record.key: (record.sync.source, record.sync.destination_name)
        for record in syncs
        if record.sync is not None
    }
    progress.step("reading ConfigMaps")
    for record in await _list(connection, CONFIGMAPS, progress):
        key = NamespacedName(record.namespace, record.name)
        inventory.configmaps[key] = AnnotatedObject(
            "ConfigMap", key, record.labels, record.annotations
        )
    remarks = await _read_secrets(connection, inventory, progress)
    progress.step("reading the keys of ConfigMaps")
    await _read_keys(reader, inventory)
    return inventory, remarks


async def _list(connection: ApiServer, kind: Kind, progress: Progress) -> Iterable[_Record]:
    rng = random.Random()  # noqa: S311 - jitter between retries
    informer: Informer[_Record] = Informer(
        connection, kind.path(), decode=_read_record, rng=rng, accept=METADATA
    )
    informer.on_change(lambda _old, _new: progress.did())
    await informer.read_once()
    return informer.values()


def _read_record(raw: bytes | msgspec.Raw) -> _Record:
    """Return the record of an object; labels and annotations only if a tool set one of them."""
    with decoding("the object"):
        metadata = decode_partial(raw).metadata
    labels, annotations = metadata.labels or {}, metadata.annotations or {}
    if not any(key.startswith(PREFIXES) for key in (*labels, *annotations)):
        managed_by = labels.get(MANAGED_BY_LABEL)
        labels, annotations = ({MANAGED_BY_LABEL: managed_by} if managed_by else {}), {}
    return _Record(
        metadata.namespace,
        metadata.name,
        metadata.resource_version,
        labels or NO_TEXTS,
        annotations or NO_TEXTS,
    )


async def _read_secrets(
    connection: ApiServer, inventory: Inventory, progress: Progress
) -> list[Remark]:
    """Add the annotated Secrets, which no sync can copy."""
    progress.step("reading the metadata of Secrets")
    try:
        records = await _list(connection, SECRETS, progress)
    except Forbidden:
        return [Remark("Secrets", "were not read, because the right to list them is missing")]
    inventory.others += [
        AnnotatedObject("Secret", NamespacedName(record.namespace, record.name), {}, NO_TEXTS)
        for record in records
        if any(key.startswith(PREFIXES) for key in record.annotations)
        and config_syncer.ORIGIN not in record.annotations
    ]
    return []


async def _read_keys(reader: Reader, inventory: Inventory) -> None:
    """Read the keys of each ConfigMap that pulls its content, and of its source."""
    targets = [one for one in inventory.configmaps.values() if replicator.FROM in one.annotations]
    sources = (NamespacedName.parse(one.annotations[replicator.FROM].strip()) for one in targets)
    wanted = {one.key for one in targets} | {key for key in sources if key is not None}
    slots = asyncio.Semaphore(PARALLEL_READS)

    async def read_one(key: NamespacedName) -> None:
        async with slots:
            try:
                answer = await reader.client.get(CONFIGMAPS, *key)
            except NotFound:
                return
        with decoding("the ConfigMap"):
            content = _keys_decoder.decode(answer)
        known = inventory.configmaps[key]
        keys = frozenset((*(content.data or ()), *(content.binary_data or ())))
        inventory.configmaps[key] = AnnotatedObject(
            known.kind, key, known.labels, known.annotations, keys
        )

    await all_of(read_one(key) for key in sorted(wanted) if key in inventory.configmaps)
