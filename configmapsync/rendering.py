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
    applied_metadata,
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
    MARK_ANNOTATIONS,
    MARK_LABELS,
    RELEASED_BY,
    REPLACED,
    SOURCE,
    SYNC_UID_LABEL,
    SYNCED_BY,
    is_own_key,
    is_reserved_key,
)
from configmapsync.resource import ConfigMapSync


@dataclass(frozen=True)
class CopyTemplate:
    """What each copy of a sync must look like; `render` adds the mark of its destination."""

    name: str
    content: Content
    digest: str
    labels: Mapping[str, str]
    annotations: Mapping[str, str]

    @property
    def content_hash(self) -> int:
        """Return a hash of content, labels and annotations; valid within one process only."""
        return hash(
            (self.digest, frozenset(self.labels.items()), frozenset(self.annotations.items()))
        )

    @cached_property
    def size(self) -> int:
        """Return the characters of keys and values of the content."""
        return self.content.size

    @cached_property
    def applied(self) -> str:
        """Return the hash of the labels and annotations that the sync applies beside the marks."""
        return applied_hash(without_marks(self.labels), without_marks(self.annotations))


def copy_template(sync: ConfigMapSync, source: SourceObject) -> CopyTemplate:
    """Return what each copy of `source` must look like for `sync`.

    A source without its content gives a template that can be compared and not be written.
    """
    content = choose_keys(source.content, sync.spec.keys)
    content_digest = source.known_digest or digest(content)
    labels = {
        **_allowed(source.labels, sync.spec.copy_metadata.labels),
        **sync.spec.metadata.labels,
    }
    annotations = {
        **_allowed(source.annotations, sync.spec.copy_metadata.annotations),
        **sync.spec.metadata.annotations,
    }
    marks = {
        SYNCED_BY: str(sync.key),
        SOURCE: str(sync.source),
        DIGEST: content_digest,
        DELETION_POLICY: str(sync.spec.deletion_policy),
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

    Its content and metadata must be those of the template, and no label or annotation may remain
    that an earlier template applied.
    """
    if record.digest != wanted.digest or record.destination != record.key:
        return False
    if record.applied is not None:
        labels, annotations = readable_marks(wanted.labels), readable_marks(wanted.annotations)
        nothing_left = record.applied == wanted.applied
    else:
        labels, annotations = dict(wanted.labels), dict(wanted.annotations)
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
    """Return labels and annotations of a copy: those of others, and those of the template."""
    if record is None or not (adopted or record.adopted or _has_others(wanted, record)):
        return {"labels": dict(wanted.labels), "annotations": dict(wanted.annotations)}
    labels, annotations = _metadata_of_others(record)
    if adopted or record.adopted:
        annotations[ADOPTED] = "true"
        replaced = _restore_replaced(record, wanted, labels, annotations)
        if any(replaced.values()):
            annotations[REPLACED] = json.dumps(replaced, separators=(",", ":"), sort_keys=True)
    return {
        "labels": labels | dict(wanted.labels),
        "annotations": annotations | dict(wanted.annotations),
    }


def _has_others(wanted: CopyTemplate, record: CopyRecord) -> bool:
    """Return whether a copy has labels or annotations that are neither marks nor wanted."""
    return not (
        all(key in wanted.labels or key in MARK_LABELS for key in record.labels)
        and all(key in wanted.annotations or key in MARK_ANNOTATIONS for key in record.annotations)
    )


def _restore_replaced(
    record: CopyRecord, wanted: CopyTemplate, labels: dict[str, str], annotations: dict[str, str]
) -> dict[str, dict[str, str]]:
    """Restore what adoption replaced, and return what the template replaces now.

    Args:
        record: the adopted ConfigMap.
        wanted: the template.
        labels: the labels of others; replaced labels are added.
        annotations: the annotations of others; replaced annotations are added.
    """
    replaced = _replaced(record)
    for part, present, applied in (
        ("labels", labels, wanted.labels),
        ("annotations", annotations, without_marks(wanted.annotations)),
    ):
        present.update({key: value for key, value in replaced[part].items() if key not in present})
        replaced[part] = {key: present[key] for key in sorted(applied.keys() & present.keys())}
    manager = record.labels.get(MANAGED_BY_LABEL, MANAGED_BY_VALUE)
    if manager != MANAGED_BY_VALUE:
        replaced["labels"][MANAGED_BY_LABEL] = manager
    return replaced


def _replaced(record: CopyRecord) -> dict[str, dict[str, str]]:
    """Return what adoption replaced, by part of the metadata; nothing if the mark is unreadable."""
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


def _metadata_of_others(record: CopyRecord) -> tuple[dict[str, str], dict[str, str]]:
    """Return the labels and annotations that no sync put on the ConfigMap."""
    applied_labels, applied_annotations = applied_metadata(record)
    own_labels = MARK_LABELS | applied_labels
    own_annotations = MARK_ANNOTATIONS | applied_annotations
    return (
        {key: value for key, value in record.labels.items() if key not in own_labels},
        {key: value for key, value in record.annotations.items() if key not in own_annotations},
    )


def release_patch(record: CopyRecord) -> dict[str, Any]:
    """Return the merge patch that releases a copy; its precondition is the observed version.

    The patch removes the marks and keeps the data. On an adopted ConfigMap it restores what
    adoption replaced. On any other copy it records the sync, which may take the copy back.

    Raises:
        ValueError: the record is abridged and lacks what adoption replaced.
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
        applied_labels, applied_annotations = applied_metadata(record)
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
