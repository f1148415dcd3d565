"""Bytes become documents: JSON, YAML or protobuf, with the real server's words for what cannot be read.

What the fields of a document mean is `decoding.py`'s to say; nothing here knows kinds.
"""

import json
from collections.abc import Iterator
from typing import Any, NamedTuple, NoReturn

import yaml

from devcluster.errors import ApiStatus, bad_request
from devcluster.protobuf import decode as decode_protobuf

PROTOBUF = "application/vnd.kubernetes.protobuf"
JSON = "application/json"
YAML = "application/yaml"
SHOWN_OF_BODY = 30  # bytes of an unreadable body that a message quotes
GO_KINDS = {str: "string", bool: "bool", int: "number", float: "number", dict: "object", list: "array"}
GO_MAP = "Go value of type map[string]interface {}"
TYPE_OF_BODY = r'Go value of type struct { APIVersion string "json:\"apiVersion,omitempty\""; Kind string "json:\"kind,omitempty\"" }'
EXPECTATIONS = {
    "Expecting value": "looking for beginning of value",
    "Expecting property name enclosed in double quotes": "looking for beginning of object key string",
    "Expecting ':' delimiter": "after object key",
    "Expecting ',' delimiter": "after object key:value pair",
    "Extra data": "after top-level value",
}


class Decoded(NamedTuple):
    """A body, and the paths of what repeats in it."""

    document: dict[str, Any]
    repeated: list[str]


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
        document, repeated = (_from_yaml(body), []) if media == YAML else _from_json(body)
        problem = _type_problem(document)
    except (ValueError, yaml.YAMLError) as error:
        problem = str(error)
    if problem is not None:
        why = f"couldn't get version/kind; json parse error: {problem} ({_quoted(body)})"
        raise bad_request(f"the object provided is unrecognized (must be of type {kind_name}): {why}")
    return Decoded(document or {}, repeated)


def read_patch(body: bytes, problem: str = "error decoding patch: ") -> Any:
    """Any JSON.

    Args:
        body: as sent.
        problem: how the message of a refusal begins.

    Raises:
        ApiStatus: 400.
    """
    try:
        return _from_json(body)[0]
    except ValueError as error:
        raise bad_request(f"{problem}{error}") from error


def read_applied(body: bytes) -> dict[str, Any]:
    """A document that is applied: YAML, which JSON is too.

    Raises:
        ApiStatus: 400.
    """
    try:
        document = _from_yaml(body)
    except (ValueError, yaml.YAMLError) as error:
        raise bad_request(f"error decoding YAML: error converting YAML to JSON: yaml: {error}") from error
    if document is not None and not isinstance(document, dict):
        why = f"json: cannot unmarshal {go_kind(document)} into {GO_MAP}"
        raise bad_request(f"error decoding YAML: error unmarshaling JSON: while decoding JSON: {why}")
    return document or {}


def go_kind(value: Any) -> str:
    """What Go calls the kind of a JSON value."""
    return GO_KINDS.get(type(value), "null")


def _from_json(body: bytes) -> tuple[Any, list[str]]:
    text = body.decode("utf-8", "replace")
    seen: list[_Pairs] = []

    def keep(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        made = dict(pairs)
        if len(made) != len(pairs):
            seen.append(_Pairs(made, pairs))
        return made

    try:
        document = json.loads(text, object_pairs_hook=keep, parse_constant=_refuse_constant)
    except json.JSONDecodeError as error:
        raise ValueError(_in_words_of_go(error)) from error
    repeated = [path for entry in seen for path in entry.repeated(document)]
    return (_without_lone_surrogates(document) if "\\ud" in text.lower() else document), repeated


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"invalid character '{name[0]}' looking for beginning of value")


def _without_lone_surrogates(document: Any) -> Any:
    r"""What `\ud800` alone stands for is no text: it becomes U+FFFD, as it does in Go."""
    text = json.dumps(document, ensure_ascii=False)
    return json.loads(text.encode("utf-16", "surrogatepass").decode("utf-16", "replace"))


def _in_words_of_go(error: json.JSONDecodeError) -> str:
    if error.pos >= len(error.doc.rstrip()) or error.msg.startswith("Unterminated"):
        return "unexpected end of JSON input"
    return f"invalid character '{error.doc[error.pos]}' {EXPECTATIONS.get(error.msg, 'in string literal')}"


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


def _from_yaml(body: bytes) -> Any:
    if body.lstrip().startswith(b"{"):
        try:
            return _from_json(body)[0]  # a hundred times as fast, and most YAML that is sent is JSON
        except ValueError:
            pass  # YAML in flow style
    return yaml.load(body, Loader=_NoTimestamps)  # noqa: S506 - derived from the safe loader


_FastestLoader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class _NoTimestamps(_FastestLoader):  # type: ignore[misc]
    """YAML as Kubernetes reads it: JSON's types only, times stay text."""


_NoTimestamps.yaml_implicit_resolvers = {
    letter: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for letter, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def _type_problem(document: Any) -> str | None:
    """A body must be an object, and say in text what it is."""
    if document is None:
        return None
    if not isinstance(document, dict):
        return f"json: cannot unmarshal {go_kind(document)} into {TYPE_OF_BODY}"
    for name in ("apiVersion", "kind"):
        if (value := document.get(name)) is not None and not isinstance(value, str):
            return f"json: cannot unmarshal {go_kind(value)} into Go struct field .{name} of type string"
    return None


def _quoted(body: bytes) -> str:
    if not body:
        return "<empty>"
    if not body.startswith(b"{"):
        return body[:SHOWN_OF_BODY].hex()
    more = " ..." if len(body) > SHOWN_OF_BODY else ""
    return body[:SHOWN_OF_BODY].decode("utf-8", "replace") + more
