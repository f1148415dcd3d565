"""Render a stored object in the requested version and form.

Events are one object in two groups. A few Go types write zero values where others
omit the field.
"""

from collections.abc import Mapping
from typing import Any

from devcluster.schema.kinds import Kind

Document = Mapping[str, Any]

_EVENT_FIELDS = (  # core/v1, events.k8s.io/v1
    ("involvedObject", "regarding"),
    ("message", "note"),
    ("source", "deprecatedSource"),
    ("firstTimestamp", "deprecatedFirstTimestamp"),
    ("lastTimestamp", "deprecatedLastTimestamp"),
    ("count", "deprecatedCount"),
    ("reportingComponent", "reportingController"),
)
_TO_NEW = dict(_EVENT_FIELDS)
_TO_CORE = {new: core for core, new in _EVENT_FIELDS}
_CORE_ZEROES: dict[str, Any] = {
    "source": {},
    "firstTimestamp": None,
    "lastTimestamp": None,
    "eventTime": None,
    "reportingComponent": "",
    "reportingInstance": "",
}
_NEW_ZEROES: dict[str, Any] = {
    "eventTime": None,
    "deprecatedSource": {},
    "deprecatedFirstTimestamp": None,
    "deprecatedLastTimestamp": None,
}


def stored_form(document: Document, kind: Kind) -> dict[str, Any]:
    """An object as it is stored, whatever version it came in."""
    if kind.group == "events.k8s.io":
        renamed = {_TO_CORE.get(key, key): value for key, value in document.items()}
        return {**renamed, "apiVersion": "v1"}
    return dict(document)


def shown(document: Document, kind: Kind) -> dict[str, Any]:
    """An object as `kind` shows it."""
    if kind.key == ("", "events"):
        return _shown_event(document, kind)
    if kind.key == ("", "namespaces"):
        return _with_transition_times(document)
    if kind.custom is not None:
        return {**document, "apiVersion": kind.api_version}
    return dict(document)


def metadata_only(document: Document) -> dict[str, Any]:
    """Nothing but the metadata."""
    return {
        "kind": "PartialObjectMetadata",
        "apiVersion": "meta.k8s.io/v1",
        "metadata": document["metadata"],
    }


def without_type(document: Document) -> dict[str, Any]:
    """As an item of a built-in list: its kind is the list's to say."""
    return {key: value for key, value in document.items() if key not in ("apiVersion", "kind")}


def _shown_event(document: Document, kind: Kind) -> dict[str, Any]:
    if kind.group:
        renamed = {_TO_NEW.get(key, key): value for key, value in document.items() if value != ""}
        return {**_NEW_ZEROES, **renamed, "apiVersion": kind.api_version}
    return {**_CORE_ZEROES, **document}


def _with_transition_times(document: Document) -> dict[str, Any]:
    conditions = (document.get("status") or {}).get("conditions")
    if not conditions:
        return dict(document)
    timed = [
        {**condition, "lastTransitionTime": condition.get("lastTransitionTime")}
        for condition in conditions
    ]
    return {**document, "status": {**document["status"], "conditions": timed}}
