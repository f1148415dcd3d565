"""Apply the defaults of a schema, and drop nulls where null is not allowed. Pure."""

import copy
from collections.abc import Mapping
from typing import Any

Schema = Mapping[str, Any]


def defaulted(value: Any, schema: Schema) -> Any:
    """Return the value with all its defaults, also inside of defaulted values."""
    if isinstance(value, list):
        items = schema.get("items") or {}
        return [defaulted(item, items) for item in value]
    if not isinstance(value, dict):
        return value
    properties: Mapping[str, Schema] = schema.get("properties") or {}
    additional = schema.get("additionalProperties")
    other = additional if isinstance(additional, Mapping) else {}
    filled = {
        key: defaulted(member, properties.get(key, other))
        for key, member in value.items()
        if member is not None or _may_be_null(properties.get(key, other))
    }
    for key, member_schema in properties.items():
        if key not in filled and "default" in member_schema:
            filled[key] = defaulted(copy.deepcopy(member_schema["default"]), member_schema)
    return filled


def _may_be_null(schema: Schema) -> bool:
    """Whether null stays: where it is declared, and where nothing is said of the value."""
    return bool(schema.get("nullable")) or not (
        "type" in schema or schema.get("x-kubernetes-int-or-string")
    )
