"""Render copies: what a copy must look like, and the object or patch that makes it so.

`planning.py` compares live copies with a template. The writer of the reconciler sends,
and `dryrun/` shows, what `render` and `release_patch` return. Labels and annotations of
other clients must stay.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from configmapsync.content import Content, SourceObject, choose_keys, digest
from configmapsync.copies import (
    CopyRecord,
    applied_hash,
    applied_keys,
    readable_marks,
    without_marks,
)
from configmapsync.globs import Globs, is_glob
from configmapsync.names import (
    ADOPTED,
    APPLIED_METADATA,
    DELETION_POLICY,
    DESTINATION,
    DIGEST,
    MANAGED_BY_LABEL,
    MANAGED_BY_VALUE,
    MARKS_OF,
    RELEASED_BY,
    REPLACED,
    SOURCE,
    SYNC_UID_LABEL,
    SYNCED_BY,
    is_own_key,
    is_reserved_key,
)
from configmapsync.resource import ConfigMapSync

Metadata = dict[str, dict[str, str]]  # "labels" and "annotations"


@dataclass(frozen=True)
class CopyTemplate:
    """What each copy of a sync must look like; `render` adds the mark of its destination."""

    name: str
    content: Content
    digest: str
    labels: dict[str, str]
    annotations: dict[str, str]

    @property
    def content_hash(self) -> int:
        """Return a hash of content, labels and annotations; valid within one process only."""
        return hash(
            (self.digest, frozenset(self.labels.items()), frozenset(self.annotations.items()))
        )

    @cached_property
    def size(self) -> int:
        """Return the bytes of keys and values of the content."""
        return self.content.size

    @cached_property
    def applied(self) -> str:
        """Return the hash of the labels and annotations that the sync applies beside the marks."""
        return applied_hash(without_marks(self.labels), without_marks(self.annotations))


def copy_template(sync: ConfigMapSync, source: SourceObject) -> CopyTemplate:
    """Return what each copy of `source` must look like for `sync`.

    A source without its content gives a template that can be compared and not be written.
    """
    spec, allowed = sync.spec, sync.spec.copy_metadata
    content = choose_keys(source.content, spec.keys)
    content_digest = source.known_digest or digest(content)
    labels = _allowed(source.labels, allowed.labels) | spec.metadata.labels
    annotations = _allowed(source.annotations, allowed.annotations) | spec.metadata.annotations
    marks = {
        SYNCED_BY: str(sync.key),
        SOURCE: str(sync.source),
        DIGEST: content_digest,
        DELETION_POLICY: str(spec.deletion_policy),
    }
    if labels or annotations:
        applied = {"annotations": sorted(annotations), "labels": sorted(labels)}
        marks[APPLIED_METADATA] = json.dumps(applied, separators=(",", ":"))
    return CopyTemplate(
        name=sync.destination_name,
        content=content,
        digest=content_digest,
        labels=labels | {MANAGED_BY_LABEL: MANAGED_BY_VALUE, SYNC_UID_LABEL: sync.metadata.uid},
        annotations=annotations | marks,
    )


def _allowed(present: Mapping[str, str], allow_list: tuple[str, ...]) -> dict[str, str]:
    """Return the labels or annotations of the source that an allow-list copies.

    Globs do not match keys in reserved domains. Keys of the operator are never copied.
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


def is_up_to_date(record: CopyRecord, wanted: CopyTemplate) -> bool:
    """Return whether a copy needs no write.

    It must have the content, labels and annotations of the template, and the mark of its own
    destination. No label or annotation may remain that only an earlier template applied.
    """
    if record.digest != wanted.digest or record.destination != record.key:
        return False
    if record.applied is not None:
        labels, annotations = readable_marks(wanted.labels), readable_marks(wanted.annotations)
        nothing_left = record.applied == wanted.applied
    else:
        labels, annotations = wanted.labels, wanted.annotations
        nothing_left = (
            APPLIED_METADATA in wanted.annotations or APPLIED_METADATA not in record.annotations
        )
    return (
        nothing_left
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
    """Return the whole ConfigMap to write.

    Args:
        wanted: what it must look like.
        namespace: where to write it.
        record: the live object to replace, with all its metadata. The metadata of others stays,
            and the UID and resourceVersion become the precondition. None for a create.
        adopted: whether to mark the ConfigMap as one that existed before the sync.
        recreated: whether the live object is deleted first, so that there is no precondition.

    Raises:
        ValueError: the record is abridged; a PUT would remove the metadata of others.
    """
    if record is not None:
        _check_whole(record)
    parts = _metadata(wanted, record, adopted=adopted)
    parts["annotations"][DESTINATION] = f"{namespace}/{wanted.name}"
    metadata: dict[str, Any] = {"name": wanted.name, "namespace": namespace, **parts}
    if record is not None:
        metadata |= record.others
        if not recreated:
            metadata |= {"uid": record.uid, "resourceVersion": record.resource_version}
    content = {
        "data": wanted.content.data,
        "binaryData": wanted.content.binary_data,
        "immutable": wanted.content.immutable,
    }
    given = {field: value for field, value in content.items() if value}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, **given}


