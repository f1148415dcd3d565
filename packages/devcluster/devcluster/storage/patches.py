"""Merge patches, JSON patches and strategic merge patches. Pure.

Server-side apply is in `fields/`.
"""

from collections.abc import Hashable, Iterable, Mapping, Sequence
from typing import Any

from devcluster.errors import ApiStatus, bad_request
from devcluster.http.parsing import go_kind
from devcluster.schema.types import ANY, ListOf, MapOf, Struct, Type
from devcluster.storage.json_patch import PatchFailedError, apply_operations

MERGE = "application/merge-patch+json"
JSON_PATCH = "application/json-patch+json"
STRATEGIC = "application/strategic-merge-patch+json"
APPLY = "application/apply-patch+yaml"
MOST_OPERATIONS = 10_000
OPERATION_FIELDS = ("op", "path", "from", "value")
DIRECTIVE = "$patch"
DELETE_FROM_LIST = "$deleteFromPrimitiveList/"
SET_ORDER = "$setElementOrder/"
RETAIN_KEYS = "$retainKeys"


def merge_patch(document: Any, patch: Any) -> Any:
    """RFC 7386: objects merge, null removes, everything else replaces."""
    if not isinstance(patch, Mapping):
        return patch
    merged = dict(document) if isinstance(document, Mapping) else {}
    for key, value in patch.items():
        if value is None:
            merged.pop(key, None)
        else:
            merged[key] = merge_patch(merged.get(key), value)
    return merged


def json_patch(document: Any, operations: Any) -> Any:
    """Apply a JSON patch (RFC 6902) with the rules of kube-apiserver.

    Raises:
        ApiStatus: 400 if the body is not a list of operations, 413 if it has too many, 422 if an
            operation fails.
    """
    if problem := _type_problem(operations):
        raise bad_request(f"error decoding patch: json: cannot unmarshal {problem}")
    if len(operations or ()) > MOST_OPERATIONS:
        why = (
            f"The allowed maximum operations in a JSON patch is {MOST_OPERATIONS}, got "
            f"{len(operations)}"
        )
        raise ApiStatus(413, "RequestEntityTooLarge", f"Request entity too large: {why}")
    try:
        return apply_operations(document, operations or ())
    except PatchFailedError as error:
        raise _rejected() from error


def unknown_in_operations(operations: Any) -> list[str]:
    """Return the paths of the members of operations that mean nothing."""
    return [
        f"[{index}].{name}"
        for index, operation in enumerate(operations or ())
        for name in operation or ()
        if name.lower() not in OPERATION_FIELDS
    ]


def _type_problem(operations: Any) -> str | None:
    """What Go's decoder would say of a patch that is no list of operations."""
    if operations is None:
        return None
    if not isinstance(operations, list):
        return f"{go_kind(operations)} into Go value of type []handlers.jsonPatchOp"
    for operation in operations:
        if operation is not None and not isinstance(operation, dict):
            return f"{go_kind(operation)} into Go value of type handlers.jsonPatchOp"
        for name in ("op", "path", "from"):
            if (value := (operation or {}).get(name)) is not None and not isinstance(value, str):
                return f"{go_kind(value)} into Go struct field jsonPatchOp.{name} of type string"
    return None


def strategic_merge_patch(document: Any, patch: Mapping[str, Any], type_: Type) -> Any:
    """Apply a strategic merge patch: lists merge by key, `$patch` gives directives."""
    return _merge_object(document if isinstance(document, Mapping) else {}, patch, type_)


