"""What a copy is: the content it must have, the marks by which it is ours, and the whole object to write.

`planning.py` compares records of live copies with a template made here; the reconciler's writer sends what `render` returns.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from configmapsync.globs import Globs, is_glob
from configmapsync.names import (
    ADOPTED,
    APPLIED_METADATA,
    DELETION_POLICY,
    DESTINATION,
    DIGEST,
    MANAGED_BY_LABEL,
    MANAGED_BY_VALUE,
    MARK_ANNOTATIONS,
    MARK_LABELS,
    MARKS,
    RELEASED_BY,
    REPLACED,
    SOURCE,
    SYNC_UID_LABEL,
    SYNCED_BY,
    NamespacedName,
    is_own_key,
    is_reserved_key,
)
from configmapsync.resource import ConfigMapSync, DeletionPolicy, KeySelection

# Metadata beyond this many characters is not cached: other tools can put 256 KiB of annotations on every copy.
KEPT_METADATA = 4096
# A ConfigMap of 1.5 MB can have 190,000 keys, and hashing them took 140 ms. A source with more keys than this is not
# copied. Renames can give a copy more keys than its source has, but never twice as many.
MOST_SOURCE_KEYS = 16_384
TOO_MANY_KEYS = "sha256:too-many-keys"  # equals the digest of no template
LONGEST_MARK = 1024  # characters; "namespace/name" has at most 317


@dataclass(frozen=True, slots=True)
class Content:
    """The part of a ConfigMap that a copy repeats exactly; `binary_data` holds base64 text as on the wire."""

    data: Mapping[str, str]
    binary_data: Mapping[str, str]
    immutable: bool = False

    @property
    def keys(self) -> frozenset[str]:
        """The keys of both parts."""
        return frozenset((*self.data, *self.binary_data))

    @property
    def key_count(self) -> int:
        """The number of keys of both parts."""
        return len(self.data) + len(self.binary_data)


@dataclass(frozen=True, slots=True)
class SourceObject:
    """A source as it was read.

    Attributes:
        key: the place of the ConfigMap.
        uid: of the ConfigMap.
        resource_version: the version that was read.
        content: what copies repeat; empty if `too_many_keys` is set.
        labels: all labels.
        annotations: all annotations.
        too_many_keys: the number of keys if the source has more than `MOST_SOURCE_KEYS`; 0 otherwise.
    """

    key: NamespacedName
    uid: str
    resource_version: str
    content: Content
    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    too_many_keys: int = 0


@dataclass(frozen=True)
class CopyRecord:
    """What is kept of a live ConfigMap that is a copy, or stands where one should be.

    Attributes:
        namespace: of the ConfigMap.
        name: of the ConfigMap.
        uid: of the ConfigMap.
        resource_version: the version that was read.
        digest: of its real content.
        labels: all of them, or the marks alone where `applied` is set.
        annotations: likewise.
        immutable: whether its content can change.
        deleting: whether it has a deletion timestamp.
        others: metadata of others that a PUT must repeat (finalizers, ownerReferences, generateName).
        applied: set where the metadata was too large to keep: the digest of the labels and annotations that a sync
            put there. A write has to read the rest first.
    """

    namespace: str
    name: str
    uid: str
    resource_version: str
    digest: str
    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    immutable: bool = False
    deleting: bool = False
    others: Mapping[str, Any] = field(default_factory=dict)
    applied: str | None = None

    @property
    def key(self) -> NamespacedName:
        """Where it is found."""
        return NamespacedName(self.namespace, self.name)

    @property
    def managed(self) -> bool:
        """Whether it carries the marks of a copy, whoever's."""
        return self.labels.get(MANAGED_BY_LABEL) == MANAGED_BY_VALUE and bool(self.sync_uid)

    @property
    def sync_uid(self) -> str:
        """The UID of the sync that wrote it; empty where it does not say."""
        return self.labels.get(SYNC_UID_LABEL, "")

    @property
    def synced_by(self) -> NamespacedName | None:
        """The sync that wrote it."""
        return NamespacedName.parse(self.annotations.get(SYNCED_BY))

    @property
    def destination(self) -> NamespacedName | None:
        """The place it was written to; None where it does not say: an older version wrote it, or somebody took the mark off."""
        return NamespacedName.parse(self.annotations.get(DESTINATION))

    @property
    def cloned(self) -> bool:
        """Whether its marks name another place: somebody took a copy of ours to here, marks and all, and it is theirs."""
        return self.destination not in {None, self.key}

    @property
    def adopted(self) -> bool:
        """Whether it existed before us."""
        return self.annotations.get(ADOPTED) == "true"

    @property
    def released_by(self) -> NamespacedName | None:
        """The sync that released it and may take it back; None for a clone, whose mark names another place."""
        sync, _, place = self.annotations.get(RELEASED_BY, "").partition(" ")
        return NamespacedName.parse(sync) if place == str(self.key) else None

    @property
    def deletion_policy(self) -> DeletionPolicy:
        """What becomes of it when its sync cannot say so any more; kept, where its mark is unreadable."""
        mark = self.annotations.get(DELETION_POLICY)
        return DeletionPolicy.DELETE if mark == DeletionPolicy.DELETE else DeletionPolicy.ORPHAN


