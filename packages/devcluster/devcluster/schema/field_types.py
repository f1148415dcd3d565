"""Derive the field types of a custom resource (`types.py`) from its schema."""

from collections.abc import Mapping
from typing import Any

from devcluster.schema.types import ANY, OBJECT_META, STRING, ListOf, MapOf, Scalar, Struct, Type

Schema = Mapping[str, Any]
SCALARS: dict[str, Scalar] = {
    "string": STRING,
    "integer": Scalar("integer"),
    "number": Scalar("number"),
    "boolean": Scalar("boolean"),
}


def object_type_of(schema: Schema) -> Struct:
    """The type of a whole object."""
    declared = {name: _type(below) for name, below in (schema.get("properties") or {}).items()}
    return Struct("", {**declared, "apiVersion": STRING, "kind": STRING, "metadata": OBJECT_META})


def _type(schema: Schema) -> Type:
    if schema.get("x-kubernetes-int-or-string"):
        return Scalar("string", "int-or-string")
    if schema.get("x-kubernetes-preserve-unknown-fields") or schema.get(
        "x-kubernetes-embedded-resource"
    ):
        return ANY
    kind = schema.get("type", "")
    if kind == "array":
        return _list(schema)
    if kind == "object":
        return _object(schema)
    return SCALARS.get(kind, ANY)


def _list(schema: Schema) -> ListOf:
    kind = schema.get("x-kubernetes-list-type", "atomic")
    return ListOf(
        _type(schema.get("items") or {}),
        kind,
        tuple(schema.get("x-kubernetes-list-map-keys") or ()),
    )


def _object(schema: Schema) -> Type:
    properties = {name: _type(below) for name, below in (schema.get("properties") or {}).items()}
    if schema.get("x-kubernetes-map-type") == "atomic":
        return Struct("", properties, atomic=True)
    if isinstance(schema.get("additionalProperties"), Mapping):
        return MapOf(_type(schema["additionalProperties"]))
    return Struct("", properties) if properties else ANY
