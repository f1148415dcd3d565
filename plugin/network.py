"""Connect sources, syncs and copies: which ConfigMap is copied where, in which state.

`tree` and `graph` walk through it. It is built from statuses and from the marks of
copies, so no content is read. Nothing here reads a cluster.
"""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

import msgspec

from cluster.syncs import SyncRecord
from configmapsync.names import DESTINATION, DIGEST, SYNC_UID_LABEL, SYNCED_BY, NamespacedName
from configmapsync.reasons import Reason
from kube.wire import check_stored, decode_partial, decoding
from plugin.rows import StatusRow, row_of

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
        digest: the digest that the sync noted.
        cloned: whether another client made the ConfigMap from a copy.
    """

    namespace: str
    name: str
    resource_version: str
    sync_uid: str
    synced_by: str
    digest: str
    cloned: bool

    @property
    def key(self) -> NamespacedName:
        """Return the namespace and name of the copy."""
        return NamespacedName(self.namespace, self.name)


def read_mark(raw: bytes | msgspec.Raw) -> CopyMark:
    """Return the marks of a copy.

    Args:
        raw: the ConfigMap, or its metadata as a PartialObjectMetadata, in JSON.

    Raises:
        Malformed: the metadata cannot be decoded.
    """
    with decoding("the ConfigMap"):
        metadata = decode_partial(raw).metadata
    check_stored(metadata.name, metadata.resource_version, "the ConfigMap")
    labels, annotations = metadata.labels or {}, metadata.annotations or {}
    key = f"{metadata.namespace}/{metadata.name}"
    return CopyMark(
        namespace=metadata.namespace,
        name=metadata.name,
        resource_version=metadata.resource_version,
        sync_uid=labels.get(SYNC_UID_LABEL, ""),
        synced_by=annotations.get(SYNCED_BY, ""),
        digest=annotations.get(DIGEST, ""),
        cloned=annotations.get(DESTINATION, key) != key,
    )


@dataclass(frozen=True, slots=True)
class Destination:
    """A ConfigMap that a sync writes, or should write.

    Attributes:
        key: the ConfigMap.
        state: the reason word.
    """

    key: NamespacedName
    state: str


class Network:
    """All syncs and copies, by what leads to what."""

    def __init__(self, syncs: Iterable[SyncRecord], copies: Iterable[CopyMark]) -> None:
        self.syncs = {record.key: record for record in syncs}
        self._by_uid = {record.metadata.uid: record for record in self.syncs.values()}
        self._readers: dict[NamespacedName, list[SyncRecord]] = defaultdict(list)
        for record in self.syncs.values():
            if record.sync is not None:
                self._readers[record.sync.source].append(record)
        self.orphans: list[CopyMark] = []
        self._owners: dict[NamespacedName, SyncRecord] = {}
        self._copies: dict[NamespacedName, list[CopyMark]] = defaultdict(list)
        for copy in copies:
            self._add(copy)
        self._destinations: dict[NamespacedName, list[Destination]] = {}
        self._states: dict[NamespacedName, str] = {}
        self._rows: dict[NamespacedName, StatusRow] = {}

    def _add(self, copy: CopyMark) -> None:
        """Add a copy to its sync: by UID, or by name if no sync has the UID."""
        if copy.cloned or not copy.sync_uid:
            return
        named = NamespacedName.parse(copy.synced_by)
        owner = self._by_uid.get(copy.sync_uid) or (self.syncs.get(named) if named else None)
        if owner is None:
            self.orphans.append(copy)
            return
        self._owners[copy.key] = owner
        self._copies[owner.key].append(copy)

    def owner(self, key: NamespacedName) -> SyncRecord | None:
        """Return the sync that writes a copy; None if the ConfigMap is no copy."""
        return self._owners.get(key)

    def copy_state(self, key: NamespacedName) -> str | None:
        """Return the state of a copy; None if the ConfigMap is no copy."""
        owner = self.owner(key)
        if owner is None:
            return None
        self.destinations(owner)
        return self._states[key]

    def row(self, record: SyncRecord) -> StatusRow:
        """Return the row of a sync; its status is parsed once."""
        if record.key not in self._rows:
            self._rows[record.key] = row_of(record)
        return self._rows[record.key]

    def is_missing(self, source: NamespacedName) -> bool:
        """Return whether a sync reports that its source does not exist."""
        return any(
            self.row(reader).state == Reason.SOURCE_NOT_FOUND for reader in self.readers(source)
        )

    def readers(self, key: NamespacedName) -> list[SyncRecord]:
        """Return the syncs whose source is a ConfigMap."""
        return self._readers.get(key, [])

    def destinations(self, record: SyncRecord) -> list[Destination]:
        """Return the copies of a sync and its failed destinations, sorted."""
        if record.key not in self._destinations:
            self._destinations[record.key] = self._find_destinations(record)
        return self._destinations[record.key]

    def _find_destinations(self, record: SyncRecord) -> list[Destination]:
        status = record.status
        failed = {each.namespace: each.reason for each in status.failures} if status else {}
        digest = status.source.digest if status and status.source else ""
        suspended = self.row(record).state == Reason.SUSPENDED
        pending = str(Reason.SUSPENDED if suspended else Reason.PROGRESSING)
        found = {}
        for copy in self._copies.get(record.key, ()):
            current = str(Reason.SYNCED) if digest and copy.digest == digest else pending
            found[copy.key] = failed.get(copy.namespace, current)
        self._states |= found
        if record.sync is not None:
            for namespace, word in failed.items():
                found.setdefault(NamespacedName(namespace, record.sync.destination_name), word)
        return [Destination(key, found[key]) for key in sorted(found)]

    def origin(self, key: NamespacedName) -> list[NamespacedName]:
        """Return the chain of ConfigMaps from the first source to `key`; a loop ends it."""
        chain, met = [key], {key}
        while (owner := self.owner(chain[-1])) is not None and owner.sync is not None:
            source = owner.sync.source
            if source in met:
                break
            met.add(source)
            chain.append(source)
        return chain[::-1]

    def knows(self, key: NamespacedName) -> bool:
        """Return whether a ConfigMap is a source, a copy or a failed destination."""
        if key in self._owners or key in self._readers:
            return True
        return any(copy.key == key for copy in self.orphans) or any(
            destination.key == key
            for record in self.syncs.values()
            if record.sync and record.sync.destination_name == key.name
            for destination in self.destinations(record)
        )