@dataclass(frozen=True)
class CopyTemplate:
    """What every copy of one sync must look like now; the one mark that differs, its own place, is put on by `render`."""

    name: str
    content: Content
    digest: str
    labels: Mapping[str, str]
    annotations: Mapping[str, str]

    @property
    def content_hash(self) -> int:
        """All that a copy says, content and metadata, as a number to compare within one process."""
        return hash(
            (self.digest, frozenset(self.labels.items()), frozenset(self.annotations.items()))
        )

    @cached_property
    def size(self) -> int:
        """Return the characters of keys and values of the content."""
        parts = (self.content.data, self.content.binary_data)
        return sum(len(key) + len(value) for part in parts for key, value in part.items())

    @cached_property
    def applied(self) -> str:
        """The digest of the labels and annotations that the sync asks for beside the marks."""
        return _applied_digest(_without_marks(self.labels), _without_marks(self.annotations))


def digest(content: Content) -> str:
    """A fingerprint of the content: the same for equal content whatever the order of its keys, different for different content.

    Content with more than twice `MOST_SOURCE_KEYS` keys is not hashed: its digest is `TOO_MANY_KEYS`.
    """
    if content.key_count > 2 * MOST_SOURCE_KEYS:
        return TOO_MANY_KEYS
    return _digest(
        b"immutable" if content.immutable else b"mutable", content.data, content.binary_data
    )


def _digest(begin: bytes, *parts: Mapping[str, str]) -> str:
    """Hash mappings. Every part is preceded by its length, so that no two inputs run into the same bytes."""
    hasher = hashlib.sha256(begin)
    for part in parts:
        hasher.update(b"|%d" % len(part))
        for key in sorted(part):
            for text in (key, part[key]):
                encoded = text.encode("utf-8", "surrogatepass")
                hasher.update(b"|%d|" % len(encoded))
                hasher.update(encoded)
    return f"sha256:{hasher.hexdigest()}"


def _applied_digest(labels: Mapping[str, str], annotations: Mapping[str, str]) -> str:
    return _digest(b"applied", labels, annotations)


def abridged(record: CopyRecord) -> CopyRecord:
    """Return the record without the metadata of others where that is too large to be cached."""
    size = sum(
        len(key) + len(value)
        for part in (record.labels, record.annotations)
        for key, value in part.items()
    )
    if size + len(repr(record.others)) <= KEPT_METADATA:
        return record
    return marks_only(record)


def marks_only(record: CopyRecord) -> CopyRecord:
    """Return the record with the marks as its only metadata; what a sync applied is reduced to a digest."""
    labels, annotations = _applied_metadata(record)
    return replace(
        record,
        labels=_readable_marks(record.labels),
        annotations=_readable_marks(record.annotations),
        others={},
        applied=_applied_digest(
            {key: value for key, value in record.labels.items() if key in labels},
            {key: value for key, value in record.annotations.items() if key in annotations},
        ),
    )


def _readable_marks(present: Mapping[str, str]) -> dict[str, str]:
    """The marks that a plan reads. A forged one may be as long as an object."""
    return {
        key: value
        for key, value in present.items()
        if key in MARKS and key not in {APPLIED_METADATA, REPLACED} and len(value) <= LONGEST_MARK
    }


def _without_marks(present: Mapping[str, str]) -> dict[str, str]:
    return {key: value for key, value in present.items() if key not in MARKS}


def choose_keys(content: Content, keys: Iterable[KeySelection]) -> Content:
    """The chosen part of the content, renamed as asked; all of it where nothing is chosen.

    A key that the source lacks is simply not there. Two keys never end under one name: `validation.py` refuses renames that must
    collide, and where a glob brings a collision about, the exact choice wins.
    """
    chosen = tuple(keys)
    if not chosen:
        return content
    names = _names_in_copy(chosen, (*content.data, *content.binary_data))
    return Content(
        data={new: content.data[old] for new, old in names.items() if old in content.data},
        binary_data={
            new: content.binary_data[old]
            for new, old in names.items()
            if old in content.binary_data
        },
        immutable=content.immutable,
    )


