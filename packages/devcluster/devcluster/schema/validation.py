"""Validate a value by its schema, in kube-apiserver's words.

`listtypes.py` and `cel_rules.py` validate what concerns more than one value. An
unchanged part of an update is not validated again, so that a stricter schema does not
block other edits.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Self

from devcluster.errors import FieldCause
from devcluster.schema.formats import has_format
from devcluster.schema.values import ABSENT, child, keys_of, same, type_name
from devcluster.schema.wording import (
    invalid,
    not_supported,
    required,
    shown,
    too_long,
    too_many,
    wrong_type,
)

Schema = Mapping[str, Any]
INTEGER_LIMITS = {"int32": 1 << 31, "int64": 1 << 63}
EMBEDDED_REQUIRED = ("apiVersion", "kind")


@dataclass(frozen=True, slots=True)
class Place:
    """The place of a value: `field` in causes, `told` in messages (relative in a status)."""

    field: str
    told: str

    def member(self, key: str) -> Self:
        """The place of a member of the object here."""
        return type(self)(_joined(self.field, key), _joined(self.told, key))

    def item(self, index: int) -> Self:
        """The place of an item of the list here."""
        return type(self)(f"{self.field}[{index}]", f"{self.told}[{index}]")


def problems(value: Any, schema: Schema, place: Place, old: Any = ABSENT) -> Iterator[FieldCause]:
    """Everything that is wrong with a value; `old` is what stood in its place before."""
    if old is not ABSENT and same(value, old):
        return
    if value is None and schema.get("nullable"):
        return
    kind = type_name(value)
    mismatch = _expected_type(schema, kind)
    if mismatch is not None:
        yield wrong_type(place.field, kind, f"{place.told} in body must be of type {mismatch}")
    if "enum" in schema and not any(same(value, allowed) for allowed in schema["enum"]):
        yield not_supported(place.field, value, schema["enum"])
    if mismatch is None:
        if kind == "object":
            yield from _object_problems(value, schema, place, old)
        elif kind == "array":
            yield from _array_problems(value, schema, place, old)
        elif kind == "string":
            yield from _string_problems(value, schema, place)
        elif kind in ("integer", "number"):
            yield from _number_problems(value, schema, place)
    yield from _junctor_problems(value, schema, place)


def _expected_type(schema: Schema, kind: str) -> str | None:
    """The type that the value should have had; None where it has it."""
    if schema.get("x-kubernetes-int-or-string"):
        return None if kind in ("integer", "string") else "integer,string"
    expected: str | None = schema.get("type")
    if expected is None or kind == expected or (expected == "number" and kind == "integer"):
        return None
    return expected


def _object_problems(
    value: dict[str, Any], schema: Schema, place: Place, old: Any
) -> Iterator[FieldCause]:
    least, most = schema.get("minProperties"), schema.get("maxProperties")
    if least is not None and len(value) < least:
        yield invalid(
            place.field, len(value), f"{place.told} in body should have at least {least} properties"
        )
    if most is not None and len(value) > most:
        yield too_many(place.field, len(value), most)
    needed = [*(schema.get("required") or ()), *(EMBEDDED_REQUIRED if _embeds(schema) else ())]
    properties: Mapping[str, Schema] = schema.get("properties") or {}
    additional = schema.get("additionalProperties")
    for key in sorted({*needed, *value}):
        if key in value:
            member_schema = properties.get(
                key, additional if isinstance(additional, Mapping) else {}
            )
            yield from problems(value[key], member_schema, place.member(key), child(old, key))
        else:
            yield required(place.member(key).field)


def _array_problems(
    value: list[Any], schema: Schema, place: Place, old: Any
) -> Iterator[FieldCause]:
    least, most = schema.get("minItems"), schema.get("maxItems")
    if least is not None and len(value) < least:
        yield invalid(
            place.field, len(value), f"{place.told} in body should have at least {least} items"
        )
    if most is not None and len(value) > most:
        yield too_many(place.field, len(value), most)
    items: Schema = schema.get("items") or {}
    before = old_items(value, schema, old)
    for index, item in enumerate(value):
        yield from problems(item, items, place.item(index), before[index])


def old_items(value: list[Any], schema: Schema, old: Any) -> list[Any]:
    """Return the former value of each item, by keys in a list of type map, else none."""
    if schema.get("x-kubernetes-list-type") != "map" or not isinstance(old, list):
        return [ABSENT] * len(value)
    keys: list[str] = schema["x-kubernetes-list-map-keys"]
    properties: Mapping[str, Schema] = (schema.get("items") or {}).get("properties") or {}
    defaults = {
        key: properties[key]["default"] for key in keys if "default" in properties.get(key, {})
    }
    known = {shown(keys_of(item, keys, defaults)): item for item in reversed(old)}
    return [known.get(shown(keys_of(item, keys, defaults)), ABSENT) for item in value]


def _string_problems(value: str, schema: Schema, place: Place) -> Iterator[FieldCause]:
    name = schema.get("format")
    if name is not None and not has_format(value, name):
        yield wrong_type(place.field, value, f"{place.told} in body must be of type {name}")
    least, most, pattern = schema.get("minLength"), schema.get("maxLength"), schema.get("pattern")
    if most is not None and len(value) > most:
        yield too_long(place.field, most)
    elif least is not None and len(value) < least:
        yield invalid(
            place.field, value, f"{place.told} in body should be at least {least} chars long"
        )
    elif pattern is not None and not _pattern(pattern).search(value):
        yield invalid(place.field, value, f"{place.told} in body should match '{pattern}'")


def _number_problems(value: float, schema: Schema, place: Place) -> Iterator[FieldCause]:
    limit = INTEGER_LIMITS.get(schema.get("format", ""))
    if limit is not None and not -limit <= value < limit:
        yield invalid(
            "<nil>",
            "",
            f"Checked value must be of type integer with format {schema['format']} in {place.told}",
        )
    factor, most, least = schema.get("multipleOf"), schema.get("maximum"), schema.get("minimum")
    if factor is not None and (value / factor) % 1 != 0:
        yield invalid(
            place.field,
            value,
            f"{place.told} in body should be a multiple of {_bound(factor, value)}",
        )
    elif most is not None and (value > most or (schema.get("exclusiveMaximum") and value == most)):
        relation = "less than" if schema.get("exclusiveMaximum") else "less than or equal to"
        yield invalid(
            place.field, value, f"{place.told} in body should be {relation} {_bound(most, value)}"
        )
    elif least is not None and (
        value < least or (schema.get("exclusiveMinimum") and value == least)
    ):
        relation = "greater than" if schema.get("exclusiveMinimum") else "greater than or equal to"
        yield invalid(
            place.field, value, f"{place.told} in body should be {relation} {_bound(least, value)}"
        )


def _junctor_problems(value: Any, schema: Schema, place: Place) -> Iterator[FieldCause]:
    """allOf, anyOf, oneOf and not: their causes have no field."""
    told = f'"{place.told}" must'
    valid = [_holds(value, one, place) for one in schema.get("oneOf") or ()]
    if valid and sum(valid) != 1:
        found = f"Found {sum(valid)} valid alternatives" if any(valid) else "Found none valid"
        yield invalid("<nil>", "", f"{told} validate one and only one schema (oneOf). {found}")
    if schema.get("anyOf") and not any(_holds(value, one, place) for one in schema["anyOf"]):
        yield invalid("<nil>", "", f"{told} validate at least one schema (anyOf)")
    for one in schema.get("allOf") or ():
        yield from problems(value, one, place)
    if schema.get("not") is not None and _holds(value, schema["not"], place):
        yield invalid("<nil>", "", f"{told} not validate the schema (not)")


def _holds(value: Any, schema: Schema, place: Place) -> bool:
    return next(problems(value, schema, place), None) is None


def _embeds(schema: Schema) -> bool:
    return bool(schema.get("x-kubernetes-embedded-resource"))


def _bound(bound: float, value: float) -> str:
    """The bound as the real server prints it: without its fraction beside an integer."""
    return (
        f"{int(bound) if isinstance(value, int) else bound:g}" if abs(bound) < 1e6 else str(bound)
    )


def _joined(path: str, key: str) -> str:
    return f"{path}.{key}" if path else key


# At an end, Go's "$" is the end of the text; Python's is also the place before a last newline.
END = re.compile(r"(?<!\\)\$(?=$|[)|])")


@lru_cache(maxsize=1024)
def _pattern(pattern: str) -> re.Pattern[str]:
    return re.compile(END.sub(r"\\Z", pattern))
