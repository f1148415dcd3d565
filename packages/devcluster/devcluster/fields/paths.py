"""Sets of field paths, and the nested form in which managedFields stores them.

A path element is `f:name` (a member), `k:{"type":"Ready"}` (an item by its keys) or
`v:"text"` (an item of a set). A set may contain both a path and longer ones below it:
`.` in the stored form.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

Element = str
Path = tuple[Element, ...]
FieldSet = frozenset[Path]
SELF = "."


def encoded(paths: FieldSet) -> dict[str, Any]:
    """Write a set as `fieldsV1`."""
    root: dict[str, Any] = {}
    for path in sorted(paths):
        node = root
        for element in path:
            node = node.setdefault(element, {})
        node[SELF] = {}
    return _without_lonely_dots(root)


def decoded(fields: Mapping[str, Any]) -> FieldSet:
    """Read `fieldsV1`."""
    return frozenset(_members(fields, ()))


def with_parents(paths: Iterable[Path]) -> FieldSet:
    """Add every named field on the way to a path."""
    return frozenset(path[:length] for path in paths for length in range(1, len(path) + 1))


def spelled(path: Path) -> str:
    """Write a path for people: `.status.conditions[type="Ready"].status`."""
    return "".join(_spelled(element) for element in path)


def _spelled(element: Element) -> str:
    kind, text = element[0], element[2:]
    if kind == "f":
        return f".{text}"
    if kind == "v":
        return f"[={text}]"
    keys = ",".join(f"{key}={json.dumps(value)}" for key, value in json.loads(text).items())
    return f"[{keys}]"


def _without_lonely_dots(node: dict[str, Any]) -> dict[str, Any]:
    if node.keys() == {SELF}:
        return {}
    return {
        element: _without_lonely_dots(below) if element != SELF else {}
        for element, below in sorted(node.items())
    }


def _members(node: Mapping[str, Any], path: Path) -> Iterator[Path]:
    for element, below in node.items():
        if element == SELF:
            yield path
        elif below:
            yield from _members(below, (*path, element))
        else:
            yield (*path, element)
