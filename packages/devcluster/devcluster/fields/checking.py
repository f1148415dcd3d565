"""Check that an applied document fits its types, in kube-apiserver's words."""

import json
from collections.abc import Iterator
from typing import Any

from devcluster.fields.paths import Path, spelled
from devcluster.fields.shapes import item_element, member_type
from devcluster.schema.types import AnyValue, ListOf, Scalar, Struct, Type
from devcluster.schema.values import type_name

NAMES = {"boolean": "boolean", "integer": "numeric", "number": "numeric", "string": "string"}


def told_problems(value: Any, type_: Type) -> str | None:
    """Return what does not fit; None if everything does."""
    found = list(_problems(value, type_, ()))
    if len(found) < 2:
        return found[0] if found else None
    return "\n  ".join(["errors:", *found])


def _problems(value: Any, type_: Type, path: Path) -> Iterator[str]:
    if value is None or isinstance(type_, AnyValue):
        return
    if isinstance(type_, Scalar):
        yield from _scalar_problems(value, type_, path)
    elif isinstance(type_, ListOf):
        yield from _list_problems(value, type_, path)
    elif not isinstance(value, dict):
        yield f"{spelled(path)}: expected map, got {_shown(value)}"
    else:
        for name, member in value.items():
            below = (*path, f"f:{name}")
            if isinstance(type_, Struct) and name not in type_.fields:
                yield f"{spelled(below)}: field not declared in schema"
            else:
                yield from _problems(member, member_type(type_, name), below)


def _scalar_problems(value: Any, type_: Scalar, path: Path) -> Iterator[str]:
    kind = type_name(value)
    if type_.format == "int-or-string" and kind in ("integer", "string"):
        return
    if NAMES.get(kind) == NAMES[type_.json]:
        return
    if NAMES[type_.json] == "numeric":
        yield f"{spelled(path)}: expected numeric (int or float), got {kind}"
        return
    got = (
        f"&value.valueUnstructured{{Value:{_in_go(value)}}}"
        if type_.json == "string"
        else _shown(value)
    )
    yield f"{spelled(path)}: expected {NAMES[type_.json]}, got {got}"


def _shown(value: Any) -> str:
    """A value as the real server's messages print it."""
    return (
        f"&{{{' '.join(map(str, value)).join('[]') if isinstance(value, list) else _plain(value)}}}"
    )


def _plain(value: Any) -> str:
    return json.dumps(value) if isinstance(value, bool) else str(value)


def _in_go(value: Any) -> str:
    """A value as Go code."""
    if isinstance(value, list):
        return f"[]interface {{}}{{{', '.join(map(_in_go, value))}}}"
    if isinstance(value, dict):
        entries = ", ".join(f"{json.dumps(key)}:{_in_go(value[key])}" for key in sorted(value))
        return f"map[string]interface {{}}{{{entries}}}"
    return json.dumps(value)


def _list_problems(value: Any, type_: ListOf, path: Path) -> Iterator[str]:
    if not isinstance(value, list):
        yield f"{spelled(path)}: expected list, got {_shown(value)}"
        return
    seen = set()
    for index, item in enumerate(value):
        if type_.kind == "map" and (
            not isinstance(item, dict) or not any(key in item for key in type_.keys)
        ):
            why = (
                f'associative list with keys has an element that omits key field "{type_.keys[0]}"'
            )
            yield f"{spelled(path)}: element {index}: {why} (and doesn't have default value)"
            continue
        if type_.kind == "atomic":
            yield from _problems(item, type_.item, path)
            continue
        element = item_element(item, type_)
        if element in seen:
            yield f"{spelled(path)}: duplicate entries for key {spelled((element,))}"
        seen.add(element)
        yield from _problems(item, type_.item, (*path, element))
