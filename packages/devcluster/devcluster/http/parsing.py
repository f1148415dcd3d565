"""Read bodies (JSON, YAML, protobuf), with kube-apiserver's error messages.

`decoding.py` checks the fields. Nothing here knows kinds.
"""

import json
import math
import string
from collections.abc import Iterator
from typing import Any, NamedTuple, NoReturn

from devcluster.errors import ApiStatus, bad_request
from devcluster.http.protobuf import decode as decode_protobuf
from devcluster.http.yaml_reader import DEEPEST, read_yaml

PROTOBUF = "application/vnd.kubernetes.protobuf"
JSON = "application/json"
YAML = "application/yaml"
SHOWN_OF_BODY = 30  # bytes of an unreadable body that a message quotes
LONGEST_NUMBER = 400  # digits; what is longer does not fit into a float64
GO_KINDS = {
    str: "string",
    bool: "bool",
    int: "number",
    float: "number",
    dict: "object",
    list: "array",
}
GO_MAP = "Go value of type map[string]interface {}"
TYPE_OF_BODY = (
    r'Go value of type struct { APIVersion string "json:\"apiVersion,omitempty\""; Kind string '
    r'"json:\"kind,omitempty\"" }'
)
UNREADABLE = "couldn't get version/kind; json parse error: "
KEYWORDS = ("null", "true", "false")
GO_ESCAPES = {
    7: "\\a",
    8: "\\b",
    9: "\\t",
    10: "\\n",
    11: "\\v",
    12: "\\f",
    13: "\\r",
    39: "\\'",
    92: "\\\\",
}
EXPECTATIONS = {
    "Expecting value": "looking for beginning of value",
    "Expecting property name enclosed in double quotes": (
        "looking for beginning of object key string"
    ),
    "Expecting ':' delimiter": "after object key",
    "Expecting ',' delimiter": "after object key:value pair",
    "Extra data": "after top-level value",
}


class Decoded(NamedTuple):
    """A body, and a message for each key that repeats in it."""

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
    document, repeated, problem = _read(body, content_type)
    if problem is not None:
        raise bad_request(
            f"the object provided is unrecognized (must be of type {kind_name}): {problem} "
            f"({_quoted(body)})"
        )
    return Decoded(document, repeated)


def read_options(body: bytes, content_type: str) -> dict[str, Any]:
    """Read the options in the body of a DELETE.

    Raises:
        ApiStatus: 400 or 415.
    """
    document, _, problem = _read(body, content_type)
    if problem is not None:
        raise bad_request(problem)
    return document


def _read(body: bytes, content_type: str) -> tuple[dict[str, Any], list[str], str | None]:
    """Return the document, a message for each key that repeats in it, and what is wrong with it."""
    media = (content_type.partition(";")[0].strip() if content_type else JSON).lower()
    if media == PROTOBUF:
        return decode_protobuf(body), [], None
    if media not in (JSON, YAML):
        accepted = f"{JSON}, {YAML}, {PROTOBUF}"
        message = (
            "the body of the request was in an unknown format - accepted media types include: "
            f"{accepted}"
        )
        raise ApiStatus(415, "UnsupportedMediaType", message)
    try:
        document, repeated = _from_yaml(body) if media == YAML else _from_json(body)
        problem = _type_problem(document)
    except ValueError as error:
        return {}, [], str(error) if media == YAML else f"{UNREADABLE}{error}"
    if problem is None and isinstance(document, dict):
        version = document.get("apiVersion") or ""
        problem = f"unexpected GroupVersion string: {version}" if version.count("/") > 1 else None
    else:
        problem = problem and f"{UNREADABLE}{problem}"
    return document or {}, repeated, problem


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
        document, _ = _from_yaml(body)
    except ValueError as error:
        raise bad_request(f"error decoding YAML: error converting YAML to JSON: {error}") from error
    if document is not None and not isinstance(document, dict):
        why = f"json: cannot unmarshal {go_kind(document)} into {GO_MAP}"
        raise bad_request(
            f"error decoding YAML: error unmarshaling JSON: while decoding JSON: {why}"
        )
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
        document = json.loads(
            text,
            object_pairs_hook=keep,
            parse_constant=_refuse_constant,
            parse_int=_integer,
            parse_float=_float,
        )
        _check_depth(body, document)
    except json.JSONDecodeError as error:
        raise ValueError(_in_words_of_go(body, error)) from error
    except RecursionError as error:
        raise ValueError(TOO_DEEP) from error
    repeated = [f'duplicate field "{path}"' for entry in seen for path in entry.repeated(document)]
    return (_without_lone_surrogates(document) if "\\ud" in text.lower() else document), repeated


TOO_DEEP = "invalid character '[' exceeded max depth"


