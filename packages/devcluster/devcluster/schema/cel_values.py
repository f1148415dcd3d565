"""Convert JSON values to CEL by their schema: a date-time is a timestamp."""

import base64
import re
from collections.abc import Mapping
from typing import Any

from celpy import celtypes
from celpy.adapter import json_to_cel

Schema = Mapping[str, Any]
# Words of CEL's own: a field of that name is also called __name__ in a rule.
RESERVED = frozenset(
    {
        "true",
        "false",
        "null",
        "in",
        "as",
        "break",
        "const",
        "continue",
        "else",
        "for",
        "function",
        "if",
        "import",
        "let",
    }
    | {"loop", "package", "namespace", "return", "var", "void", "while"}
)
ESCAPES = {"__": "__underscores__", ".": "__dot__", "-": "__dash__", "/": "__slash__"}
ESCAPED = re.compile("|".join(map(re.escape, ESCAPES)))


def cel_value(value: Any, schema: Schema) -> Any:
    """Translate a value that its schema has found valid."""
    if isinstance(value, dict):
        return _cel_object(value, schema)
    if isinstance(value, list):
        items: Schema = schema.get("items") or {}
        return celtypes.ListType([cel_value(item, items) for item in value])
    if isinstance(value, str):
        return _cel_text(value, schema.get("format"))
    if (
        isinstance(value, int | float)
        and not isinstance(value, bool)
        and schema.get("type") == "number"
    ):
        return celtypes.DoubleType(value)
    return json_to_cel(value)


def _cel_object(value: Mapping[str, Any], schema: Schema) -> celtypes.MapType:
    properties: Mapping[str, Schema] = schema.get("properties") or {}
    additional = schema.get("additionalProperties")
    other = additional if isinstance(additional, Mapping) else {}
    members = celtypes.MapType()
    for key, member in value.items():
        translated = cel_value(member, properties.get(key, other))
        for name in _names(key) if key in properties else (key,):
            members[celtypes.StringType(name)] = translated
    return members


def _names(key: str) -> tuple[str, ...]:
    """What a rule may call a declared field."""
    if key in RESERVED:
        return (key, f"__{key}__")
    return (ESCAPED.sub(lambda found: ESCAPES[found[0]], key),)


def _cel_text(text: str, name: str | None) -> Any:
    match name:
        case "date-time":
            return celtypes.TimestampType(text)
        case "date":
            return celtypes.TimestampType(f"{text}T00:00:00Z")
        case "duration":
            return celtypes.DurationType(text)
        case "byte":
            return celtypes.BytesType(base64.b64decode(text))
    return celtypes.StringType(text)