def _names_in_copy(chosen: tuple[KeySelection, ...], present: Iterable[str]) -> dict[str, str]:
    """Key in the copy to key in the source. Globs first, so that exact choices overwrite what they brought."""
    available = set(present)
    patterns = Globs(selection.key for selection in chosen if is_glob(selection.key))
    exact = (
        (selection.as_ or selection.key, selection.key)
        for selection in chosen
        if not is_glob(selection.key)
    )
    return {key: key for key in patterns.among(available)} | {
        new: old for new, old in exact if old in available
    }


def idle_keys(keys: Iterable[KeySelection], present: Iterable[str]) -> tuple[str, ...]:
    """Return a sentence for each entry of `spec.keys` that matches no key of the source."""
    chosen = tuple(keys)
    idle = set(Globs(selection.key for selection in chosen).idle(present))
    return tuple(
        f'spec.keys[{index}] "{selection.key}" matches no key of the source'
        for index, selection in enumerate(chosen)
        if selection.key in idle
    )


def template(sync: ConfigMapSync, source: SourceObject) -> CopyTemplate:
    """What each copy of `source` must look like for `sync`: content, marks, and the metadata that was asked for."""
    content = choose_keys(source.content, sync.spec.keys)
    fingerprint = digest(content)
    labels = {
        **_taken_over(source.labels, sync.spec.copy_metadata.labels),
        **sync.spec.metadata.labels,
    }
    annotations = {
        **_taken_over(source.annotations, sync.spec.copy_metadata.annotations),
        **sync.spec.metadata.annotations,
    }
    marks = {
        SYNCED_BY: str(sync.key),
        SOURCE: str(sync.source),
        DIGEST: fingerprint,
        DELETION_POLICY: str(sync.spec.deletion_policy),
    }
    if labels or annotations:
        applied = {"annotations": sorted(annotations), "labels": sorted(labels)}
        marks[APPLIED_METADATA] = json.dumps(applied, separators=(",", ":"))
    return CopyTemplate(
        name=sync.destination_name,
        content=content,
        digest=fingerprint,
        labels=labels | {MANAGED_BY_LABEL: MANAGED_BY_VALUE, SYNC_UID_LABEL: sync.metadata.uid},
        annotations=annotations | marks,
    )


def satisfied(record: CopyRecord, wanted: CopyTemplate) -> bool:
    """Whether a live copy is right: its content, everything we put on it, and nothing left that we no longer ask for."""
    if record.digest != wanted.digest or record.destination != record.key:
        return False
    if record.applied is not None:
        labels, annotations = _readable_marks(wanted.labels), _readable_marks(wanted.annotations)
        applied_metadata = record.applied == wanted.applied
    else:
        labels, annotations = dict(wanted.labels), dict(wanted.annotations)
        applied_metadata = (
            APPLIED_METADATA in wanted.annotations or APPLIED_METADATA not in record.annotations
        )
    return (
        applied_metadata
        and record.labels.items() >= labels.items()
        and record.annotations.items() >= annotations.items()
    )


def render(
    wanted: CopyTemplate,
    namespace: str,
    record: CopyRecord | None,
    *,
    adopted: bool = False,
    recreated: bool = False,
) -> dict[str, Any]:
    """The whole ConfigMap to write.

    Args:
        wanted: what it must look like.
        namespace: where.
        record: the live object it replaces, with all its metadata: what others put on it stays, and its UID and
            resourceVersion become the precondition.
        adopted: mark it as one that existed before us.
        recreated: the object of `record` is deleted and made again, so that there is no precondition.

    Raises:
        ValueError: `record` was abridged; a PUT made from it would take off what others put on the object.
    """
    if record is not None and record.applied is not None:
        raise ValueError(f"the metadata of {record.key} was not read whole")
    metadata = {
        "name": wanted.name,
        "namespace": namespace,
        **_metadata(wanted, record, adopted=adopted),
    }
    metadata["annotations"][DESTINATION] = f"{namespace}/{wanted.name}"
    if record is not None:
        metadata |= record.others
        if not recreated:
            metadata |= {"uid": record.uid, "resourceVersion": record.resource_version}
    configmap: dict[str, Any] = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata}
    if wanted.content.data:
        configmap["data"] = wanted.content.data
    if wanted.content.binary_data:
        configmap["binaryData"] = wanted.content.binary_data
    if wanted.content.immutable:
        configmap["immutable"] = True
    return configmap


