"""Parse a sync from JSON: spec and metadata strictly, a stored status leniently.

`cluster/syncs.py` parses the syncs of the cluster, the webhook and the plugin those
that they check. A tenant writes the documents, so the cost must be bounded for any.
"""

from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from typing import Any

import msgspec
from pydantic import ValidationError

from configmapsync.fielderrors import FieldError, limited
from configmapsync.resource import ConfigMapSync, ObjectMeta
from configmapsync.schema_errors import field_errors, size_errors
from configmapsync.spec import ConfigMapSyncSpec
from configmapsync.status import ConfigMapSyncStatus

_NO_STATUS = ConfigMapSyncStatus()
_META_FIELDS = tuple(field.encode_name for field in msgspec.structs.fields(ObjectMeta))
_decode_metadata = msgspec.json.Decoder(ObjectMeta).decode
_decode_status: Callable[[bytes], ConfigMapSyncStatus | None] = msgspec.json.Decoder(
    ConfigMapSyncStatus | None
).decode
# Not JSON or not of the expected shape, not UTF-8, or nested too deeply.
_UNREADABLE = (msgspec.DecodeError, UnicodeError, RecursionError)


class InvalidResourceError(Exception):
    """A spec does not match the schema; `errors` lists the first 20 and counts the rest."""

    def __init__(self, errors: Iterable[FieldError]) -> None:
        self.errors = limited(errors)
        super().__init__("; ".join(map(str, self.errors)))


def parse(document: Mapping[str, Any]) -> ConfigMapSync:
    """Parse the metadata and the spec of a sync. The cost is bounded for any document.

    Args:
        document: the object as JSON values.

    Raises:
        InvalidResourceError: the spec does not match the schema.
        ValueError: the metadata is no object, or one of its fields has another type.
    """
    return ConfigMapSync(read_metadata(document.get("metadata")), parse_spec(document.get("spec")))


def parse_spec(document: Any) -> ConfigMapSyncSpec:
    """Parse a spec. The cost is bounded for any document.

    Args:
        document: the spec as JSON values; None if there is none.

    Raises:
        InvalidResourceError: the spec does not match the schema.
    """
    if errors := size_errors("spec", document):
        raise InvalidResourceError(errors)
    try:
        return ConfigMapSyncSpec.model_validate(
            {} if document is None else _without_nulls(document), by_alias=True, by_name=False
        )
    except ValidationError as error:
        errors = field_errors("spec", error.errors(include_url=False))
        raise InvalidResourceError(errors) from None


def decode_status(raw: bytes) -> ConfigMapSyncStatus | None:
    """Return a status from JSON; None if it is empty or unreadable.

    The next reconcile replaces an unreadable status.
    """
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
        ValueError: a field has another type, or a text that JSON cannot hold.
    """
    if document is None:
        return ObjectMeta()
    if not isinstance(document, Mapping):
        raise ValueError("the metadata of a resource is an object")  # noqa: TRY004 - as for a wrong field
    present = {name: document[name] for name in _META_FIELDS if document.get(name) is not None}
    try:
        metadata = msgspec.convert(present, ObjectMeta)
        msgspec.json.encode(metadata)  # fails for half a surrogate pair, which YAML can hold
    except (*_UNREADABLE, OverflowError) as error:
        raise ValueError(str(error)) from error
    return metadata


def decode_metadata(raw: bytes | msgspec.Raw) -> ObjectMeta:
    """Return the metadata as `read_metadata` does, from JSON.

    Raises:
        ValueError: the text is not the metadata of an object.
    """
    with suppress(*_UNREADABLE):
        return _decode_metadata(raw)
    try:  # explicit nulls, which mean unset fields, are rare in a stored object
        return read_metadata(msgspec.json.decode(raw))
    except RecursionError:
        raise ValueError("the metadata is nested too deeply") from None


def _without_nulls(value: Any) -> Any:
    """Remove explicit nulls, which mean an unset field everywhere in Kubernetes."""
    if isinstance(value, Mapping):
        return {key: _without_nulls(item) for key, item in value.items() if item is not None}
    return [_without_nulls(item) for item in value] if isinstance(value, list) else value
