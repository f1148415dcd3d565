"""Render objects as tables, as `kubectl get` prints them."""

import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from devcluster.errors import bad_request
from devcluster.output.access_columns import ROLE, SUBJECTS, WEBHOOKS
from devcluster.schema.kinds import Column, Kind

Document = Mapping[str, Any]


def name_column() -> Column:
    """The first column of every table."""
    return Column("Name", lambda obj: obj["metadata"]["name"], format="name")


def age_column(now: datetime) -> Column:
    """How old an object is."""
    return Column("Age", lambda obj: age(obj["metadata"].get("creationTimestamp"), now))


def columns_of(kind: Kind, now: datetime) -> tuple[Column, ...]:
    """The columns of a kind."""
    if kind.custom is not None:
        return (name_column(), *(_custom_column(column, now) for column in kind.custom.columns))
    special = {
        "configmaps": (
            Column(
                "Data", lambda obj: len(obj.get("data") or {}) + len(obj.get("binaryData") or {})
            ),
        ),
        "secrets": (
            Column("Type", lambda obj: obj.get("type", "Opaque")),
            Column("Data", lambda obj: len(obj.get("data") or {})),
        ),
        "namespaces": (
            Column("Status", lambda obj: (obj.get("status") or {}).get("phase", "Active")),
        ),
        "leases": (
            Column("Holder", lambda obj: (obj.get("spec") or {}).get("holderIdentity", "")),
        ),
        "serviceaccounts": (Column("Secrets", lambda obj: len(obj.get("secrets") or [])),),
        "roles": (Column("Created At", lambda obj: obj["metadata"]["creationTimestamp"]),),
        "clusterroles": (Column("Created At", lambda obj: obj["metadata"]["creationTimestamp"]),),
        "customresourcedefinitions": (
            Column("Created At", lambda obj: obj["metadata"]["creationTimestamp"]),
        ),
        "rolebindings": (ROLE,),
        "clusterrolebindings": (ROLE,),
        "mutatingwebhookconfigurations": (WEBHOOKS,),
        "validatingwebhookconfigurations": (WEBHOOKS,),
    }
    if kind.plural == "events":
        return _event_columns(now)
    middle = special.get(kind.plural, ())
    ends = kind.plural in ("roles", "clusterroles", "customresourcedefinitions")
    wide = SUBJECTS if kind.plural in ("rolebindings", "clusterrolebindings") else ()
    return (name_column(), *middle) if ends else (name_column(), *middle, age_column(now), *wide)


def table(
    objects: Iterable[Document],
    columns: Sequence[Column],
    list_metadata: Document,
    version: str,
    include: str,
    *,
    heading: bool = True,
) -> dict[str, Any]:
    """A Table of objects.

    Args:
        objects: one a row.
        columns: of the table.
        list_metadata: of the list.
        version: of meta.k8s.io.
        include: what of each object goes along: `Metadata`, `Object` or `None`.
        heading: whether the columns are described.
    """
    return {
        "kind": "Table",
        "apiVersion": f"meta.k8s.io/{version}",
        "metadata": dict(list_metadata),
        "columnDefinitions": [_definition(column) for column in columns] if heading else None,
        "rows": [
            {
                "cells": [column.value(obj) for column in columns],
                "object": _included(obj, include, version),
            }
            for obj in objects
        ],
    }


def included(query: Mapping[str, str]) -> str:
    """What of each object the client wants beside its cells.

    Raises:
        ApiStatus: 400 for an unknown word.
    """
    wanted = query.get("includeObject") or "Metadata"
    if wanted not in ("Metadata", "Object", "None"):
        why = (
            f"includeObject: Invalid value: \"{wanted}\": must be 'Metadata', 'Object', 'None', "
            "or empty"
        )
        raise bad_request(f"Unable to convert to Table as requested: {why}")
    return wanted


def age(timestamp: str | None, now: datetime) -> str:
    """How long ago that was, as kubectl says it; `<unknown>` where there is no time."""
    if not timestamp:
        return "<unknown>"
    seconds = int((now - datetime.fromisoformat(timestamp)).total_seconds())
    return _duration(max(0, seconds))


