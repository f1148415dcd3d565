"""Fill an inventory from a cluster.

`plugin/commands/import_.py` calls it. Lists carry metadata only. Of a ConfigMap that
pulls its content, the keys are read one object at a time; no value is decoded. This
module must not write.
"""

from collections.abc import Mapping
from dataclasses import replace

import msgspec

from configmapsync.names import MANAGED_BY_LABEL, NamespacedName
from kube.client import CONFIGMAPS, SECRETS
from kube.errors import Forbidden
from kube.wire import PartialObject, decode_as
from plugin.peers import config_syncer, replicator
from plugin.peers.documents import PREFIXES
from plugin.peers.inventory import AnnotatedConfigMap, Inventory, Remark, of_other_kind
from plugin.reading import MissingApiError, Reader, keys_of

PARALLEL_READS = 16
NO_TEXTS: Mapping[str, str] = {}


async def read(reader: Reader) -> Inventory:
    """Return the ConfigMaps, namespaces and syncs of a cluster.

    Without the CRD there are no syncs. Without the right to list Secrets, a remark says so.

    Raises:
        ApiError: another object could not be read.
    """
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
    reader.progress.step("reading ConfigMaps")
    records = await reader.metadata(CONFIGMAPS.path(), _read_record)
    inventory.configmaps = {record.key: record for record in records}
    await _read_secrets(reader, inventory)
    await _read_keys(reader, inventory)
    return inventory


def _read_record(raw: bytes | msgspec.Raw) -> AnnotatedConfigMap:
    """Return the record of an object, with its labels and annotations if a tool set one."""
    metadata = decode_as(raw, PartialObject, "the object").metadata
    labels, annotations = metadata.labels or NO_TEXTS, metadata.annotations or NO_TEXTS
    if not any(key.startswith(PREFIXES) for key in (*labels, *annotations)):
        managed_by = labels.get(MANAGED_BY_LABEL)
        labels = {MANAGED_BY_LABEL: managed_by} if managed_by else NO_TEXTS
        annotations = NO_TEXTS
    return AnnotatedConfigMap(
        metadata.namespace,
        metadata.name,
        labels,
        annotations,
        resource_version=metadata.resource_version,
    )


async def _read_secrets(reader: Reader, inventory: Inventory) -> None:
    """Add remarks about the annotated Secrets, which no sync can copy."""
    reader.progress.step("reading the metadata of Secrets")
    try:
        records = await reader.metadata(SECRETS.path(), _read_record)
    except Forbidden:
        text = "were not read, because the right to list them is missing"
        inventory.remarks.append(Remark("Secrets", text))
        return
    inventory.remarks += [
        of_other_kind("Secret", record.key)
        for record in records
        if any(key.startswith(PREFIXES) for key in record.annotations)
        and config_syncer.ORIGIN not in record.annotations
    ]


async def _read_keys(reader: Reader, inventory: Inventory) -> None:
    """Read the keys of each ConfigMap that pulls its content, and of its source."""
    targets = [one for one in inventory.configmaps.values() if replicator.FROM in one.annotations]
    sources = (NamespacedName.parse(one.annotations[replicator.FROM].strip()) for one in targets)
    wanted = {one.key for one in targets} | {key for key in sources if key is not None}

    async def read_one(key: NamespacedName) -> None:
        if (answer := await reader.get(CONFIGMAPS, *key)) is not None:
            known = inventory.configmaps[key]
            inventory.configmaps[key] = replace(known, keys=keys_of(answer))

    present = sorted(wanted & inventory.configmaps.keys())
    await reader.each("reading the keys of ConfigMaps", read_one, present, PARALLEL_READS)
