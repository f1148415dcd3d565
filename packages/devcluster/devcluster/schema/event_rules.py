"""Validate Events: loosely in the core group, strictly in events.k8s.io. Pure."""

from collections.abc import Iterator, Mapping
from typing import Any

from devcluster.errors import FieldCause
from devcluster.schema.field_problems import invalid_value, required
from devcluster.schema.metadata import key_problems

WORD_LIMIT = 128
MESSAGE_LIMIT = 1024
FEWEST_OF_SERIES = 2
OF_CLUSTER_OBJECTS = "default"  # the namespace in which events may be about what has none
UNSET = ("firstTimestamp", "lastTimestamp", "count", "source")  # what events.k8s.io knows no more
UNCHANGING = (
    "involvedObject",
    "reason",
    "message",
    "source",
    "firstTimestamp",
    "lastTimestamp",
    "count",
    "type",
)
UNCHANGING_TOO = ("eventTime", "action", "related", "reportingComponent", "reportingInstance")

Document = Mapping[str, Any]


def event_causes(event: Document, old: Document | None, *, strict: bool) -> Iterator[FieldCause]:
    """What is wrong with an event, given the one it replaces; `strict` as events.k8s.io."""
    yield from _place_causes(event)
    if event.get("eventTime"):
        yield from _report_causes(event, "reportingController" if strict else "reportingComponent")
    if not strict:
        return
    yield from _series_causes(event.get("series"))
    if old is None:
        yield from _creation_causes(event)
        return
    for field in (*UNCHANGING, *UNCHANGING_TOO):
        if (event.get(field) or None) != (old.get(field) or None):  # empty and absent are one to Go
            yield invalid_value(field, event.get(field), "field is immutable")


def _place_causes(event: Document) -> Iterator[FieldCause]:
    home = event["metadata"].get("namespace", "")
    about = (event.get("involvedObject") or {}).get("namespace", "")
    if about != home and (about or home != OF_CLUSTER_OBJECTS):
        yield invalid_value("involvedObject.namespace", about, "does not match event.namespace")


def _report_causes(event: Document, controller_field: str) -> Iterator[FieldCause]:
    """Require reporter, action and reason if eventTime is set."""
    controller = event.get("reportingComponent") or ""
    if not controller:
        yield required(controller_field)
    yield from (
        invalid_value(controller_field, controller, problem) for problem in key_problems(controller)
    )
    for field in ("reportingInstance", "action", "reason"):
        if not event.get(field):
            yield required(field)
        elif len(event[field]) > WORD_LIMIT:
            yield invalid_value(field, "", f"can have at most {WORD_LIMIT} characters")
    if len(event.get("message") or "") > MESSAGE_LIMIT:
        yield invalid_value("message", "", f"can have at most {MESSAGE_LIMIT} characters")


def _creation_causes(event: Document) -> Iterator[FieldCause]:
    if not event.get("eventTime"):
        yield required("eventTime")
    kind = event.get("type", "")
    if kind not in ("Normal", "Warning"):
        yield invalid_value("type", "", f"has invalid value: {kind}")
    yield from (
        invalid_value(field, "", "needs to be unset") for field in UNSET if event.get(field)
    )


def _series_causes(series: Document | None) -> Iterator[FieldCause]:
    if series is None:
        return
    if series.get("count", 0) < FEWEST_OF_SERIES:
        yield invalid_value("series.count", "", f"should be at least {FEWEST_OF_SERIES}")
    if not series.get("lastObservedTime"):
        yield required("series.lastObservedTime")
