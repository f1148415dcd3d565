"""Make small syncs, sources and records for tests."""

from typing import Any

from configmapsync.content import Content, SourceObject, digest
from configmapsync.copies import CopyRecord
from configmapsync.defaulting import with_defaults
from configmapsync.names import NamespacedName
from configmapsync.parsing import parse
from configmapsync.resource import ConfigMapSync


def document(**spec: Any) -> dict[str, Any]:
    """Return a sync as the API server sends it."""
    metadata = {"name": "sync", "namespace": "home", "uid": "uid-1", "generation": 3}
    return {"metadata": metadata, "spec": {"configMapName": "config", **spec}}


def sync(**spec: Any) -> ConfigMapSync:
    """Return a valid sync with its defaults."""
    return with_defaults(parse(document(**({"destinationNamespace": "there"} | spec))))


def source(data: dict[str, str] | None = None, **more: Any) -> SourceObject:
    """Return a source."""
    content = Content(
        data=data or {},
        binary_data=more.pop("binary_data", {}),
        immutable=more.pop("immutable", False),
    )
    return SourceObject(
        key=NamespacedName("home", "config"),
        uid="uid-of-source",
        resource_version="5",
        content=content,
        labels=more.get("labels", {}),
        annotations=more.get("annotations", {}),
    )


def record(
    labels: dict[str, str] | None = None, annotations: dict[str, str] | None = None, **more: Any
) -> CopyRecord:
    """Return the record of a live ConfigMap."""
    content = Content(data=more.pop("data", {}), binary_data={})
    given: dict[str, Any] = {
        "namespace": "there",
        "name": "config",
        "uid": "uid-of-copy",
        "resource_version": "7",
        **more,
    }
    return CopyRecord(
        labels=labels or {}, annotations=annotations or {}, digest=digest(content), **given
    )
