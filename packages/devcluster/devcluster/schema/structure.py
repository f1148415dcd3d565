"""Check that the schema of a definition is structural."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from devcluster.errors import FieldCause
from devcluster.schema.cel_rules import VALIDATIONS, rule_problems
from devcluster.schema.defaulting import defaulted
from devcluster.schema.listtypes import duplicates
from devcluster.schema.pruning import pruned
from devcluster.schema.validation import Place, problems
from devcluster.schema.wording import forbidden, invalid, not_supported, required

Schema = Mapping[str, Any]
TYPES = ("array", "boolean", "integer", "number", "object", "string")
LIST_TYPES = ("atomic", "set", "map")
JUNCTORS = ("allOf", "anyOf", "oneOf")
# What the server would have to carry out and does not.
UNSUPPORTED = ("$ref", "definitions", "dependencies", "patternProperties", "additionalItems", "id")
# What belongs to the value itself and may not be said a second time inside of a junctor.
STRUCTURAL_ONLY = (
    "type",
    "default",
    "nullable",
    "description",
    "x-kubernetes-preserve-unknown-fields",
    "additionalProperties",
)
METADATA_MAY_LIMIT = {"name", "generateName"}


def structure_problems(schema: Schema, field: str) -> Iterator[FieldCause]:
    """Everything that keeps a root schema from being structural."""
    if schema.get("type") != "object":
        if "type" not in schema:
            yield required(f"{field}.type", "must not be empty at the root")
        else:
            yield invalid(f"{field}.type", schema["type"], "must be object at the root")
    yield from _own_fields(schema.get("properties") or {}, f"{field}.properties")
    yield from _inside(schema, field)


def _own_fields(properties: Mapping[str, Schema], field: str) -> Iterator[FieldCause]:
    """What a schema may say of the fields that every object has."""
    for name in ("apiVersion", "kind"):
        said = properties.get(name, {}).get("type", "string")
        if said != "string":
            yield invalid(f"{field}[{name}].type", said, "must be string")
    if set(properties.get("metadata", {}).get("properties") or {}) - METADATA_MAY_LIMIT:
        why = (
            "must not specify anything other than name and generateName, but metadata is "
            "implicitly specified"
        )
        yield forbidden(f"{field}[metadata]", why)


def _inside(schema: Schema, field: str) -> Iterator[FieldCause]:
    yield from _said_of_value(schema, field)
    if schema.get("type") == "array":
        yield from _list_problems(schema, field)
    yield from _default_problems(schema, field)
    if schema.get(VALIDATIONS):
        yield from rule_problems(schema, field)
    for junctor in JUNCTORS:
        for index, one in enumerate(schema.get(junctor) or ()):
            yield from _junctor_problems(one, f"{field}.{junctor}[{index}]")
    for name, below in (schema.get("properties") or {}).items():
        yield from _typed(below, f"{field}.properties[{name}]", "object fields")
        yield from _inside(below, f"{field}.properties[{name}]")
    items, additional = schema.get("items"), schema.get("additionalProperties")
    if isinstance(items, Mapping):
        yield from _typed(items, f"{field}.items", "array items")
        yield from _inside(items, f"{field}.items")
    if isinstance(additional, Mapping):
        yield from _typed(additional, f"{field}.additionalProperties", "object fields")
        yield from _inside(additional, f"{field}.additionalProperties")


def _typed(schema: Schema, field: str, of_what: str) -> Iterator[FieldCause]:
    free = schema.get("x-kubernetes-preserve-unknown-fields") or schema.get(
        "x-kubernetes-int-or-string"
    )
    if "type" not in schema and not free:
        yield required(f"{field}.type", f"must not be empty for specified {of_what}")


def _said_of_value(schema: Schema, field: str) -> Iterator[FieldCause]:
    if "type" in schema and schema["type"] not in TYPES:
        yield not_supported(f"{field}.type", schema["type"], TYPES)
    if schema.get("properties") and schema.get("additionalProperties"):
        yield forbidden(
            f"{field}.additionalProperties",
            "additionalProperties and properties are mutual exclusive",
        )
    if schema.get("uniqueItems"):
        why = "uniqueItems cannot be set to true since the runtime complexity becomes quadratic"
        yield forbidden(f"{field}.uniqueItems", why)
    for word in UNSUPPORTED:
        if word in schema:
            yield forbidden(f"{field}.{word}", f"{word} is not supported")
    if "pattern" in schema:
        try:
            re.compile(schema["pattern"])
        except re.error as error:
            yield invalid(
                f"{field}.pattern",
                schema["pattern"],
                f"must be a valid regular expression, but isn't: {error}",
            )


def _list_problems(schema: Schema, field: str) -> Iterator[FieldCause]:
    kind, items = schema.get("x-kubernetes-list-type"), schema.get("items")
    if not isinstance(items, Mapping):
        yield required(f"{field}.items", "must be specified")
        return
    if kind is not None and kind not in LIST_TYPES:
        yield not_supported(f"{field}.x-kubernetes-list-type", kind, LIST_TYPES)
    if (
        kind == "set"
        and items.get("type") == "object"
        and items.get("x-kubernetes-map-type") != "atomic"
    ):
        why = "must be atomic as item of a list with x-kubernetes-list-type=set"
        yield invalid(
            f"{field}.items.x-kubernetes-map-type", items.get("x-kubernetes-map-type"), why
        )
    if kind == "map":
        yield from _key_problems(schema, items, field)


def _key_problems(schema: Schema, items: Schema, field: str) -> Iterator[FieldCause]:
    keys = schema.get("x-kubernetes-list-map-keys") or ()
    properties: Mapping[str, Schema] = items.get("properties") or {}
    if not keys:
        why = "must not be empty if x-kubernetes-list-type is map"
        yield required(f"{field}.x-kubernetes-list-map-keys", why)
    if any(key not in properties for key in keys):
        yield invalid(
            f"{field}.x-kubernetes-list-map-keys",
            list(keys),
            "entries must all be names of item properties",
        )
        return
    for key in keys:
        if key not in (items.get("required") or ()) and "default" not in properties[key]:
            why = (
                "this property is in x-kubernetes-list-map-keys, so it must have a default or be "
                "a required property"
            )
            yield required(f"{field}.items.properties[{key}].default", why)


def _default_problems(schema: Schema, field: str) -> Iterator[FieldCause]:
    if "default" not in schema:
        return
    unknown: list[str] = []
    default = pruned(schema["default"], schema, unknown)
    if unknown:
        yield invalid(f"{field}.default", schema["default"], "must not have unknown fields")
    value = defaulted(default, schema)
    yield from problems(value, schema, Place(f"{field}.default", ""))
    yield from duplicates(value, schema, f"{field}.default")


def _junctor_problems(schema: Schema, field: str) -> Iterator[FieldCause]:
    for word in STRUCTURAL_ONLY:
        if word in schema:
            yield forbidden(f"{field}.{word}", "must be empty to be structural")
