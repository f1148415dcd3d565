"""Make small syncs, sources and records for tests."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from msgspec import json, to_builtins
from msgspec.structs import replace

from configmapsync.conditions import Report
from configmapsync.content import Content, SourceObject, digest
from configmapsync.copies import CopyRecord
from configmapsync.defaulting import with_defaults
from configmapsync.names import NamespacedName
from configmapsync.parsing import decode_status, parse
from configmapsync.plans import Observed, ObservedMissing, Plan
from configmapsync.reasons import Outcome
from configmapsync.resource import ConfigMapSync
from configmapsync.selection import Namespace, Selector
from configmapsync.status import ConfigMapSyncStatus


def document(**spec: Any) -> dict[str, Any]:
    """Return a sync as the API server sends it."""
    metadata = {"name": "sync", "namespace": "home", "uid": "uid-1", "generation": 3}
    return {"metadata": metadata, "spec": {"configMapName": "config", **spec}}


def sync(**spec: Any) -> ConfigMapSync:
    """Return a valid sync with its defaults."""
    return with_defaults(parse(document(**({"destinationNamespace": "there"} | spec))))


def with_metadata(of: ConfigMapSync, **changes: Any) -> ConfigMapSync:
    """Return a sync with other metadata."""
    return replace(of, metadata=replace(of.metadata, **changes))


def stored_status(made: ConfigMapSyncStatus) -> dict[str, Any]:
    """Return a status as the API server stores it after a merge patch: without nulls."""
    stored: dict[str, Any] = _without_nulls(to_builtins(made))
    return stored


def read_status(document: dict[str, Any]) -> ConfigMapSyncStatus | None:
    """Return a status as the operator reads it from the API server."""
    return decode_status(json.encode(document))


def _without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_nulls(item) for key, item in value.items() if item is not None}
    return [_without_nulls(item) for item in value] if isinstance(value, (list, tuple)) else value


def is_empty(planned: Plan) -> bool:
    """Return whether a plan has no write and no removal."""
    return not planned.writes and not planned.removals


def observe(**facts: Any) -> Observed:
    """Return an observation in which nothing else matters than the given facts."""
    plain: dict[str, Any] = {
        "denied": None,
        "refused": {},
        "must_release": lambda _copy: False,
        "served": None,
        "source_unreadable": None,
        "contested": {},
        "recheck_seconds": None,
    }
    return Observed(**plain | facts)


def observe_missing(
    *orphans: CopyRecord, namespaces: Mapping[str, Namespace], **facts: Any
) -> ObservedMissing:
    """Return the observation of a sync that has been missing for long enough."""
    plain: dict[str, Any] = {"served": None, "grace_seconds": 0.0, "contested": {}}
    return ObservedMissing(orphans, namespaces, **plain | facts)


def report(**facts: Any) -> Report:
    """Return the report of a reconcile in which nothing else happened than the given facts."""
    plain: dict[str, Any] = {
        "generation": 1,
        "previous": None,
        "source": None,
        "digest": None,
        "outcomes": (),
        "leftovers": (),
        "verdict": None,
        "wrote": False,
        "keys": (),
        "remaining": None,
    }
    return Report(**plain | facts)


class Selection(NamedTuple):
    """The namespaces that get a copy, and the named ones that cannot; both sorted by name."""

    selected: tuple[str, ...]
    refused: tuple[Outcome, ...]


def select(selector: Selector, namespaces: Mapping[str, Namespace]) -> Selection:
    """Return what a selector says about namespaces."""
    return Selection(
        tuple(sorted(selector.destinations(namespaces))), tuple(selector.refused(namespaces))
    )


def source(data: dict[str, str] | None = None, **more: Any) -> SourceObject:
    """Return a source."""
    content = Content(
        data=data or {},
        binary_data=more.pop("binary_data", {}),
        immutable=more.pop("immutable", False),
    )
    return SourceObject(
        key=NamespacedName("home", "config"),
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
        "immutable": False,
        "deleting": False,
        "others": {},
        **more,
    }
    return CopyRecord(
        labels=labels or {}, annotations=annotations or {}, digest=digest(content), **given
    )
