"""Decode the lines of a watch, as far as every event must be read.

`reflector.py` calls it, and `informer.py` decodes the object of an event that it keeps.
Most events of a busy cluster are dropped after the name and the version, so one scan of
the line finds both.
"""

from typing import NamedTuple

import msgspec

from kube.errors import Malformed, from_status
from kube.wire import DECODE_ERRORS, Place, Version, decode_event


class _Head(msgspec.Struct):
    metadata: Version = msgspec.field(default_factory=Version)


class _EventHead(msgspec.Struct):
    type: str
    object: _Head


_decode_head = msgspec.json.Decoder(_EventHead).decode


class WatchedEvent(NamedTuple):
    """An event whose object is not decoded beyond its version."""

    kind: str
    place: Place
    version: int
    generation: int | None
    line: bytes

    @property
    def item(self) -> msgspec.Raw:
        """Return the object; finding it costs another scan of the line."""
        return decode_event(self.line).object


def read_event(line: bytes, what: str) -> WatchedEvent:
    """Return the event in one line of a watch.

    The whole line is checked to be JSON. Nothing depends on the order of its fields.

    Args:
        line: with or without its line feed.
        what: names the watch in errors.

    Raises:
        Malformed: it is not an event, or its object has no numeric version.
        ApiError: the event reports that error.
    """
    try:
        head = _decode_head(line)
        if head.type == "ERROR":
            raise from_status(decode_event(line).object)
    except DECODE_ERRORS as error:
        raise Malformed(f"{what}: an event cannot be decoded") from error
    shown = head.object.metadata
    version = version_number(shown.resource_version)
    return WatchedEvent(head.type, shown.place, version, shown.generation, line)


def event_of(kind: str, item: msgspec.Raw) -> WatchedEvent:
    """Return an event that no watch has brought, as `plan` simulates it."""
    return read_event(msgspec.json.encode({"type": kind, "object": item}), "a simulated event")


def version_number(version: str) -> int:
    """Return a version as an integer, as which versions of one cluster can be compared.

    Raises:
        Malformed: it is not a number.
    """
    if not version.isdecimal():
        raise Malformed("a resourceVersion is not a number")
    return int(version)
