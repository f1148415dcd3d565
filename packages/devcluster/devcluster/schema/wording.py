"""Causes in the words of kube-apiserver's schema validation."""

import json
from collections.abc import Iterable
from typing import Any

from devcluster.errors import FieldCause

REASONS = {"FieldValueRequired": "Required value", "FieldValueForbidden": "Forbidden"}


def shown(value: Any) -> str:
    """A value as Go prints it: JSON without spaces, keys sorted."""
    return json.dumps(value, separators=(",", ":"), sort_keys=True, ensure_ascii=False)


def invalid(field: str, value: Any, why: str) -> FieldCause:
    """A value that breaks a rule."""
    return FieldCause("FieldValueInvalid", field, f"Invalid value: {shown(value)}: {why}")


def wrong_type(field: str, value: Any, why: str) -> FieldCause:
    """A value of another type or format than declared; `why` ends before the value."""
    return FieldCause(
        "FieldValueTypeInvalid", field, f"Invalid value: {shown(value)}: {why}: {shown(value)}"
    )


def not_supported(field: str, value: Any, allowed: Iterable[Any]) -> FieldCause:
    """A value that is none of those allowed."""
    listed = ", ".join(f'"{one}"' if isinstance(one, str) else f'"{shown(one)}"' for one in allowed)
    return FieldCause(
        "FieldValueNotSupported",
        field,
        f"Unsupported value: {shown(value)}: supported values: {listed}",
    )


def required(field: str, why: str = "") -> FieldCause:
    """A value that is not there."""
    return FieldCause(
        "FieldValueRequired", field, f"Required value: {why}" if why else "Required value"
    )


def duplicate(field: str, value: Any) -> FieldCause:
    """A value that was there before."""
    return FieldCause("FieldValueDuplicate", field, f"Duplicate value: {shown(value)}")


def too_long(field: str, most: int) -> FieldCause:
    """A text with too many characters (the real server says bytes)."""
    return FieldCause("FieldValueTooLong", field, f"Too long: may not be more than {most} bytes")


def too_many(field: str, count: int, most: int) -> FieldCause:
    """A list or map with too many entries."""
    return FieldCause(
        "FieldValueTooMany", field, f"Too many: {count}: must have at most {most} items"
    )


def forbidden(field: str, why: str) -> FieldCause:
    """A value that must not be there."""
    return FieldCause("FieldValueForbidden", field, f"Forbidden: {why}")
