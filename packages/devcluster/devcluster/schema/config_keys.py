"""Validate the keys and the immutability of ConfigMaps and Secrets. Pure."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from devcluster.errors import FieldCause
from devcluster.schema.field_problems import invalid_value

KEY_LIMIT = 253
KEY_WORDS = (
    "a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. "
    "'key.name',  or 'KEY_NAME',  or 'key-name', "
    "regex used for validation is '[-._a-zA-Z0-9]+')"
)

Document = Mapping[str, Any]


def key_causes(key: str, field: str) -> Iterator[FieldCause]:
    """What is wrong with a key of data."""
    if len(key) > KEY_LIMIT:
        yield invalid_value(field, key, f"must be no more than {KEY_LIMIT} characters")
    elif not key or not all(
        letter.isascii() and (letter.isalnum() or letter in "-._") for letter in key
    ):
        yield invalid_value(field, key, KEY_WORDS)
    elif key == ".":
        yield invalid_value(field, key, "must not be '.'")
    elif key == ".." or key.startswith(".."):
        yield invalid_value(
            field, key, "must not be '..'" if key == ".." else "must not start with '..'"
        )


def immutable_causes(
    document: Document, old: Document, parts: Iterable[str]
) -> Iterator[FieldCause]:
    """What an update of an immutable object may not change."""
    why = "Forbidden: field is immutable when `immutable` is set"
    if not document.get("immutable"):
        yield FieldCause("FieldValueForbidden", "immutable", why)
    for part in parts:
        if (document.get(part) or {}) != (old.get(part) or {}):
            yield FieldCause("FieldValueForbidden", part, why)