def _metadata(wanted: CopyTemplate, record: CopyRecord | None, *, adopted: bool) -> dict[str, Any]:
    """Labels and annotations of a copy: those of others, then what the sync asks for."""
    if record is None:
        return {"labels": dict(wanted.labels), "annotations": dict(wanted.annotations)}
    labels, annotations = _foreign_metadata(record)
    if adopted or record.adopted:
        annotations[ADOPTED] = "true"
        replaced = _replaced(record)
        for part, present, ours in (
            ("labels", labels, wanted.labels),
            ("annotations", annotations, _without_marks(wanted.annotations)),
        ):
            present.update(
                {key: value for key, value in replaced[part].items() if key not in present}
            )
            replaced[part] = {key: present[key] for key in sorted(ours.keys() & present.keys())}
        if (
            MANAGED_BY_LABEL in record.labels
            and record.labels[MANAGED_BY_LABEL] != MANAGED_BY_VALUE
        ):
            replaced["labels"][MANAGED_BY_LABEL] = record.labels[MANAGED_BY_LABEL]
        if any(replaced.values()):
            annotations[REPLACED] = json.dumps(replaced, separators=(",", ":"), sort_keys=True)
    return {
        "labels": labels | dict(wanted.labels),
        "annotations": annotations | dict(wanted.annotations),
    }


def _replaced(record: CopyRecord) -> dict[str, dict[str, str]]:
    """What adoption overwrote, by part of the metadata; nothing where the mark is unreadable."""
    try:
        parsed = json.loads(record.annotations.get(REPLACED, "{}"))
        return {
            part: {
                str(key): str(value)
                for key, value in parsed.get(part, {}).items()
                if key not in marks
            }
            for part, marks in (
                ("labels", MARK_LABELS - {MANAGED_BY_LABEL}),  # other tools use that label as well
                ("annotations", MARK_ANNOTATIONS),
            )
        }
    except (ValueError, AttributeError, TypeError, RecursionError):
        return {"labels": {}, "annotations": {}}


def released(record: CopyRecord) -> dict[str, Any]:
    """The merge patch that releases a copy, valid only for the object that was seen.

    The marks go and the data stays. An adopted ConfigMap gets back what adoption replaced. Any other copy
    remembers its sync, which may take it back.

    Raises:
        ValueError: `record` was abridged, and does not know what adoption replaced.
    """
    if record.applied is not None:
        raise ValueError(f"the metadata of {record.key} was not read whole")
    labels: dict[str, str | None] = {
        key: None for key in sorted(MARK_LABELS) if key in record.labels
    }
    annotations: dict[str, str | None] = {
        key: None for key in sorted(MARK_ANNOTATIONS) if key in record.annotations
    }
    if record.adopted:
        applied_labels, applied_annotations = _applied_metadata(record)
        replaced = _replaced(record)
        labels |= {key: None for key in sorted(applied_labels) if key in record.labels}
        labels |= replaced["labels"]
        annotations |= {
            key: None for key in sorted(applied_annotations) if key in record.annotations
        }
        annotations |= replaced["annotations"]
    elif record.synced_by is not None and record.destination == record.key:
        annotations |= {RELEASED_BY: f"{record.synced_by} {record.key}"}
    return {
        "metadata": {
            "uid": record.uid,
            "resourceVersion": record.resource_version,
            "labels": labels,
            "annotations": annotations,
        }
    }


def _foreign_metadata(record: CopyRecord) -> tuple[dict[str, str], dict[str, str]]:
    """The labels and annotations that others put on a copy."""
    applied_labels, applied_annotations = _applied_metadata(record)
    our_labels, our_annotations = (
        MARK_LABELS | applied_labels,
        MARK_ANNOTATIONS | applied_annotations,
    )
    return (
        {key: value for key, value in record.labels.items() if key not in our_labels},
        {key: value for key, value in record.annotations.items() if key not in our_annotations},
    )


def _applied_metadata(record: CopyRecord) -> tuple[frozenset[str], frozenset[str]]:
    """The labels and annotations that an earlier write of ours put there; none where the mark is unreadable."""
    try:
        applied = json.loads(record.annotations.get(APPLIED_METADATA, "{}"))
        return frozenset(applied.get("labels", ())), frozenset(applied.get("annotations", ()))
    except (ValueError, AttributeError, TypeError, RecursionError):
        return frozenset(), frozenset()


def _taken_over(present: Mapping[str, str], allow_list: tuple[str, ...]) -> dict[str, str]:
    """Return what an allow-list takes over from the source.

    Globs do not match keys in reserved domains, and keys of our own are never taken over.
    """
    if not allow_list:
        return {}
    exact = frozenset(allow_list)
    by_glob = Globs(pattern for pattern in allow_list if is_glob(pattern)).among(present)
    return {
        key: value
        for key, value in present.items()
        if not is_own_key(key) and (key in exact or (key in by_glob and not is_reserved_key(key)))
    }
