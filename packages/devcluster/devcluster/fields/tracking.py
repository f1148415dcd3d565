"""Update managedFields on every write: the writer owns the fields that it changes."""

from collections.abc import Mapping
from typing import Any

from devcluster.fields.comparing import Differences, differences
from devcluster.fields.managers import (
    UNOWNED,
    UPDATE,
    Manager,
    Owners,
    Ownership,
    owners_of,
    with_owners,
)
from devcluster.schema.types import Type

Document = Mapping[str, Any]


def track(
    old: Document | None, new: Document, manager: str, types: Type, now: str, subresource: str = ""
) -> dict[str, Any]:
    """Return the new object with its managedFields.

    Args:
        old: what is replaced; None where the object is created.
        new: the complete object as written. If it carries managedFields, they replace the old
            ones: this is how clients edit them.
        manager: the name of the writer.
        types: of its fields.
        now: as the API writes times.
        subresource: through which it is written.
    """
    before = bare(old) if old is not None else {}
    changes = differences(before, bare(new), types)
    owners = owners_of(new if (new.get("metadata") or {}).get("managedFields") else old or {})
    if not changes or (
        old is not None and not owners
    ):  # an object without owners is not tracked until it is applied
        return with_owners(new, owners)
    taken = frozenset(changes.added | changes.modified) - UNOWNED - {()}
    owners = released(owners, changes)
    if taken:
        self = Manager(manager, UPDATE, new.get("apiVersion", ""), subresource)
        owned = owners[self].paths if self in owners else frozenset()
        owners[self] = Ownership(owned | taken, now)
    return with_owners(new, owners)


def released(owners: Owners, changes: Differences) -> Owners:
    """Take the changed and removed fields from all managers."""
    lost = changes.added | changes.modified | changes.removed
    return {manager: Ownership(owned.paths - lost, owned.time) for manager, owned in owners.items()}


def bare(document: Document) -> dict[str, Any]:
    """Return the object without its managedFields, which have no owner."""
    metadata = document.get("metadata") or {}
    return {
        **document,
        "metadata": {key: value for key, value in metadata.items() if key != "managedFields"},
    }