def _duration(seconds: int) -> str:
    minutes, hours, days = seconds // 60, seconds // 3600, seconds // 86400
    if seconds < 120:
        return f"{seconds}s"
    if minutes < 10:
        return f"{minutes}m{seconds % 60}s" if seconds % 60 else f"{minutes}m"
    if hours < 3:
        return f"{minutes}m"
    if hours < 8:
        return f"{hours}h{minutes % 60}m" if minutes % 60 else f"{hours}h"
    if hours < 48:
        return f"{hours}h"
    if days < 8:
        return f"{days}d{hours % 24}h" if hours % 24 else f"{days}d"
    return f"{days}d" if days < 730 else f"{days // 365}y{days % 365}d"


def _definition(column: Column) -> dict[str, Any]:
    about = (
        "Name must be unique within a namespace."
        if column.format == "name"
        else f"{column.name} of the object."
    )
    return {
        "name": column.name,
        "type": column.type,
        "format": column.format,
        "description": about,
        "priority": column.priority,
    }


def _included(obj: Document, include: str, version: str) -> Any:
    if include == "None":
        return None
    if include == "Object":
        return dict(obj)
    return {
        "kind": "PartialObjectMetadata",
        "apiVersion": f"meta.k8s.io/{version}",
        "metadata": obj["metadata"],
    }


def _custom_column(column: Document, now: datetime) -> Column:
    path = compile_path(column["jsonPath"])
    kind = column["type"]

    def value(obj: Document) -> Any:
        found = path(obj)
        if kind == "date":
            return age(found, now) if found else None
        if kind in ("integer", "number", "boolean") or found is None:
            return found
        return found if isinstance(found, str) else str(found)

    return Column(column["name"], value, kind, column.get("format", ""), column.get("priority", 0))


_STEP = re.compile(
    r"\.([A-Za-z0-9_-]+)|\[(\d+)\]|\['([^']+)'\]|\[\?\(@\.([A-Za-z0-9_.-]+)==[\"']([^\"']*)[\"']\)\]"
)


def compile_path(text: str) -> Any:
    """Return a lookup for a simple JSONPath: names, indexes, one equality filter."""
    steps = [match.groups() for match in _STEP.finditer(text.replace("\\.", "."))]

    def find(obj: Any) -> Any:
        for name, index, quoted, key, wanted in steps:
            if key is not None:
                items = obj if isinstance(obj, list) else []
                obj = next((item for item in items if str(item.get(key)) == wanted), None)
            elif index is not None:
                obj = obj[int(index)] if isinstance(obj, list) and int(index) < len(obj) else None
            else:
                obj = obj.get(name or quoted) if isinstance(obj, Mapping) else None
        return obj

    return find


def _event_columns(now: datetime) -> tuple[Column, ...]:
    def last_seen(event: Document) -> str:
        series = event.get("series") or {}
        times = (series.get("lastObservedTime"), event.get("lastTimestamp"), event.get("eventTime"))
        return age(
            next((time for time in times if time), event["metadata"]["creationTimestamp"]), now
        )

    def first_seen(event: Document) -> str:
        return age(event.get("firstTimestamp") or event.get("eventTime"), now)

    def about(event: Document) -> str:
        regarding = event.get("involvedObject") or {}
        return f"{regarding.get('kind', '').lower()}/{regarding.get('name', '')}"

    def source(event: Document) -> str:
        source = event.get("source") or {}
        words = [source.get("component") or event.get("reportingComponent", "")]
        words.append(source.get("host") or event.get("reportingInstance", ""))
        return ", ".join(word for word in words if word)

    def count(event: Document) -> int:
        return (event.get("series") or {}).get("count") or event.get("count") or 1

    return (
        Column("Last Seen", last_seen),
        Column("Type", lambda event: event.get("type", "")),
        Column("Reason", lambda event: event.get("reason", "")),
        Column("Object", about),
        Column(
            "Subobject",
            lambda event: (event.get("involvedObject") or {}).get("fieldPath", ""),
            priority=1,
        ),
        Column("Source", source, priority=1),
        Column("Message", lambda event: (event.get("message") or "").strip()),
        Column("First Seen", first_seen, priority=1),
        Column("Count", count, type="integer", priority=1),
        Column("Name", lambda event: event["metadata"]["name"], format="name", priority=1),
    )
