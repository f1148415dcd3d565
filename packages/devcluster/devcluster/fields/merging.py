"""Merge an applied document into an object, and remove fields. Pure."""

from collections.abc import Iterator
from typing import Any

from devcluster.fields.paths import Element, FieldSet
from devcluster.fields.shapes import children, is_leaf, item_element, member_type
from devcluster.schema.types import ListOf, Type
from devcluster.schema.values import ABSENT


def merged(live: Any, applied: Any, type_: Type) -> Any:
    """Return the live value with everything that the applied one says."""
    if applied is ABSENT:
        return live
    if live is ABSENT or live is None or applied is None or is_leaf(type_, live, applied):
        return applied
    if isinstance(type_, ListOf):
        return [merged(old, new, type_.item) for old, new in _side_by_side(live, applied, type_)]
    if not isinstance(live, dict):
        return applied
    return {
        name: merged(live.get(name, ABSENT), applied.get(name, ABSENT), member_type(type_, name))
        for name in [*live, *(name for name in applied if name not in live)]
    }


def without(value: Any, gone: FieldSet, type_: Type) -> Any:
    """Return the value without those fields, each with all that is below it."""
    if not gone or is_leaf(type_, value):
        return value
    kept: dict[Element, Any] = {}
    for element, (child, child_type) in children(value, type_).items():
        if (element,) not in gone:
            below = frozenset(path[1:] for path in gone if path[0] == element)
            kept[element] = without(child, below, child_type)
    if isinstance(value, list):
        return list(kept.values())
    return {element[2:]: child for element, child in kept.items()}


def _side_by_side(live: list[Any], applied: list[Any], type_: ListOf) -> Iterator[tuple[Any, Any]]:
    """Pair items by key: applied ones in their order, the others at their former places."""
    old = {item_element(item, type_): item for item in live}
    new = {item_element(item, type_): item for item in applied}
    waiting = list(new)
    for element, item in old.items():
        if element not in new:
            yield item, ABSENT
        elif element in waiting:
            position = waiting.index(element) + 1
            for ready in waiting[:position]:
                yield old.get(ready, ABSENT), new[ready]
            waiting = waiting[position:]
    for element in waiting:
        yield old.get(element, ABSENT), new[element]
