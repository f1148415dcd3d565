"""Parse a sync from JSON: its spec strictly, the rest leniently.

Both processes call it for each sync that they read or review. The cost must be bounded
for any document, because a tenant writes it.
"""

import json
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import msgspec
from pydantic import ValidationError

from configmapsync.fielderrors import FieldError, limited
from configmapsync.resource import ConfigMapSync, ObjectMeta
from configmapsync.schema_errors import field_errors, size_errors
from configmapsync.spec import ConfigMapSyncSpec
from configmapsync.status import ConfigMapSyncStatus

LARGEST_DOCUMENT = 8 * 1024 * 1024  # bytes; the API server takes at most 3 MiB

_NO_STATUS = ConfigMapSyncStatus()
_META_FIELDS = tuple(field.encode_name for field in msgspec.structs.fields(ObjectMeta))
_decode_metadata = msgspec.json.Decoder(ObjectMeta).decode
_decode_status: Callable[[bytes], ConfigMapSyncStatus | None] = msgspec.json.Decoder(
    ConfigMapSyncStatus | None
).decode
# Not JSON or not of the expected shape, not UTF-8, or nested too deeply.
_UNREADABLE = (msgspec.DecodeError, UnicodeError, RecursionError)

_Part = TypeVar("_Part", bound=msgspec.Struct)


class InvalidResourceError(Exception):
    """The spec of a document does not match the schema; `errors` lists the first 20 errors."""

    def __init__(self, errors: tuple[FieldError, ...], metadata: ObjectMeta) -> None:
        super().__init__("; ".join(str(error) for error in errors))
        self.errors = errors
        self.metadata = metadata


def parse(document: Mapping[str, Any] | bytes) -> ConfigMapSync:
    """Parse a sync: its spec strictly, the rest leniently. The cost is bounded for any document.

    Args:
        document: the object, decoded or as JSON text.

    Raises:
        InvalidResourceError: the spec does not match the schema.
        ValueError: the text is not a JSON object, or its metadata is not that of an object.
    """
    raw = _decoded(document) if isinstance(document, bytes) else document
    if not isinstance(raw, Mapping):
        raise ValueError(f"a resource is an object, not a {type(raw).__name__}")  # noqa: TRY004 - as for text that is no JSON
    metadata = read_metadata(raw.get("metadata"))
    spec = parse_spec(raw.get("spec"), metadata)
    return ConfigMapSync(metadata, spec, read_status(raw.get("status")))


def parse_spec(document: Any, metadata: ObjectMeta) -> ConfigMapSyncSpec:
    """Parse a spec. The cost is bounded for any document.

    Args:
        document: the spec as JSON values; None if there is none.
        metadata: of the sync, for the error.

    Raises:
        InvalidResourceError: the spec does not match the schema.
    """
    if errors := size_errors("spec", document):
        raise InvalidResourceError(limited(errors), metadata)
    try:
        return ConfigMapSyncSpec.model_validate(
            {} if document is None else _without_nulls(document), by_alias=True, by_name=False
        )
    except ValidationError as error:
        raise InvalidResourceError(
            limited(field_errors("spec", error.errors(include_url=False))), metadata
        ) from None


def read_status(document: Any) -> ConfigMapSyncStatus | None:
    """Return a status; None if it is empty or unreadable. The next reconcile replaces it then.

    Args:
        document: the status as JSON values.
    """
    try:
        return _converted(document, ConfigMapSyncStatus) if document else None
    except ValueError:
        return None


def decode_status(raw: bytes) -> ConfigMapSyncStatus | None:
    """Return a status as `read_status` does, from JSON."""
    try:
        status = _decode_status(raw)
    except _UNREADABLE:
        return None
    return None if status == _NO_STATUS else status


def read_metadata(document: Any) -> ObjectMeta:
    """Return the metadata; fields that the operator does not use are not decoded.

    Args:
        document: the metadata as JSON values; None if there is none.

    Raises:
        ValueError: the document is not the metadata of an object.
    """
    if document is None:
        return ObjectMeta()
    if not isinstance(document, Mapping):
        raise ValueError("the metadata of a resource is an object")  # noqa: TRY004 - as for text that is no JSON
    present = {name: document[name] for name in _META_FIELDS if document.get(name) is not None}
    return _converted(present, ObjectMeta)


def decode_metadata(raw: bytes | msgspec.Raw) -> ObjectMeta:
    """Return the metadata as `read_metadata` does, from JSON.

    Raises:
        ValueError: the text is not the metadata of an object.
    """
    try:
        return _decode_metadata(raw)
    except _UNREADABLE:
        # Explicit nulls, which mean unset fields, are rare in a stored object.
        return read_metadata(_decoded(bytes(raw)))


def _converted(document: Any, kind: type[_Part]) -> _Part:
    """Return JSON values as a struct.

    Raises:
        ValueError: a value has another type, or a text that JSON cannot hold.
    """
    try:
        part = msgspec.convert(document, kind)
        msgspec.json.encode(part)  # fails for half a surrogate pair, which YAML can hold
    except (*_UNREADABLE, OverflowError) as error:
        raise ValueError(str(error)) from error
    return part


def _decoded(text: bytes) -> Any:
    if len(text) > LARGEST_DOCUMENT:
        raise ValueError(f"a resource has at most {LARGEST_DOCUMENT} bytes, not {len(text)}")
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("the document is nested too deeply") from None


def _without_nulls(value: Any) -> Any:
    """Remove explicit nulls, which mean an unset field everywhere in Kubernetes."""
    if isinstance(value, Mapping):
        return {key: _without_nulls(item) for key, item in value.items() if item is not None}
    return [_without_nulls(item) for item in value] if isinstance(value, list) else value