def _check_depth(body: bytes, document: Any) -> None:
    """Refuse what is nested so deeply that walking through it would end in a RecursionError."""
    if body.count(b"{") + body.count(b"[") <= DEEPEST:
        return
    level = [document]
    for _ in range(DEEPEST):
        level = [
            child
            for value in level
            if isinstance(value, dict | list)
            for child in (value.values() if isinstance(value, dict) else value)
            if isinstance(child, dict | list)
        ]
        if not level:
            return
    raise ValueError(TOO_DEEP)


def _integer(digits: str) -> int:
    if len(digits) > LONGEST_NUMBER:
        raise ValueError(f"json: cannot unmarshal number {digits} into Go value of type float64")
    return int(digits)


def _float(digits: str) -> float:
    if math.isinf(number := float(digits)):
        raise ValueError(f"json: cannot unmarshal number {digits} into Go value of type float64")
    return number


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"invalid character '{name[0]}' looking for beginning of value")


def _without_lone_surrogates(document: Any) -> Any:
    r"""What `\ud800` alone stands for is no text: it becomes U+FFFD, as it does in Go."""
    text = json.dumps(document, ensure_ascii=False)
    return json.loads(text.encode("utf-16", "surrogatepass").decode("utf-16", "replace"))


def _in_words_of_go(body: bytes, error: json.JSONDecodeError) -> str:
    """Return Go's message for a syntax error.

    Go names bytes, so the body is parsed once more with one letter for each byte.
    """
    text = body.decode("latin-1")
    try:
        json.loads(text)
    except json.JSONDecodeError as other:
        error = other
    position, why = error.pos, EXPECTATIONS.get(error.msg, "in string literal")
    if error.msg == "Invalid \\escape":
        position, why = position + 1, "in string escape code"
    elif error.msg.startswith("Invalid \\u"):
        position = next(
            (at for at in range(position + 1, len(text)) if text[at] not in string.hexdigits),
            len(text),
        )
        why = r"in \u hexadecimal character escape"
    elif error.msg.startswith("Illegal trailing comma"):
        position = next(
            (at for at in range(position + 1, len(text)) if not text[at].isspace()), len(text)
        )
        why = (
            "looking for beginning of object key string"
            if text[position : position + 1] == "}"
            else why
        )
    elif error.msg == "Expecting value" and (keyword := _keyword_at(text, position)):
        same = next(
            (n for n in range(len(keyword)) if text[position + n : position + n + 1] != keyword[n]),
            0,
        )
        position, why = (
            position + same,
            f"in literal {keyword} (expecting {_go_letter(keyword[same])})",
        )
    if position >= len(text.rstrip(" \t\r\n")) or error.msg.startswith("Unterminated"):
        return "unexpected end of JSON input"
    return f"invalid character {_go_letter(text[position])} {why}"


def _keyword_at(text: str, position: int) -> str | None:
    return next(
        (keyword for keyword in KEYWORDS if text[position : position + 1] == keyword[0]), None
    )


def _go_letter(letter: str) -> str:
    """A byte as Go quotes it."""
    code = ord(letter)
    if code in GO_ESCAPES:
        return f"'{GO_ESCAPES[code]}'"
    if code < 0x20 or code == 0x7F:
        return f"'\\x{code:02x}'"
    return f"'{letter}'" if letter.isprintable() else f"'\\u{code:04x}'"


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
        document.items()
        if isinstance(document, dict)
        else enumerate(document)
        if isinstance(document, list)
        else ()
    )
    for name, item in items:
        below = f"{path.rstrip('.')}[{name}]." if isinstance(document, list) else f"{path}{name}."
        if isinstance(item, dict | list) and (found := _find(item, wanted, below)):
            return found
    return ""


def _from_yaml(body: bytes) -> tuple[Any, list[str]]:
    if body.lstrip().startswith(b"{"):
        try:
            return _from_json(body)  # a hundred times as fast, and most YAML that is sent is JSON
        except ValueError:
            pass  # YAML in flow style
    return read_yaml(body)


def _type_problem(document: Any) -> str | None:
    """A body must be an object, and say in text what it is."""
    if document is None:
        return None
    if not isinstance(document, dict):
        return f"json: cannot unmarshal {go_kind(document)} into {TYPE_OF_BODY}"
    for name in ("apiVersion", "kind"):
        if (value := document.get(name)) is not None and not isinstance(value, str):
            return (
                f"json: cannot unmarshal {go_kind(value)} into Go struct field .{name} of type "
                "string"
            )
    return None


def _quoted(body: bytes) -> str:
    if not body:
        return "<empty>"
    more = " ..." if len(body) > SHOWN_OF_BODY else ""
    if not body.startswith(b"{"):
        return body[:SHOWN_OF_BODY].hex() + more
    return body[:SHOWN_OF_BODY].decode("utf-8", "replace") + more