def _merge_object(
    document: Mapping[str, Any], patch: Mapping[str, Any], type_: Type
) -> dict[str, Any]:
    directive = patch.get(DIRECTIVE)
    plain = {key: value for key, value in patch.items() if not key.startswith("$")}
    if directive == "replace":
        return {key: value for key, value in plain.items() if value is not None}
    if directive == "delete":
        return {}
    if directive not in (None, "merge"):
        raise ApiStatus(500, "", f"unknown patch type: {directive} in map: {_go_map(patch)}")
    merged = dict(document)
    if RETAIN_KEYS in patch:
        merged = {key: value for key, value in merged.items() if key in patch[RETAIN_KEYS]}
    for key, value in patch.items():
        if key.startswith(DELETE_FROM_LIST):
            name = key.removeprefix(DELETE_FROM_LIST)
            merged[name] = [item for item in merged.get(name) or [] if item not in value]
    for key, value in plain.items():
        if value is None:
            merged.pop(key, None)
        else:
            merged[key] = _merge_value(merged.get(key), value, _below(type_, key))
    for key, order in patch.items():
        name = key.removeprefix(SET_ORDER)
        if (
            key.startswith(SET_ORDER)
            and isinstance(below := _below(type_, name), ListOf)
            and merged.get(name)
        ):
            merged[name] = _ordered(merged[name], document.get(name) or [], order, below)
    return merged


def _merge_value(old: Any, new: Any, type_: Type) -> Any:
    if isinstance(new, Mapping):
        return _merge_object(old if isinstance(old, Mapping) else {}, new, type_)
    if isinstance(new, list) and isinstance(type_, ListOf) and type_.kind != "atomic":
        return _merge_list(old if isinstance(old, list) else [], new, type_)
    return new


def _merge_list(old: list[Any], new: list[Any], type_: ListOf) -> list[Any]:
    if any(isinstance(item, Mapping) and item.get(DIRECTIVE) == "replace" for item in new):
        return [item for item in new if not (isinstance(item, Mapping) and DIRECTIVE in item)]
    if type_.kind == "set":
        if any(isinstance(item, list | Mapping) for item in new):
            raise _rejected()
        return _ordered(list(dict.fromkeys([*old, *new])), old, new, type_)
    merged = list(old)
    for item in new:
        if not isinstance(item, Mapping):
            raise _rejected()
        for key in type_.keys:
            if key not in item:
                raise ApiStatus(
                    500, "", f"map: {_go_map(item)} does not contain declared merge key: {key}"
                )
        index = next(
            (
                at
                for at, known in enumerate(merged)
                if _identity(known, type_) == _identity(item, type_)
            ),
            None,
        )
        if item.get(DIRECTIVE) == "delete":
            if index is not None:
                del merged[index]
        elif index is None:
            merged.append({key: value for key, value in item.items() if not key.startswith("$")})
        else:
            merged[index] = _merge_value(merged[index], item, type_.item)
    return _ordered(merged, old, new, type_)


def _ordered(
    merged: Iterable[Any], old: Sequence[Any], wanted: Sequence[Any], type_: ListOf
) -> list[Any]:
    """Return a merged list in the order of kube-apiserver.

    Items that the patch names take the order of the patch. The other items keep their order, and
    come before a named item only if they stood before it already.
    """
    stood = {_identity(item, type_): at for at, item in enumerate(old)}
    rank = {_identity(item, type_): at for at, item in enumerate(wanted)}
    by_identity = {_identity(item, type_): item for item in merged}
    named = sorted((key for key in by_identity if key in rank), key=lambda key: rank[key])
    others = sorted(
        (key for key in by_identity if key not in rank), key=lambda key: stood.get(key, len(stood))
    )
    order: list[Hashable] = []
    while named and others:
        first = others[0] in stood and named[0] in stood and stood[others[0]] < stood[named[0]]
        order.append((others if first else named).pop(0))
    return [by_identity[key] for key in [*order, *named, *others]]


def _identity(item: Any, type_: ListOf) -> Hashable:
    if type_.kind == "map" and isinstance(item, Mapping):
        return tuple(str(item.get(key)) for key in type_.keys)
    return str(item)


def _go_map(value: Any) -> str:
    """A value as Go prints it."""
    if isinstance(value, Mapping):
        return f"map[{' '.join(f'{key}:{_go_map(value[key])}' for key in sorted(value))}]"
    return f"[{' '.join(map(_go_map, value))}]" if isinstance(value, list) else str(value)


def _below(type_: Type, key: str) -> Type:
    if isinstance(type_, Struct):
        return type_.fields.get(key, ANY)
    return type_.value if isinstance(type_, MapOf) else ANY


def _rejected() -> ApiStatus:
    return ApiStatus(
        422, "Invalid", "the server rejected our request due to an error in our request", {}
    )
