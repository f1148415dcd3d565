"""Compare two objects field by field, and list the fields of one object."""

from dataclasses import dataclass, field
from typing import Any

from devcluster.fields.paths import FieldSet, Path
from devcluster.fields.shapes import children, is_declared, is_leaf
from devcluster.schema.types import ANY, Type
from devcluster.schema.values import ABSENT, same


@dataclass(slots=True)
class Differences:
    """Fields that came, changed and went."""

    added: set[Path] = field(default_factory=set)
    modified: set[Path] = field(default_factory=set)
    removed: set[Path] = field(default_factory=set)

    def __bool__(self) -> bool:
        """Whether there are any."""
        return bool(self.added or self.modified or self.removed)


def differences(old: Any, new: Any, type_: Type) -> Differences:
    """Compare two whole objects."""
    found = Differences()
    _compare(old, new, type_, (), found)
    return found


def fields_of(value: Any, type_: Type) -> FieldSet:
    """Return every field that is owned by applying this value."""
    found: set[Path] = set()
    _collect(value, type_, (), found)
    return frozenset(found)


def _compare(old: Any, new: Any, type_: Type, path: Path, found: Differences) -> None:
    if old is not ABSENT and new is not ABSENT and same(old, new):
        return
    if not is_leaf(type_, old, new):
        before, after = children(old, type_), children(new, type_)
        for element in before.keys() | after.keys():
            old_child, child_type = before.get(element, (ABSENT, ANY))
            new_child, child_type = after.get(element, (ABSENT, child_type))
            _compare(old_child, new_child, child_type, (*path, element), found)
    elif old is not ABSENT and new is not ABSENT:
        found.modified.add(path)
    if old is ABSENT:
        found.added.add(path)
    elif new is ABSENT:
        found.removed.add(path)


def _collect(value: Any, type_: Type, path: Path, found: set[Path]) -> None:
    if is_leaf(type_, value):
        found.add(path)
        return
    for element, (child, child_type) in children(value, type_).items():
        below = (*path, element)
        _collect(child, child_type, below, found)
        if not is_declared(type_, element):
            found.add(below)
