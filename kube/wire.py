"""Decode what every kind has in common: metadata, lists and watch events.

`reflector.py` and the readers of objects in all packages call it. Of a watch event only
the name and the version are decoded, because most events of a busy cluster are dropped
then. Errors must not quote an answer, which may be a ConfigMap.
"""

from typing import Any, NamedTuple, TypeVar

import msgspec

from kube.errors import DECODE_ERRORS, Malformed, from_status

Place = tuple[str, str]  # namespace and name; the namespace is empty for cluster-scoped kinds
Shape = TypeVar("Shape")


class ObjectMeta(msgspec.Struct, rename="camel", frozen=True):
    """The metadata that controllers read."""

    name: str = ""
    namespace: str = ""
    uid: str = ""
    resource_version: str = ""
    generation: int | None = None
    creation_timestamp: str | None = None
    deletion_timestamp: str | None = None
    labels: dict[str, str] | None = None
    annotations: dict[str, str] | None = None


class PartialObject(msgspec.Struct, frozen=True):
    """Any object, as far as its metadata."""

    metadata: ObjectMeta


class ListMeta(msgspec.Struct, rename="camel"):
    """The metadata of a list: its version, and where the next page begins."""

    resource_version: str = ""
    continue_: str = msgspec.field(default="", name="continue")


class ObjectList(msgspec.Struct):
    """A page of a list; its items are still raw."""

    metadata: ListMeta
    items: list[msgspec.Raw] | None = None


class Version(msgspec.Struct, rename="camel"):
    """Which version of which object it is; the generation changes with its spec."""

    name: str = ""
    namespace: str = ""
    resource_version: str = ""
    generation: int | None = None

    @property
    def place(self) -> Place:
        """Return the namespace and the name."""
        return (self.namespace, self.name)


class _Head(msgspec.Struct):
    metadata: Version = msgspec.field(default_factory=Version)


class _EventHead(msgspec.Struct):
    type: str
    object: _Head


class _RawEvent(msgspec.Struct):
    object: msgspec.Raw


decode_event = msgspec.json.Decoder(_RawEvent).decode
_decode_head = msgspec.json.Decoder(_EventHead).decode
_decode_versioned = msgspec.json.Decoder(_Head).decode


def decode_version(raw: bytes | msgspec.Raw) -> Version:
    """Return the version of an object, and skip the rest of it."""
    return _decode_versioned(raw).metadata


class WatchedEvent(NamedTuple):
    """An event whose object is not decoded beyond its version.

    Attributes:
        kind: `ADDED`, `MODIFIED`, `DELETED` or `BOOKMARK`.
        place: of the object; empty names for a bookmark.
        version: of the object after the event, or that the bookmark has reached.
        generation: of the object; None for a kind without generations.
        line: as the watch sent it.
    """

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


def check_stored(name: str, version: str, what: str) -> None:
    """Check that an object has a name, and that its version is a number or empty.

    Raises:
        Malformed: the check failed.
    """
    if not name or not (version or "0").isdecimal():
        raise Malformed(f"{what} has no name, or a version that is no number")


def decode_as(answer: bytes | msgspec.Raw, shape: type[Shape], what: str) -> Shape:
    """Return an answer as a value of type `shape`.

    Args:
        answer: in JSON.
        shape: what to decode; other fields are skipped.
        what: names the answer, such as "the ConfigMap"; never its content.

    Raises:
        Malformed: it is not JSON, or has another shape. A proxy before the API server may answer
            with something else; the caller retries.
    """
    try:
        return msgspec.json.decode(answer, type=shape)
    except DECODE_ERRORS as error:
        raise Malformed(f"{what} cannot be decoded") from error


def decode_object(answer: bytes | msgspec.Raw, what: str) -> dict[str, Any]:
    """Return a whole object as a document with metadata.

    Raises:
        Malformed: it is none.
    """
    document = decode_as(answer, dict[str, Any], what)
    if not isinstance(document.get("metadata"), dict):
        raise Malformed(f"{what} has no metadata")
    return document
