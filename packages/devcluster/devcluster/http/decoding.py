"""Check decoded documents against the fields of built-in kinds.

A field of the wrong type is an error in the words of Go's decoder. An unknown or
repeated field is ignored, warned of or refused, as the client asks. `parsing.py`
reads the bytes; the schema of a custom resource checks its other fields.
"""

import base64
import binascii
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from devcluster.errors import ApiStatus, bad_request, invalid
from devcluster.http.parsing import go_kind
from devcluster.schema.field_problems import invalid_value
from devcluster.schema.kinds import Kind
from devcluster.schema.types import (
    DELETE_OPTIONS,
    OBJECT_META,
    AnyValue,
    ListOf,
    MapOf,
    Scalar,
    Struct,
    Type,
)

META_VERSION = "meta.k8s.io/v1"
INTEGERS = {"int32": 2**31, "int64": 2**63}
SECONDS = "2006-01-02T15:04:05"  # how Go's layouts of times begin
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d")
TIME_ENDS = {
    "date-time": re.compile(r"(\.\d+)?(Z|[+-]\d\d:\d\d)"),
    "micro-time": re.compile(r"\.\d{6}(Z|[+-]\d\d:\d\d)"),
}
TIME_LAYOUTS = {"date-time": "Z07:00", "micro-time": ".000000Z07:00"}
GO_TYPES = {"string": "string", "integer": "int64", "boolean": "bool", "number": "float64"}


class WrongTypeError(Exception):
    """A field that is not what its kind says; the message is Go's."""


def check_kind(document: Mapping[str, Any], kind: Kind) -> dict[str, Any]:
    """The document with apiVersion and kind, which must be those of `kind` where they are said.

    Raises:
        ApiStatus: 400; 422 for another kind of custom resource.
    """
    named, version = (
        document.get("kind") or kind.kind,
        document.get("apiVersion") or kind.api_version,
    )
    if kind.custom is not None and named != kind.kind and version == kind.api_version:
        name = (document.get("metadata") or {}).get("name", "")
        raise invalid(
            kind.group, str(named), name, [invalid_value("kind", named, f"must be {kind.kind}")]
        )
    if (named, version) != (kind.kind, kind.api_version):
        short = str(version).rpartition("/")[2]
        if version == kind.api_version:
            why = f"converting ({short}.{named}) to (core.{kind.kind}): unknown conversion"
        else:
            why = (
                f'no kind "{named}" is registered for version "{version}" in scheme '
                '"pkg/runtime/scheme.go:110"'
            )
        raise bad_request(f'{named} in version "{short}" cannot be handled as a {kind.kind}: {why}')
    return {**document, "apiVersion": kind.api_version, "kind": kind.kind}


def typed(document: Mapping[str, Any], kind: Kind) -> tuple[dict[str, Any], list[str]]:
    """A built-in object with its known fields only; returns the paths of unknown ones too.

    Raises:
        WrongTypeError: a field is not what the kind says.
    """
    if kind.type is None:
        return dict(document), []
    unknown: list[str] = []
    checked = _check(document, kind.type, "", kind.type.name, unknown)
    return checked, unknown


