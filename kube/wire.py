"""Decode what every kind has in common: metadata, lists and watch events.

`reflector.py` and the readers of objects use these structs. Fields that no controller
reads, such as managedFields, are not decoded.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import msgspec

from kube.errors import Malformed

Place = tuple[str, str]  # namespace and name; the namespace is empty for cluster-scoped kinds

# What decoding an answer may raise: not JSON or not of the expected shape, not UTF-8, or nested
# too deeply.
DECODE_ERRORS = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


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


class WatchEvent(msgspec.Struct):
    """One line of a watch; its object is still raw."""

    type: str
    object: msgspec.Raw


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


class _Versioned(msgspec.Struct):
    metadata: Version


decode_list = msgspec.json.Decoder(ObjectList).decode
decode_event = msgspec.json.Decoder(WatchEvent).decode
decode_partial = msgspec.json.Decoder(PartialObject).decode
_decode_versioned = msgspec.json.Decoder(_Versioned).decode


def decode_version(raw: bytes | msgspec.Raw) -> Version:
    """Return the version of an object, and skip the rest of it."""
    return _decode_versioned(raw).metadata


@contextmanager
def decoding(what: str) -> Iterator[None]:
    """Raise `Malformed` where the block cannot decode an answer.

    A proxy before the API server may answer with something else; the caller retries.

    Args:
        what: names the answer, such as "the ConfigMap"; never its content.
    """
    try:
        yield
    except DECODE_ERRORS as error:
        raise Malformed(f"{what} cannot be decoded") from error


def check_stored(name: str, version: str, what: str) -> None:
    """Check that an object has a name and a numeric version, or none.

    Raises:
        Malformed: it has not.
    """
    if not name or not (version or "0").isdecimal():
        raise Malformed(f"{what} has no name, or a version that is no number")


def decode_object(answer: bytes | msgspec.Raw, what: str) -> dict[str, Any]:
    """Return a whole object as a document with metadata.

    Raises:
        Malformed: it is none.
    """
    with decoding(what):
        document: dict[str, Any] = msgspec.json.decode(answer, type=dict[str, Any])
    if not isinstance(document.get("metadata"), dict):
        raise Malformed(f"{what} has no metadata")
    return document


def decode_shaped(answer: bytes, shape: type[msgspec.Struct], what: str) -> dict[str, Any]:
    """Return a whole document whose fields have the types of `shape`.

    Args:
        answer: the document in JSON.
        shape: the fields that the caller reads; other fields may hold anything.
        what: names the answer, such as "the Secret"; never its content.

    Raises:
        Malformed: the answer is not JSON, or a field has another type.
    """
    with decoding(what):
        document: dict[str, Any] = msgspec.json.decode(answer)
        msgspec.convert(document, shape)
    return document
