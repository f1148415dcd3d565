"""Decide which parts of an object a write changes: status, spec and generation.

`registry.py` calls it. Every function takes objects and returns a new one.
"""

from collections.abc import Mapping
from typing import Any

from devcluster.schema.kinds import Kind
from devcluster.storage.store import Object
from devcluster.storage.target import Target

FILLED_IN = (
    "uid",
    "creationTimestamp",
    "generation",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
)

NAMESPACES = ("", "namespaces")

Document = Mapping[str, Any]


def without_foreign_parts(target: Target, new: Object, old: Object) -> Object:
    """The status is written through its subresource only, and the rest is not."""
    kind = target.kind
    if target.subresource == "status":
        taken = {**old, "status": new.get("status")}
        if taken["status"] is None:
            del taken["status"]
        if kind.custom is None:
            taken["metadata"] = {
                **new["metadata"],
                "finalizers": old["metadata"].get("finalizers"),
            }
            if taken["metadata"]["finalizers"] is None:
                del taken["metadata"]["finalizers"]
        elif "managedFields" in new["metadata"]:
            taken["metadata"] = {
                **old["metadata"],
                "managedFields": new["metadata"]["managedFields"],
            }
        return taken
    kept = {"status": old["status"]} if "status" in kind.subresources and "status" in old else {}
    if "status" in kind.subresources:
        new = {key: value for key, value in new.items() if key != "status"}
    if kind.key == NAMESPACES and target.subresource != "finalize":
        kept["spec"] = old.get("spec")
    return {**new, **kept}


def with_generation(kind: Kind, new: Object, old: Object) -> Object:
    """Count the generation up if the spec changes."""
    if not kind.counts_generations:
        return new
    changed = any(
        new.get(key) != old.get(key)
        for key in {*new, *old}
        - {"metadata", "apiVersion", "kind"}
        - ({"status"} if "status" in kind.subresources else set())
    )
    generation = old["metadata"].get("generation", 1) + changed
    return {**new, "metadata": {**new["metadata"], "generation": generation}}


def has_own_status(kind: Kind, subresource: str) -> bool:
    """Whether a write leaves the status alone, because that has a subresource of its own."""
    return not subresource and "status" in kind.subresources


def owned_part(kind: Kind, subresource: str, document: Object) -> Object:
    """Return what a write can own."""
    if not has_own_status(kind, subresource):
        return document
    return {key: value for key, value in document.items() if key != "status"}


def as_sent(new: Object, document: Document) -> Object:
    """Mutating webhooks see an update without what the server fills in afterwards."""
    given = document.get("metadata") or {}
    metadata = {
        key: value
        for key, value in new["metadata"].items()
        if given.get(key) or key not in FILLED_IN
    }
    return {**new, "metadata": metadata}


def finalizers_for(propagation: str | None, present: list[str]) -> list[str]:
    """Return the finalizers that a deletion with that propagation policy leaves."""
    kept = [name for name in present if name not in ("orphan", "foregroundDeletion")]
    if propagation == "Orphan":
        return [*kept, "orphan"]
    if propagation == "Foreground":
        return [*kept, "foregroundDeletion"]
    return present if propagation is None else kept


def same(new: Object, old: Object) -> bool:
    """Whether a write changes anything but the times in managedFields."""
    return _without_managed(new) == _without_managed(old) and _managers(new) == _managers(old)


def _without_managed(obj: Object) -> Object:
    return {
        **obj,
        "metadata": {
            key: value for key, value in obj["metadata"].items() if key != "managedFields"
        },
    }


def _managers(obj: Object) -> list[Any]:
    entries = obj["metadata"].get("managedFields") or []
    return [{key: value for key, value in entry.items() if key != "time"} for entry in entries]
