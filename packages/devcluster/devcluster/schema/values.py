"""JSON values in Kubernetes' terms: type names, equality, absence."""

from collections.abc import Mapping
from enum import Enum
from typing import Any, Final, Literal


class Absent(Enum):
    """The value of what is not there."""

    ABSENT = "absent"


ABSENT: Final = Absent.ABSENT
TypeName = Literal["null", "boolean", "integer", "number", "string", "array", "object"]


def type_name(value: Any) -> TypeName:
    """The JSON type, where 3.0 is an integer."""
    match value:
        case None:
            return "null"
        case bool():
            return "boolean"
        case int():
            return "integer"
        case float():
            return "integer" if value.is_integer() else "number"
        case str():
            return "string"
        case list() | tuple():
            return "array"
    return "object"


def same(one: Any, other: Any) -> bool:
    """Deep equality of JSON values; Python's own says True == 1."""
    if one is other:
        return True
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(
            same(value, other[key]) for key, value in one.items()
        )
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same, one, other))
    return type_name(one) == type_name(other) and bool(one == other)


def child(value: Any, key: str) -> Any:
    """The member of an object, or ABSENT."""
    return value[key] if isinstance(value, dict) and key in value else ABSENT


def keys_of(item: Any, keys: list[str], defaults: Mapping[str, Any]) -> dict[str, Any]:
    """What identifies an item of a list of type map."""
    present = item if isinstance(item, dict) else {}
    return {
        key: present[key] if key in present else defaults[key]
        for key in keys
        if key in present or key in defaults
    }
