"""Read the object in the body of a call, and check it against its kind.

`resources.py` calls it. Fields that the kind does not know are dropped with a warning,
or refused, as the call asks.
"""

from collections.abc import Mapping
from typing import Any

from devcluster.errors import FieldCause, bad_request, invalid
from devcluster.http.calls import Call
from devcluster.http.decoding import (
    WrongTypeError,
    cannot_be_handled,
    check_kind,
    typed,
    with_checked_metadata,
)
from devcluster.http.options import WriteOptions
from devcluster.http.parsing import read_body
from devcluster.schema.kinds import Kind
from devcluster.storage.store import Object


def read_object(call: Call, options: WriteOptions) -> Object:
    """The object in a body, checked against its kind."""
    kind = call.route.kind
    decoded = read_body(call.body, call.content_type, kind.kind)
    if kind.custom is not None:
        _check_version(call, decoded.document)
    document = check_kind(decoded.document, kind)
    try:
        document, unknown = known_fields(document, kind)
    except WrongTypeError as error:
        raise cannot_be_handled(kind, error) from error
    report_unknown(call, unknown, options, 400, decoded.repeated)
    return document


def known_fields(document: Object, kind: Kind) -> tuple[Object, list[str]]:
    """The document as far as its types are known, and the paths of what is not.

    Raises:
        WrongTypeError: a field is not what the kind says.
    """
    if kind.custom is None:
        return typed(document, kind)
    document = with_checked_metadata(document)
    return document, kind.custom.schema.prune(document)[1]


def _check_version(call: Call, document: Mapping[str, Any]) -> None:
    """Refuse a custom resource of another version, whose fields are unknown."""
    given, wanted = document.get("apiVersion") or "", call.route.kind.api_version
    if not document.get("kind"):
        why = f"Object 'Kind' is missing in '{call.body.decode(errors='replace')}'"
        raise bad_request(
            f"the object provided is unrecognized (must be of type {call.route.kind.kind}): {why}"
        )
    if given == wanted:
        return
    for name in sorted(set(document) - {"apiVersion", "kind", "metadata"}):
        call.warn(f'unknown field "{name}"')
    raise bad_request(
        f"the API version in the data ({given}) does not match the expected API version ({wanted})"
    )


def report_unknown(
    call: Call,
    unknown: list[str],
    options: WriteOptions,
    code: int,
    repeated: list[str] | None = None,
) -> None:
    """Warn of fields that are dropped, or refuse them."""
    problems = [*(repeated or ()), *(f'unknown field "{path}"' for path in unknown)]
    if not problems or options.field_validation == "Ignore":
        return
    if options.field_validation != "Strict":
        for problem in problems:
            call.warn(problem)
        return
    kind = call.route.kind
    why = f"strict decoding error: {', '.join(problems)}"
    if code == 400:
        raise cannot_be_handled(kind, why)
    raise invalid("", "", "", [FieldCause("FieldValueInvalid", "patch", f"Invalid value: {why}")])
