"""Request bodies become objects: JSON, YAML or protobuf, checked against the fields of built-in kinds.

A field of the wrong type is an error in the words of Go's decoder; an unknown or repeated field is dropped, and told of as the client asked:
ignored, warned of, or refused. Custom resources are checked by their schema (`structural`), not here.
"""

import base64
import binascii
import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import yaml

from devcluster.errors import ApiStatus, bad_request, invalid
from devcluster.field_problems import invalid_value
from devcluster.kinds import Kind
from devcluster.protobuf import decode as decode_protobuf
from devcluster.types import AnyValue, ListOf, MapOf, Scalar, Struct, Type

PROTOBUF = "application/vnd.kubernetes.protobuf"
JSON = "application/json"
YAML = "application/yaml"
MICRO_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}(Z|[+-]\d\d:\d\d)")
GO_KINDS = {str: "string", bool: "bool", int: "number", float: "number", dict: "object", list: "array"}
GO_TYPES = {"string": "string", "integer": "int64", "boolean": "bool", "number": "float64"}


class Decoded(NamedTuple):
    """A body, and the paths of what repeats in it."""

    document: dict[str, Any]
    repeated: list[str]


class WrongTypeError(Exception):
    """A field that is not what its kind says; the message is Go's."""


def read_body(body: bytes, content_type: str, kind_name: str) -> Decoded:
    """Read an object.

    Args:
        body: as sent.
        content_type: of it; JSON where it is not said.
        kind_name: what it must be, for messages.

    Raises:
        ApiStatus: 400 or 415.
    """
    media = content_type.partition(";")[0].strip() or JSON
    if media == PROTOBUF:
        return Decoded(decode_protobuf(body), [])
    if media not in (JSON, YAML):
        accepted = f"{JSON}, {YAML}, {PROTOBUF}"
        message = f"the body of the request was in an unknown format - accepted media types include: {accepted}"
        raise ApiStatus(415, "UnsupportedMediaType", message)
    try:
        decoded = _from_yaml(body) if media == YAML else _from_json(body)
    except (ValueError, yaml.YAMLError) as error:
        raise _unrecognized(kind_name, error) from error
    if not isinstance(decoded.document, dict):
        raise _unrecognized(kind_name, "cannot unmarshal array into Go value")
    return decoded


def read_json(body: bytes) -> Any:
    """Any JSON, for patches.

    Raises:
        ApiStatus: 400.
    """
    try:
        return json.loads(body)
    except ValueError as error:
        raise bad_request(f"error decoding patch: {error}") from error


def check_kind(document: Mapping[str, Any], kind: Kind) -> dict[str, Any]:
    """The document with apiVersion and kind, which must be those of `kind` where they are said.

    Raises:
        ApiStatus: 400; 422 for another kind of custom resource.
    """
    named, version = document.get("kind", kind.kind), document.get("apiVersion", kind.api_version)
    if kind.custom is not None and named != kind.kind and version == kind.api_version:
        name = (document.get("metadata") or {}).get("name", "")
        raise invalid(kind.group, str(named), name, [invalid_value("kind", named, f"must be {kind.kind}")])
    if (named, version) != (kind.kind, kind.api_version):
        short = str(version).rpartition("/")[2]
        if version == kind.api_version:
            why = f"converting ({short}.{named}) to (core.{kind.kind}): unknown conversion"
        else:
            why = f'no kind "{named}" is registered for version "{version}" in scheme "k8s.io/kubernetes/pkg/api/legacyscheme/scheme.go:30"'
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


def cannot_be_handled(kind: Kind, why: object) -> ApiStatus:
    """400: the body is no object of that kind."""
    return bad_request(f'{kind.kind} in version "{kind.version}" cannot be handled as a {kind.kind}: {why}')


def _check(value: Any, wanted: Type, path: str, owner: str, unknown: list[str]) -> Any:
    match wanted:
        case AnyValue():
            return value
        case Scalar():
            return _scalar(value, wanted, path, owner)
        case MapOf():
            items = _expect(value, dict, _go_type(wanted), path, owner).items()
            return {
                key: _check(item, wanted.value, path, owner, unknown)
                for key, item in items
                if item is not None or isinstance(wanted.value, AnyValue)
            }
        case ListOf():
            items = _expect(value, list, _go_type(wanted), path, owner)
            return [_check(item, wanted.item, f"{path}[{index}]", owner, unknown) for index, item in enumerate(items)]
        case Struct():
            return _struct(value, wanted, path, owner, unknown)


