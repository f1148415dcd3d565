"""The entries of managedFields: manager, operation, version, time and fields."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from devcluster.fields.paths import FieldSet, decoded, encoded

APPLY, UPDATE = "Apply", "Update"
# Fields without an owner: they identify the object, or belong to the server.
UNOWNED = frozenset(
    [
        ("f:apiVersion",),
        ("f:kind",),
        ("f:metadata",),
        *(
            ("f:metadata", f"f:{name}")
            for name in (
                "name",
                "namespace",
                "creationTimestamp",
                "selfLink",
                "uid",
                "generation",
                "resourceVersion",
            )
        ),
        ("f:metadata", "f:managedFields"),
    ]
)


class Manager(NamedTuple):
    """The key of an entry of managedFields."""

    name: str
    operation: str
    api_version: str
    subresource: str = ""

    def __str__(self) -> str:
        """As a conflict names it."""
        text = f'"{self.name}"'
        if self.subresource:
            text += f' with subresource "{self.subresource}"'
        return f"{text} using {self.api_version}" if self.operation == UPDATE else text


@dataclass(frozen=True, slots=True)
class Ownership:
    """The fields of one manager."""

    paths: FieldSet
    time: str


Owners = dict[Manager, Ownership]


def owners_of(document: Mapping[str, Any]) -> Owners:
    """Read metadata.managedFields."""
    entries = (document.get("metadata") or {}).get("managedFields") or ()
    return {
        _manager(entry): Ownership(decoded(entry.get("fieldsV1") or {}), entry.get("time", ""))
        for entry in entries
        if entry.get("operation") and isinstance(entry.get("fieldsV1") or {}, Mapping)
    }


def with_owners(document: Mapping[str, Any], owners: Owners) -> dict[str, Any]:
    """Write metadata.managedFields, without managers that own nothing."""
    metadata = {
        key: value
        for key, value in (document.get("metadata") or {}).items()
        if key != "managedFields"
    }
    entries = [
        _entry(manager, owned)
        for manager, owned in sorted(owners.items(), key=_order)
        if owned.paths
    ]
    if entries:
        metadata["managedFields"] = entries
    return {**document, "metadata": metadata}


def _manager(entry: Mapping[str, Any]) -> Manager:
    names = (
        entry.get("manager", ""),
        entry["operation"],
        entry.get("apiVersion", ""),
        entry.get("subresource", ""),
    )
    return Manager(*names)


def _entry(manager: Manager, owned: Ownership) -> dict[str, Any]:
    entry: dict[str, Any] = {
        "manager": manager.name,
        "operation": manager.operation,
        "apiVersion": manager.api_version,
    }
    if owned.time:
        entry["time"] = owned.time
    entry |= {"fieldsType": "FieldsV1", "fieldsV1": encoded(owned.paths)}
    return entry | ({"subresource": manager.subresource} if manager.subresource else {})


def _order(item: tuple[Manager, Ownership]) -> tuple[str, str, str, str, str]:
    manager, owned = item
    return manager.operation, owned.time, manager.name, manager.api_version, manager.subresource
