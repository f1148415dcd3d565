"""Server-side apply: merge a document, own its fields, and report conflicts."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from devcluster.errors import ApiStatus
from devcluster.fields.checking import told_problems
from devcluster.fields.comparing import differences, fields_of
from devcluster.fields.last_applied import may_be_taken, with_last_applied
from devcluster.fields.managers import (
    APPLY,
    UNOWNED,
    UPDATE,
    Manager,
    Owners,
    Ownership,
    owners_of,
    with_owners,
)
from devcluster.fields.merging import merged, without
from devcluster.fields.paths import FieldSet, Path, spelled, with_parents
from devcluster.fields.tracking import bare, released
from devcluster.schema.types import Type

Document = Mapping[str, Any]
BEFORE_FIRST_APPLY = "before-first-apply"
IDENTITY = ("apiVersion", "kind", "metadata")


def apply(  # noqa: PLR0917 - one more than track() takes, in its order
    live: Document | None,
    applied: Document,
    manager: str,
    force: bool,
    types: Type,
    now: str,
    subresource: str = "",
    *,
    reset: Collection[str] = (),
) -> dict[str, Any]:
    """Return the object as it is to be, with its managedFields; the live one where nothing changes.

    Args:
        live: as it is stored; None where the apply creates it.
        applied: what the manager wants, and nothing else.
        manager: the name of the applier.
        force: take fields from others instead of failing.
        types: of its fields.
        now: as the API writes times.
        subresource: through which it is applied; of a status only the status counts.
        reset: fields that are checked and then ignored, such as the status of a kind with a
            status subresource.

    Raises:
        ApiStatus: 409 with every conflict; 500 where the document does not fit the types.
    """
    problem = told_problems(applied, types)
    if problem is not None:
        raise ApiStatus(
            500, "", f"failed to create typed patch object ({_told(applied)}): {problem}"
        )
    applied = {key: value for key, value in applied.items() if key not in reset}
    if subresource:
        applied = {key: value for key, value in applied.items() if key in (*IDENTITY, subresource)}
    before = bare(live) if live is not None else {}
    owners = owners_of(live or {}) or _before_first_apply(live, types, now, subresource)
    self = Manager(manager, APPLY, applied.get("apiVersion", ""), subresource)
    wanted = fields_of(applied, types)
    formerly = owners[self].paths if self in owners else frozenset()
    others = {other: owned for other, owned in owners.items() if other != self}
    result = merged(before, applied, types)
    result = without(result, _given_up(formerly, wanted, others), types)
    changes = differences(before, result, types)
    conflicts = _conflicts(
        others, frozenset(changes.added | changes.modified) - may_be_taken(before, manager, types)
    )
    if conflicts and not force:
        raise _refusal(conflicts)
    if live is not None and not changes and formerly == wanted - UNOWNED:
        return dict(live)
    since = now if changes else owners[self].time if self in owners else ""
    owners = released(others, changes)
    owners[self] = Ownership(wanted - UNOWNED, since)
    return with_owners(with_last_applied(result, applied, manager), owners)


def _before_first_apply(live: Document | None, types: Type, now: str, subresource: str) -> Owners:
    """Return one manager that owns all fields of an object without managedFields."""
    if live is None:
        return {}
    paths = frozenset(differences({}, bare(live), types).added) - UNOWNED - {()}
    return (
        {
            Manager(BEFORE_FIRST_APPLY, UPDATE, live.get("apiVersion", ""), subresource): Ownership(
                paths, now
            )
        }
        if paths
        else {}
    )


def _given_up(formerly: FieldSet, wanted: FieldSet, others: Owners) -> FieldSet:
    """Return the fields that the manager owned, no longer applies, and no other manager owns."""
    kept = with_parents([*wanted, *(path for owned in others.values() for path in owned.paths)])
    return with_parents(formerly) - kept


def _conflicts(others: Owners, changed: FieldSet) -> dict[Manager, list[Path]]:
    found = {manager: sorted(owned.paths & changed) for manager, owned in others.items()}
    return {manager: paths for manager, paths in sorted(found.items()) if paths}


def _refusal(conflicts: Mapping[Manager, Sequence[Path]]) -> ApiStatus:
    causes = [
        {
            "reason": "FieldManagerConflict",
            "message": f"conflict with {manager}",
            "field": spelled(path),
        }
        for manager, paths in conflicts.items()
        for path in paths
    ]
    if len(causes) == 1:
        message = f"Apply failed with 1 conflict: {causes[0]['message']}: {causes[0]['field']}"
    else:
        told = [
            "\n".join([f"conflicts with {manager}:", *(f"- {spelled(path)}" for path in paths)])
            for manager, paths in conflicts.items()
        ]
        message = f"Apply failed with {len(causes)} conflicts: " + "\n".join(told)
    return ApiStatus(409, "Conflict", message, {"causes": causes})


def _told(document: Document) -> str:
    metadata = document.get("metadata")
    metadata = metadata if isinstance(metadata, Mapping) else {}
    name = f"{metadata.get('namespace', '')}/{metadata.get('name', '')}"
    version = document.get("apiVersion", "")
    return (
        f"{name}; {version if '/' in version else f'/{version}'}, Kind={document.get('kind', '')}"
    )