def with_checked_metadata(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return a custom resource with typed metadata; all its other fields are its schema's to judge.

    Raises:
        WrongTypeError: a field of the metadata has the wrong type.
    """
    metadata = document.get("metadata")
    if metadata is None:
        return dict(document)
    if not isinstance(metadata, dict):
        raise WrongTypeError(
            f"json: cannot unmarshal {go_kind(metadata)} into Go value of type v1.ObjectMeta"
        )
    unknown = {key: value for key, value in metadata.items() if key not in OBJECT_META.fields}
    return {
        **document,
        "metadata": {**_check(metadata, OBJECT_META, "", OBJECT_META.name, []), **unknown},
    }


def check_options(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return DeleteOptions with their known fields only.

    Raises:
        ApiStatus: 400, the document is something else, or a field has the wrong type.
    """
    kind, version = (
        document.get("kind") or "DeleteOptions",
        document.get("apiVersion") or META_VERSION,
    )
    if kind == "Status" and version in ("v1", META_VERSION):
        raise bad_request("converting (v1.Status) to (v1.DeleteOptions): unknown conversion")
    if kind != "DeleteOptions":
        raise bad_request(
            f'no kind "{kind}" is registered for version "{version}" in scheme '
            '"pkg/runtime/scheme.go:110"'
        )
    try:
        return _struct(dict(document), DELETE_OPTIONS, "", DELETE_OPTIONS.name, [])
    except WrongTypeError as error:
        raise bad_request(str(error)) from error


def cannot_be_handled(kind: Kind, why: object) -> ApiStatus:
    """400: the body is no object of that kind."""
    return bad_request(
        f'{kind.kind} in version "{kind.version}" cannot be handled as a {kind.kind}: {why}'
    )


def _check(value: Any, wanted: Type, path: str, owner: str, unknown: list[str]) -> Any:
    match wanted:
        case AnyValue():
            return value
        case Scalar():
            return _scalar(value, wanted, path, owner)
        case MapOf():
            items = _expect(value, dict, _go_type(wanted), path, owner).items()
            return {key: _map_value(item, wanted, path, owner, unknown) for key, item in items}
        case ListOf():
            items = _expect(value, list, _go_type(wanted), path, owner)
            return [
                _zero(wanted.item)
                if item is None
                else _check(item, wanted.item, f"{path}[{index}]", owner, unknown)
                for index, item in enumerate(items)
            ]
        case Struct():
            return _struct(value, wanted, path, owner, unknown)


def _map_value(value: Any, wanted: MapOf, path: str, owner: str, unknown: list[str]) -> Any:
    """The value of a key; null is what Go begins with."""
    if value is None:
        return _zero(wanted.value)
    return _check(value, wanted.value, path, owner, unknown)


def _zero(wanted: Type) -> Any:
    """Return the value that Go's decoder leaves for null in a list or map."""
    if isinstance(wanted, Struct):
        return {}
    if not isinstance(wanted, Scalar) or wanted.format in TIME_ENDS:
        return None
    return {"string": "", "integer": 0, "boolean": False, "number": 0}[wanted.json]


def _struct(
    value: Any, wanted: Struct, path: str, owner: str, unknown: list[str]
) -> dict[str, Any]:
    checked = {}
    for name, item in _expect(value, dict, f"v1.{wanted.name}", path, owner).items():
        below = f"{path}.{name}" if path else name
        if name not in wanted.fields:
            unknown.append(below)
        elif item is not None:
            checked[name] = _check(item, wanted.fields[name], below, wanted.name, unknown)
    return checked


def _scalar(value: Any, wanted: Scalar, path: str, owner: str) -> Any:
    python = {"string": str, "integer": int, "boolean": bool, "number": (int, float)}[wanted.json]
    if not isinstance(value, python) or (isinstance(value, bool) and wanted.json != "boolean"):  # type: ignore[arg-type]
        raise WrongTypeError(_mismatch(value, GO_TYPES[wanted.json], path, owner))
    if (
        wanted.format in INTEGERS
        and not -INTEGERS[wanted.format] <= value < INTEGERS[wanted.format]
    ):
        raise WrongTypeError(_mismatch(float(value), wanted.format, path, owner, shown=str(value)))
    if wanted.format == "byte":
        _check_base64(value)
    return _time(value, wanted.format) if wanted.format in TIME_ENDS else value


def _time(text: str, format_: str) -> str:
    """A time as it is stored: in UTC, and in whole seconds where the format has no more."""
    start = TIME.match(text)
    if start is None:
        unparsed, wanted = text, "2006"
    elif TIME_ENDS[format_].fullmatch(text, start.end()) is None:
        unparsed, wanted = (
            text[start.end() :],
            TIME_LAYOUTS[format_].removesuffix("Z07:00") or "Z07:00",
        )
    else:
        return _in_utc(text, "microseconds" if format_ == "micro-time" else "seconds")
    layout = f"{SECONDS}{TIME_LAYOUTS[format_]}"
    raise WrongTypeError(
        f'parsing time "{text}" as "{layout}": cannot parse "{unparsed}" as "{wanted}"'
    )


def _in_utc(text: str, precision: str) -> str:
    try:
        moment = datetime.fromisoformat(text).astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise WrongTypeError(f'parsing time "{text}": {error}') from error
    return moment.isoformat(timespec=precision).removesuffix("+00:00") + "Z"


def _check_base64(text: str) -> None:
    try:
        base64.b64decode(text, validate=True)
    except binascii.Error as error:
        bad = next(
            (index for index, letter in enumerate(text) if not re.match(r"[A-Za-z0-9+/=]", letter)),
            len(text),
        )
        raise WrongTypeError(f"illegal base64 data at input byte {bad}") from error


def _expect(value: Any, python: type, go_type: str, path: str, owner: str) -> Any:
    if not isinstance(value, python):
        raise WrongTypeError(_mismatch(value, go_type, path, owner))
    return value


def _mismatch(value: Any, go_type: str, path: str, owner: str, shown: str = "") -> str:
    field = re.sub(r"\[\d+\]", "", path)
    told = f"number {shown or value}" if isinstance(value, float) else go_kind(value)
    return f"json: cannot unmarshal {told} into Go struct field {owner}.{field} of type {go_type}"


def _go_type(wanted: MapOf | ListOf) -> str:
    inner = wanted.value if isinstance(wanted, MapOf) else wanted.item
    name = (
        inner.json
        if isinstance(inner, Scalar)
        else f"v1.{inner.name}"
        if isinstance(inner, Struct)
        else "object"
    )
    return f"map[string]{name}" if isinstance(wanted, MapOf) else f"[]{name}"
