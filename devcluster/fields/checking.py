"""Whether a document that is applied fits the types; the first thing that does not, in the words of the real server."""

import json
from typing import Any

from devcluster.fields.paths import Path, spelled
from devcluster.fields.shapes import item_element, member_type
from devcluster.structural.values import type_name
from devcluster.types import AnyValue, ListOf, Scalar, Struct, Type

NAMES = {"boolean": "boolean", "integer": "numeric", "number": "numeric", "string": "string"}


def first_problem(value: Any, type_: Type, path: Path = ()) -> str | None:
    """Tell what does not fit; None where all does."""
    if value is None or isinstance(type_, AnyValue):
        return None
    if isinstance(type_, Scalar):
        return _scalar_problem(value, type_, path)
    if isinstance(type_, ListOf):
        return _list_problem(value, type_, path)
    if not isinstance(value, dict):
        return f"{spelled(path)}: expected map, got {_shown(value)}"
    for name, member in value.items():
        below = (*path, f"f:{name}")
        if isinstance(type_, Struct) and name not in type_.fields:
            return f"{spelled(below)}: field not declared in schema"
        problem = first_problem(member, member_type(type_, name), below)
        if problem is not None:
            return problem
    return None


def _scalar_problem(value: Any, type_: Scalar, path: Path) -> str | None:
    kind = type_name(value)
    if type_.format == "int-or-string" and kind in ("integer", "string"):
        return None
    if NAMES.get(kind) == NAMES[type_.json]:
        return None
    got = f"&value.valueUnstructured{{Value:{_in_go(value)}}}" if type_.json == "string" else _shown(value)
    if NAMES[type_.json] == "numeric":
        return f"{spelled(path)}: expected numeric (int or float), got {kind}"
    return f"{spelled(path)}: expected {NAMES[type_.json]}, got {got}"


def _shown(value: Any) -> str:
    """A value as the real server's messages print it."""
    return f"&{{{' '.join(map(str, value)).join('[]') if isinstance(value, list) else _plain(value)}}}"


def _plain(value: Any) -> str:
    return json.dumps(value) if isinstance(value, bool) else str(value)


def _in_go(value: Any) -> str:
    """A value as Go code."""
    if isinstance(value, list):
        return f"[]interface {{}}{{{', '.join(map(_in_go, value))}}}"
    if isinstance(value, dict):
        return f"map[string]interface {{}}{{{', '.join(f'{json.dumps(key)}:{_in_go(value[key])}' for key in sorted(value))}}}"
    return json.dumps(value)


def _list_problem(value: Any, type_: ListOf, path: Path) -> str | None:
    if not isinstance(value, list):
        return f"{spelled(path)}: expected list, got {_shown(value)}"
    seen = set()
    for index, item in enumerate(value):
        element = f"[{index}]"
        if type_.kind == "map" and (not isinstance(item, dict) or not any(key in item for key in type_.keys)):
            why = f'associative list with keys has an element that omits key field "{type_.keys[0]}"'
            return f"{spelled(path)}: element {index}: {why} (and doesn't have default value)"
        if type_.kind != "atomic":
            element = item_element(item, type_)
            if element in seen:
                return f"{spelled(path)}: duplicate entries for key {spelled((element,))}"
            seen.add(element)
        problem = first_problem(item, type_.item, (*path, element) if type_.kind != "atomic" else path)
        if problem is not None:
            return problem
    return None