def _check_whole(record: CopyRecord) -> None:
    if record.applied is not None:
        raise ValueError(f"the metadata of {record.key} was not read whole")


def _metadata(wanted: CopyTemplate, record: CopyRecord | None, *, adopted: bool) -> Metadata:
    """Return labels and annotations of a copy: those of others, and those of the template."""
    metadata: Metadata = {"labels": {}, "annotations": {}}
    if record is not None:
        metadata = _metadata_of_others(record)
        if adopted or record.adopted:
            replaced = _restore_replaced(record, wanted, metadata)
            metadata["annotations"][ADOPTED] = "true"
            if any(replaced.values()):
                text = json.dumps(replaced, separators=(",", ":"), sort_keys=True)
                metadata["annotations"][REPLACED] = text
    metadata["labels"] |= wanted.labels
    metadata["annotations"] |= wanted.annotations
    return metadata


def _restore_replaced(record: CopyRecord, wanted: CopyTemplate, others: Metadata) -> Metadata:
    """Restore what adoption replaced, and return what the template replaces now.

    Args:
        record: the adopted ConfigMap.
        wanted: the template.
        others: the metadata of others; replaced labels and annotations are added.
    """
    replaced = _replaced(record)
    applied = {"labels": wanted.labels, "annotations": without_marks(wanted.annotations)}
    for part, present in others.items():
        others[part] = replaced[part] | present
        common = applied[part].keys() & others[part].keys()
        replaced[part] = {key: others[part][key] for key in sorted(common)}
    manager = record.labels.get(MANAGED_BY_LABEL, MANAGED_BY_VALUE)
    if manager != MANAGED_BY_VALUE:
        replaced["labels"][MANAGED_BY_LABEL] = manager
    return replaced


def _replaced(record: CopyRecord) -> Metadata:
    """Return what adoption replaced; nothing if the mark is unreadable."""
    try:
        parsed = json.loads(record.annotations.get(REPLACED, "{}"))
        return {
            part: {
                str(key): str(value)
                for key, value in parsed.get(part, {}).items()
                # Other tools use this label as well.
                if key not in marks or key == MANAGED_BY_LABEL
            }
            for part, marks in MARKS_OF.items()
        }
    except (ValueError, AttributeError, TypeError, RecursionError):
        return {"labels": {}, "annotations": {}}


def _metadata_of_others(record: CopyRecord) -> Metadata:
    """Return the labels and annotations that no sync put on the ConfigMap."""
    applied = applied_keys(record)
    return {
        part: {
            key: value
            for key, value in present.items()
            if key not in MARKS_OF[part] and key not in applied[part]
        }
        for part, present in record.parts.items()
    }


def release_patch(record: CopyRecord) -> dict[str, Any]:
    """Return the merge patch that releases a copy; its precondition is the observed version.

    The patch removes the marks and keeps the data. On an adopted ConfigMap it restores what
    adoption replaced. On any other copy it records the sync, which may take the copy back.

    Raises:
        ValueError: the record is abridged and lacks what adoption replaced.
    """
    _check_whole(record)
    applied, replaced = applied_keys(record), _replaced(record)
    patch: dict[str, dict[str, str | None]] = {}
    for part, present in record.parts.items():
        own = MARKS_OF[part] | applied[part] if record.adopted else MARKS_OF[part]
        patch[part] = dict.fromkeys(sorted(own & present.keys()))
        if record.adopted:
            patch[part] |= replaced[part]
    if not record.adopted and record.synced_by is not None and record.destination == record.key:
        patch["annotations"][RELEASED_BY] = f"{record.synced_by} {record.key}"
    precondition = {"uid": record.uid, "resourceVersion": record.resource_version}
    return {"metadata": {**precondition, **patch}}
