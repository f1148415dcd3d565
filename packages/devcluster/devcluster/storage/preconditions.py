"""Check names, versions and UIDs of a write against the stored object.

`registry.py` and `http/resources.py` call it. Nothing here reads the store: the caller
passes the object that it has read.
"""

from collections.abc import Mapping
from typing import Any

from devcluster.errors import ApiStatus, FieldCause, bad_request, invalid, qualified
from devcluster.http.options import DeleteOptions, version_problem
from devcluster.storage.store import Object
from devcluster.storage.target import Target

MODIFIED = (
    "the object has been modified; please apply your changes to the latest version and try again"
)

Document = Mapping[str, Any]


def check_name(target: Target, document: Document) -> None:
    """The name in a body must be that of the path.

    Raises:
        ApiStatus: 400.
    """
    name = (document.get("metadata") or {}).get("name")
    if not name:
        why = "was undeterminable: name must be provided"
        raise bad_request(f"the name of the object ({target.name} based on URL) {why}")
    if name != target.name:
        raise bad_request(
            f"the name of the object ({name}) does not match the name on the URL ({target.name})"
        )


def check_namespace_of(target: Target, given: Document) -> None:
    """Refuse a document of another namespace than that of the path.

    Raises:
        ApiStatus: 400.
    """
    if target.kind.namespaced and (given.get("namespace") or target.namespace) != target.namespace:
        raise bad_request(
            "the namespace of the provided object does not match the namespace sent on the request"
        )


def check_version_of_new(given: Document, *, applied: bool) -> None:
    """Refuse a version on POST, and an unreadable one in an apply that creates."""
    version = given.get("resourceVersion") or "0"
    if applied:
        check_readable(version)
    elif version_problem(version) is None and int(version):
        raise ApiStatus(500, "", "resourceVersion should not be set on objects to be created")


def without_version(document: Document) -> dict[str, Any]:
    """Return what an update creates: of its version only the form counts.

    Raises:
        ApiStatus: 500, the version cannot be read.
    """
    given = document.get("metadata") or {}
    check_readable(given.get("resourceVersion") or "0")
    return {
        **document,
        "metadata": {key: value for key, value in given.items() if key != "resourceVersion"},
    }


def check_preconditions(target: Target, old: Object, document: Document) -> None:
    """Refuse an update with another name, namespace or version than those of the stored object.

    Raises:
        ApiStatus: 400, 409, 422 or 500.
    """
    given, before = document.get("metadata") or {}, old["metadata"]
    check_name(target, document)
    check_namespace_of(target, given)
    version = given.get("resourceVersion")
    check_readable(version or "0")
    if version and not int(version):
        version = ""  # 0 says nothing
    if not version and not target.kind.unconditional_update:
        cause = FieldCause(
            "FieldValueInvalid",
            "metadata.resourceVersion",
            "Invalid value: 0: must be specified for an update",
        )
        raise invalid(target.kind.group, target.kind.plural, target.name, [cause])
    if version and version != before["resourceVersion"]:
        raise conflict(target)


def check_uid(target: Target, old: Object, document: Document) -> None:
    """Refuse a PUT for another object of the same name as a conflict."""
    wanted, found = (document.get("metadata") or {}).get("uid"), old["metadata"]["uid"]
    if wanted and wanted != found:
        where = f"/registry/{target.kind.plural}/{target.namespace}/{target.name}"
        why = f"Precondition failed: UID in precondition: {wanted}, UID in object meta: {found}"
        storage = (
            f"StorageError: invalid object, Code: 4, Key: {where}, ResourceVersion: 0, "
            f"AdditionalErrorMsg: {why}"
        )
        raise conflict(target, storage)


def check_delete_preconditions(target: Target, old: Object, options: DeleteOptions) -> None:
    """Refuse a delete whose preconditions do not hold.

    Raises:
        ApiStatus: 409.
    """
    kind, found = target.kind, old["metadata"]
    name = f'{qualified(kind.group, kind.kind)} "{target.name}"'
    why = ""
    if options.uid is not None and options.uid != found["uid"]:
        why = (
            f"the UID in the precondition ({options.uid}) does not match the UID in record "
            f"({found['uid']}). "
        )
        why += "The object might have been deleted and then recreated"
    elif (
        options.resource_version is not None
        and options.resource_version != found["resourceVersion"]
    ):
        why = (
            f"the ResourceVersion in the precondition ({options.resource_version}) does not "
            "match the ResourceVersion in "
        )
        why += f"record ({found['resourceVersion']}). The object might have been modified"
    if why:
        details = {"name": target.name, "kind": kind.kind} | (
            {"group": kind.group} if kind.group else {}
        )
        raise ApiStatus(409, "Conflict", f"Operation cannot be fulfilled on {name}: {why}", details)


def conflict(target: Target, why: str = MODIFIED) -> ApiStatus:
    """409: the object is not what the writer thinks."""
    kind = target.kind
    message = (
        f"Operation cannot be fulfilled on {qualified(kind.group, kind.plural)} "
        f'"{target.name}": {why}'
    )
    details = {"name": target.name, "kind": kind.plural} | (
        {"group": kind.group} if kind.group else {}
    )
    return ApiStatus(409, "Conflict", message, details)


def check_readable(version: str) -> None:
    """Refuse a version that is no number.

    Raises:
        ApiStatus: 500.
    """
    if (problem := version_problem(version)) is not None:
        raise ApiStatus(500, "", problem.partition(": ")[2].partition(": ")[2])
