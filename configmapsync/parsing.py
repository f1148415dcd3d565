"""Parse a sync from JSON: its spec strictly, the rest leniently.

Both processes call it for each sync that they read or review. The cost must be bounded
for any document, because a tenant writes it.
"""

import json
from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from configmapsync.fielderrors import FieldError, limited
from configmapsync.resource import (
    ConfigMapSync,
    ConfigMapSyncSpec,
    ConfigMapSyncStatus,
    ObjectMeta,
)
from configmapsync.schema_errors import field_errors, size_errors

_META_ALIASES = tuple(field.alias or name for name, field in ObjectMeta.model_fields.items())
LARGEST_DOCUMENT = 8 * 1024 * 1024  # bytes; the API server takes at most 3 MiB


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
    present = raw.get("spec")
    if errors := size_errors("spec", present):
        raise InvalidResourceError(limited(errors), metadata)
    try:
        spec = ConfigMapSyncSpec.model_validate(
            {} if present is None else _without_nulls(present), by_alias=True, by_name=False
        )
    except ValidationError as error:
        raise InvalidResourceError(
            limited(field_errors("spec", error.errors(include_url=False))), metadata
        ) from None
    return ConfigMapSync(metadata=metadata, spec=spec, status=read_status(raw.get("status")))


def read_status(document: Any) -> ConfigMapSyncStatus | None:
    """Return a status; None if it is unreadable, and then the next reconcile replaces it."""
    try:
        return ConfigMapSyncStatus.model_validate(document) if document else None
    except ValidationError:
        return None


def read_metadata(document: Any) -> ObjectMeta:
    """Return the metadata; fields that the operator does not use are not decoded.

    Raises:
        ValueError: the document is not the metadata of an object.
    """
    if document is None:
        return ObjectMeta()
    if not isinstance(document, Mapping):
        raise ValueError("the metadata of a resource is an object")  # noqa: TRY004 - as for text that is no JSON
    return ObjectMeta.model_validate(
        {alias: document[alias] for alias in _META_ALIASES if document.get(alias) is not None}
    )


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