def _struct(value: Any, wanted: Struct, path: str, owner: str, unknown: list[str]) -> dict[str, Any]:
    checked = {}
    for name, item in _expect(value, dict, f"v1.{wanted.name}", path, owner).items():
        below = f"{path}.{name}" if path else name
        if name not in wanted.fields:
            unknown.append(below)
        elif item is not None:
            checked[name] = _check(item, wanted.fields[name], below, wanted.name, unknown)
    return checked


def _scalar(value: Any, wanted: Scalar, path: str, owner: str) -> Any:
    if wanted.format == "int-or-string" and isinstance(value, str):
        return value
    python = {"string": str, "integer": int, "boolean": bool, "number": (int, float)}[wanted.json]
    if not isinstance(value, python) or (isinstance(value, bool) and wanted.json != "boolean"):  # type: ignore[arg-type]
        raise WrongTypeError(_mismatch(value, GO_TYPES[wanted.json], path, owner))
    if wanted.format == "byte":
        _check_base64(value)
    if wanted.format == "micro-time" and not MICRO_TIME.fullmatch(value):
        raise WrongTypeError(f'parsing time "{value}" as "2006-01-02T15:04:05.000000Z07:00": cannot parse "{value}"')
    return value


def _check_base64(text: str) -> None:
    try:
        base64.b64decode(text, validate=True)
    except binascii.Error as error:
        bad = next((index for index, letter in enumerate(text) if not re.match(r"[A-Za-z0-9+/=]", letter)), len(text))
        raise WrongTypeError(f"illegal base64 data at input byte {bad}") from error


def _expect(value: Any, python: type, go_type: str, path: str, owner: str) -> Any:
    if not isinstance(value, python):
        raise WrongTypeError(_mismatch(value, go_type, path, owner))
    return value


def _mismatch(value: Any, go_type: str, path: str, owner: str) -> str:
    field = re.sub(r"\[\d+\]", "", path)
    return f"json: cannot unmarshal {GO_KINDS.get(type(value), 'value')} into Go struct field {owner}.{field} of type {go_type}"


def _go_type(wanted: MapOf | ListOf) -> str:
    inner = wanted.value if isinstance(wanted, MapOf) else wanted.item
    name = inner.json if isinstance(inner, Scalar) else "object"
    return f"map[string]{name}" if isinstance(wanted, MapOf) else f"[]{name}"


def _from_json(body: bytes) -> Decoded:
    text = body.decode("utf-8")
    seen: list[_Pairs] = []

    def keep(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        made = dict(pairs)
        if len(made) != len(pairs):
            seen.append(_Pairs(made, pairs))
        return made

    document = json.loads(text, object_pairs_hook=keep)
    repeated = [path for entry in seen for path in entry.repeated(document)]
    return Decoded(document, repeated)


class _Pairs(NamedTuple):
    """An object in which a key stood twice."""

    made: dict[str, Any]
    pairs: list[tuple[str, Any]]

    def repeated(self, document: Any) -> Iterator[str]:
        names = [name for name, _ in self.pairs]
        for name in dict.fromkeys(name for name in names if names.count(name) > 1):
            yield f"{_find(document, self.made)}{name}"


def _find(document: Any, wanted: dict[str, Any], path: str = "") -> str:
    """The path of an object within a document, with a dot behind it."""
    if document is wanted:
        return path
    items = (
        document.items() if isinstance(document, dict) else enumerate(document) if isinstance(document, list) else ()
    )
    for name, item in items:
        below = f"{path.rstrip('.')}[{name}]." if isinstance(document, list) else f"{path}{name}."
        if isinstance(item, dict | list) and (found := _find(item, wanted, below)):
            return found
    return ""


def _from_yaml(body: bytes) -> Decoded:
    return Decoded(yaml.load(body, Loader=_NoTimestamps), [])  # noqa: S506 - derived from the safe loader


class _NoTimestamps(yaml.SafeLoader):
    """YAML as Kubernetes reads it: JSON's types only, times stay text."""


_NoTimestamps.yaml_implicit_resolvers = {
    letter: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for letter, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def _unrecognized(kind_name: str, error: object) -> ApiStatus:
    return bad_request(
        f"the object provided is unrecognized (must be of type {kind_name}): couldn't get version/kind; json parse error: {error}"
    )
