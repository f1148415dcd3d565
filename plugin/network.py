"""Connect sources, syncs and copies: which ConfigMap is copied where, in which state.

`reading.py` builds it from statuses and the marks of copies, so no content is read;
`tree`, `graph` and `doctor` walk through it. Nothing here reads a cluster.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping

import msgspec

from cluster.syncs import SyncRecord
from configmapsync.names import DESTINATION, DIGEST, SYNC_UID_LABEL, SYNCED_BY, NamespacedName
from configmapsync.reasons import Reason
from kube.wire import PartialObject, check_stored, decode_as
from plugin.rows import row_of

ORPHANED = "Orphaned"
SOURCE = "Source"


class CopyMark(msgspec.Struct, frozen=True):
    """The marks of a copy.

    Attributes:
        namespace: of the copy.
        name: of the copy.
        resource_version: the version that was read.
        sync_uid: of the sync that wrote it.
        synced_by: that sync; empty without the mark.
        digest: of the content that the sync wrote.
    """

    namespace: str
    name: str
    resource_version: str
    sync_uid: str
    synced_by: str
    digest: str

    @property
    def key(self) -> NamespacedName:
        """Return the namespace and name of the copy."""
        return NamespacedName(self.namespace, self.name)


def read_mark(raw: bytes | msgspec.Raw) -> CopyMark | None:
    """Return the marks of a copy; None for a clone of a copy, or without the UID of a sync.

    Args:
        raw: the ConfigMap, or its metadata as a PartialObjectMetadata, in JSON.

    Raises:
        Malformed: the metadata cannot be decoded.
    """
    metadata = decode_as(raw, PartialObject, "the ConfigMap").metadata
    check_stored(metadata.name, metadata.resource_version, "the ConfigMap")
    labels, annotations = metadata.labels or {}, metadata.annotations or {}
    mark = CopyMark(
        namespace=metadata.namespace,
        name=metadata.name,
        resource_version=metadata.resource_version,
        sync_uid=labels.get(SYNC_UID_LABEL, ""),
        synced_by=annotations.get(SYNCED_BY, ""),
        digest=annotations.get(DIGEST, ""),
    )
    key = f"{mark.namespace}/{mark.name}"
    cloned = annotations.get(DESTINATION, key) != key
    return mark if mark.sync_uid and not cloned else None


class Network:
    """All syncs and copies, by what leads to what.

    Attributes:
        syncs: by key.
        rows: what `status` shows of each sync, by the key of the sync.
        readers: the syncs that have a ConfigMap as their source, by its key.
        owners: the sync of a copy, by the key of the copy. It has the UID that the copy names,
            or else the name, because a sync that was created again takes its copies back.
        orphans: the keys of the copies without an owner.
        destinations: by the key of the sync, the state of each copy and failed destination,
            sorted by key.
        states: of each source, copy and failed destination: a reason word, `Source` or `Orphaned`.
    """

    def __init__(self, syncs: Iterable[SyncRecord], copies: Iterable[CopyMark]) -> None:
        """Connect syncs and copies."""
        self.syncs = {record.key: record for record in syncs}
        self.rows = {key: row_of(record) for key, record in self.syncs.items()}
        self.readers: dict[NamespacedName, list[SyncRecord]] = defaultdict(list)
        for record in self.syncs.values():
            if record.sync is not None:
                self.readers[record.sync.source].append(record)
        self.owners: dict[NamespacedName, SyncRecord] = {}
        self.orphans: list[NamespacedName] = []
        digests: dict[NamespacedName, dict[NamespacedName, str]] = defaultdict(dict)
        by_uid = {record.metadata.uid: record for record in self.syncs.values()}
        by_name = {str(key): record for key, record in self.syncs.items()}
        for copy in copies:
            key = copy.key
            owner = by_uid.get(copy.sync_uid) or by_name.get(copy.synced_by)
            if owner is None:
                self.orphans.append(key)
            else:
                self.owners[key] = owner
                digests[owner.key][key] = copy.digest
        self.states: dict[NamespacedName, str] = {}
        self.destinations = {
            key: self._destinations(record, digests[key]) for key, record in self.syncs.items()
        }
        self._add_other_states()

    def _destinations(
        self, record: SyncRecord, digests: Mapping[NamespacedName, str]
    ) -> dict[NamespacedName, str]:
        """Return the states of the destinations of a sync; add those of its copies to `states`."""
        status, row = record.status, self.rows[record.key]
        failed = {each.namespace: each.reason for each in row.failures}
        current = status.source.digest if status and status.source else ""
        suspended = row.state == Reason.SUSPENDED
        pending = Reason.SUSPENDED if suspended else Reason.PROGRESSING
        found: dict[NamespacedName, str] = {}
        for key, digest in digests.items():
            state = Reason.SYNCED if current and digest == current else pending
            found[key] = failed.get(key.namespace, str(state))
        self.states |= found
        if record.sync is not None:
            for namespace, word in failed.items():
                found.setdefault(NamespacedName(namespace, record.sync.destination_name), word)
        return {key: found[key] for key in sorted(found)}

    def _add_other_states(self) -> None:
        """Add the states of ConfigMaps that are no copies."""
        for orphan in self.orphans:
            self.states.setdefault(orphan, ORPHANED)
        for source, readers in self.readers.items():
            rows = (self.rows[reader.key] for reader in readers)
            missing = any(row.state == Reason.SOURCE_NOT_FOUND for row in rows)
            self.states.setdefault(source, str(Reason.SOURCE_NOT_FOUND) if missing else SOURCE)
        for destinations in self.destinations.values():
            for key, state in destinations.items():
                self.states.setdefault(key, state)

    def origin(self, key: NamespacedName) -> list[NamespacedName]:
        """Return the chain of ConfigMaps from the first source to `key`; a loop ends it."""
        chain, met = [key], {key}
        while (owner := self.owners.get(chain[-1])) is not None and owner.sync is not None:
            source = owner.sync.source
            if source in met:
                break
            met.add(source)
            chain.append(source)
        return chain[::-1]
