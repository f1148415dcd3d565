"""Validate lists of type set and map: no item twice."""

from collections.abc import Iterator, Mapping
from typing import Any

from devcluster.errors import FieldCause
from devcluster.schema.validation import old_items
from devcluster.schema.values import ABSENT, child, keys_of, same
from devcluster.schema.wording import duplicate, invalid, shown

Schema = Mapping[str, Any]


def duplicates(
    value: Any, schema: Schema, field: str = "", old: Any = ABSENT
) -> Iterator[FieldCause]:
    """Yield items that occur twice, at any depth, except in unchanged parts of an update."""
    if old is not ABSENT and same(value, old):
        return
    if isinstance(value, list):
        yield from _twice(value, schema, field)
        items: Schema = schema.get("items") or {}
        for index, (item, before) in enumerate(
            zip(value, old_items(value, schema, old), strict=True)
        ):
            yield from duplicates(item, items, f"{field}[{index}]", before)
    elif isinstance(value, dict):
        properties: Mapping[str, Schema] = schema.get("properties") or {}
        additional = schema.get("additionalProperties")
        for key in sorted(value):
            member_schema = properties.get(
                key, additional if isinstance(additional, Mapping) else {}
            )
            yield from duplicates(
                value[key], member_schema, f"{field}.{key}" if field else key, child(old, key)
            )


def _twice(value: list[Any], schema: Schema, field: str) -> Iterator[FieldCause]:
    kind = schema.get("x-kubernetes-list-type")
    if kind not in ("set", "map"):
        return
    seen: dict[str, int] = {}
    for index, item in enumerate(value):
        if kind == "map" and not isinstance(item, dict):
            if item is not None:
                yield invalid(
                    f"{field}[{index}]", item, "must be an object for an array of list-type map"
                )
            continue
        identity = (
            keys_of(item, schema["x-kubernetes-list-map-keys"], {}) if kind == "map" else item
        )
        seen[shown(identity)] = seen.get(shown(identity), 0) + 1
        if seen[shown(identity)] == 2:  # reported once, however often it repeats
            yield duplicate(f"{field}[{index}]", identity)
