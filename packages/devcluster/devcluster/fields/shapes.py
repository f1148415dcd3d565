"""Split a value into fields by its type, granular or atomic."""

import json
from collections.abc import Mapping
from typing import Any

from devcluster.fields.paths import Element
from devcluster.schema.kinds import Kind
from devcluster.schema.types import ANY, AnyValue, ListOf, MapOf, Struct, Type
from devcluster.schema.values import ABSENT

Child = tuple[Any, Type]


def types_of(kind: Kind) -> Type:
    """The type of the objects of a kind."""
    if kind.type is not None:
        return kind.type
    return ANY if kind.custom is None else kind.custom.schema.field_types


def is_leaf(type_: Type, *values: Any) -> bool:
    """Whether values of this type are owned as a whole.

    An open value (AnyValue) is owned field by field if it is an object. A value that is empty on
    all sides is owned as a whole.
    """
    match type_:
        case MapOf():
            granular = True
        case Struct():
            granular = not type_.atomic
        case ListOf():
            granular = type_.kind != "atomic"
        case AnyValue():
            granular = all(isinstance(value, dict) for value in values if value is not ABSENT)
        case _:
            granular = False
    return not granular or not any(isinstance(value, dict | list) and value for value in values)


def children(value: Any, type_: Type) -> dict[Element, Child]:
    """Return the parts of a granular value by path element; the last of two equal keys."""
    if isinstance(value, dict) and not isinstance(type_, ListOf):
        return {f"f:{name}": (member, member_type(type_, name)) for name, member in value.items()}
    if isinstance(value, list) and isinstance(type_, ListOf):
        return {item_element(item, type_): (item, type_.item) for item in value}
    return {}


def member_type(type_: Type, name: str) -> Type:
    """The type of a member of an object."""
    if isinstance(type_, Struct):
        return type_.fields.get(name, ANY)
    return type_.value if isinstance(type_, MapOf) else ANY


def is_declared(type_: Type, element: Element) -> bool:
    """Return whether a path element is a field of a struct, not a map entry or list item."""
    return isinstance(type_, Struct) and element.startswith("f:") and element[2:] in type_.fields


def item_element(item: Any, type_: ListOf) -> Element:
    """The path element of an item of a set or of a list with keys."""
    if type_.kind == "map":
        present = item if isinstance(item, Mapping) else {}
        keys = {key: present.get(key) for key in sorted(type_.keys) if key in present}
        return f"k:{json.dumps(keys, separators=(',', ':'))}"
    return f"v:{json.dumps(item, separators=(',', ':'))}"
