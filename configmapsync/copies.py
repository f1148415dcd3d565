"""Read the marks of a copy: labels and annotations that a sync writes to each copy.

`planning.py` compares these records with what `rendering.py` makes, and the reconciler
caches them. A mark is a claim of its author and may be forged: only `planning.owns`
decides what a sync may change.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from configmapsync.content import hash_of
from configmapsync.names import (
    ADOPTED,
    APPLIED_METADATA,
    DELETION_POLICY,
    DESTINATION,
    MANAGED_BY_LABEL,
    MANAGED_BY_VALUE,
    MARKS,
    MARKS_OF,
    RELEASED_BY,
    REPLACED,
    SYNC_UID_LABEL,
    SYNCED_BY,
    NamespacedName,
)
from configmapsync.spec import DeletionPolicy

# More characters of metadata are not cached: other tools can put 256 KiB of annotations on a copy.
KEPT_METADATA = 4096
LONGEST_MARK = 1024  # characters; "namespace/name" has at most 317


@dataclass(frozen=True)
class CopyRecord:
    """A ConfigMap that is a copy or has the name of one, without its content.

    Attributes:
        namespace: of the ConfigMap.
        name: of the ConfigMap.
        uid: of the ConfigMap.
        resource_version: the version that was read.
        digest: the hash of its content.
        labels: all labels; only the marks if `applied` is set.
        annotations: all annotations; only the marks if `applied` is set.
        immutable: whether the API server refuses changes of the content.
        deleting: whether it has a deletion timestamp.
        others: other metadata that a PUT must repeat (finalizers, ownerReferences, generateName).
        applied: set if the metadata was too large to cache: the hash of the labels and
            annotations that a sync put on the copy. A write must read the object again.
    """

    namespace: str
    name: str
    uid: str
    resource_version: str
    digest: str
    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    immutable: bool
    deleting: bool
    others: Mapping[str, Any]
    applied: str | None = None

    @property
    def key(self) -> NamespacedName:
        """Return the namespace and name of the ConfigMap."""
        return NamespacedName(self.namespace, self.name)

    @property
    def parts(self) -> dict[str, Mapping[str, str]]:
        """Return the labels and annotations as a map with the keys `labels` and `annotations`."""
        return {"labels": self.labels, "annotations": self.annotations}

    @property
    def managed(self) -> bool:
        """Return whether the ConfigMap has the marks of a copy of any sync."""
        return self.labels.get(MANAGED_BY_LABEL) == MANAGED_BY_VALUE and bool(self.sync_uid)

    @property
    def sync_uid(self) -> str:
        """Return the UID of the sync that wrote the copy; empty without that mark."""
        return self.labels.get(SYNC_UID_LABEL, "")

    @property
    def synced_by(self) -> NamespacedName | None:
        """Return the sync that wrote the copy; None without that mark."""
        return NamespacedName.parse(self.annotations.get(SYNCED_BY))

    @property
    def destination(self) -> NamespacedName | None:
        """Return the key that the sync wrote to.

        None without that mark: an older version wrote the copy, or another client removed it.
        """
        return NamespacedName.parse(self.annotations.get(DESTINATION))

    @property
    def cloned(self) -> bool:
        """Return whether another client made this ConfigMap from a copy, including its marks."""
        return self.destination not in {None, self.key}

    @property
    def adopted(self) -> bool:
        """Return whether the ConfigMap existed before the sync took it over."""
        return self.annotations.get(ADOPTED) == "true"

    @property
    def released_by(self) -> NamespacedName | None:
        """Return the sync that released the copy and may take it back; None for a clone."""
        sync, _, destination = self.annotations.get(RELEASED_BY, "").partition(" ")
        return NamespacedName.parse(sync) if destination == str(self.key) else None

    @property
    def deletion_policy(self) -> DeletionPolicy:
        """Return what to do with the copy if its sync is gone; Orphan if the mark is unreadable."""
        mark = self.annotations.get(DELETION_POLICY)
        return DeletionPolicy.DELETE if mark == DeletionPolicy.DELETE else DeletionPolicy.ORPHAN


def abridge(record: CopyRecord) -> CopyRecord:
    """Return the record to cache: with only its marks if its metadata is too large."""
    size = sum(
        len(key) + len(value) for part in record.parts.values() for key, value in part.items()
    )
    if size + len(repr(record.others)) <= KEPT_METADATA:
        return record
    return marks_only(record)


def marks_only(record: CopyRecord) -> CopyRecord:
    """Return the record with only its marks; a hash replaces the metadata that a sync applied."""
    keys = applied_keys(record)
    applied = {
        part: {key: value for key, value in present.items() if key in keys[part]}
        for part, present in record.parts.items()
    }
    return replace(
        record,
        labels=readable_marks(record.labels),
        annotations=readable_marks(record.annotations),
        others={},
        applied=applied_hash(**applied),
    )


def readable_marks(present: Mapping[str, str]) -> dict[str, str]:
    """Return the marks that a plan reads, without those that are too long to be genuine."""
    return {
        key: value
        for key, value in present.items()
        if key in MARKS and key not in {APPLIED_METADATA, REPLACED} and len(value) <= LONGEST_MARK
    }


def without_marks(present: Mapping[str, str]) -> dict[str, str]:
    """Return the labels or annotations that are no marks."""
    return {key: value for key, value in present.items() if key not in MARKS}


def applied_keys(record: CopyRecord) -> dict[str, frozenset[str]]:
    """Return the keys that a sync applied, for labels and annotations; none if unreadable."""
    try:
        applied = json.loads(record.annotations.get(APPLIED_METADATA, "{}"))
        return {part: frozenset(applied.get(part, ())) for part in MARKS_OF}
    except (ValueError, AttributeError, TypeError, RecursionError):
        return dict.fromkeys(MARKS_OF, frozenset())


def applied_hash(labels: Mapping[str, str], annotations: Mapping[str, str]) -> str:
    """Return the hash of the labels and annotations that a sync applies."""
    return hash_of(b"applied", labels, annotations)
