"""Read YAML as kube-apiserver does: one document, with JSON's types only.

`parsing.py` calls `read_yaml`. It follows Go where PyYAML differs: `y` is true, `1e3`
is a number, `1:30` and dates are text, unknown tags are ignored, and keys become
text. Nesting is bounded, and aliases are refused.
"""

import base64
import binascii
import math
import re
from typing import Any, NamedTuple, NoReturn

import yaml

# Levels of nesting. kube-apiserver accepts 10,000; real objects have less than a tenth of 250.
DEEPEST = 250
TAG = "tag:yaml.org,2002:"
BOOLEANS = {
    **dict.fromkeys(
        ("y", "Y", "yes", "Yes", "YES", "on", "On", "ON", "true", "True", "TRUE"), True
    ),
    **dict.fromkeys(
        ("n", "N", "no", "No", "NO", "off", "Off", "OFF", "false", "False", "FALSE"), False
    ),
}
NULLS = ("", "~", "null", "Null", "NULL")
INTEGER = re.compile(r"[-+]?(0[xX][0-9a-fA-F_]+|0[oO]?[0-7_]+|0[bB][01_]+|[0-9][0-9_]*)")
FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
SPECIAL_FLOAT = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")
BASES = {"x": 16, "o": 8, "b": 2}

FASTEST_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class YamlDocument(NamedTuple):
    """A document, and a warning for each key that repeats in it."""

    value: Any
    repeated: list[str]


def read_yaml(body: bytes) -> YamlDocument:
    """Read the first document of a body; None for a body without one.

    Raises:
        ValueError: it cannot be read; the message is Go's as far as PyYAML knows what is wrong.
    """
    try:
        reader = _Reader(FASTEST_LOADER(body))
        return YamlDocument(reader.document(), reader.repeated)
    except yaml.MarkedYAMLError as error:
        line = f"line {error.problem_mark.line + 1}: " if error.problem_mark else ""
        raise ValueError(f"yaml: {line}{error.problem or error}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ValueError(f"yaml: {error}") from error


class _Reader:
    """Makes values of parser events.

    It counts levels itself, because the loader's composer has no limit and ends the process.
    """

    def __init__(self, loader: Any) -> None:
        self.repeated: list[str] = []
        self._loader = loader
        self._open_anchors: list[str | None] = []  # of the collections around the next event

    def document(self) -> Any:
        self._loader.get_event()  # the stream begins
        if isinstance(self._loader.peek_event(), yaml.StreamEndEvent):
            return None
        self._loader.get_event()  # the document begins
        return self._value(self._loader.get_event())

    def _value(self, event: Any) -> Any:
        if isinstance(event, yaml.AliasEvent):
            self._refuse_alias(event.anchor or "")
        if isinstance(event, yaml.ScalarEvent):
            return _scalar(event)
        self._open_anchors.append(event.anchor)
        value = self._collection(event)
        self._open_anchors.pop()
        return value

    def _refuse_alias(self, anchor: str) -> NoReturn:
        if anchor in self._open_anchors:
            raise ValueError(f"yaml: anchor '{anchor}' value contains itself")
        raise ValueError(f"yaml: the alias '{anchor}' is not supported")

    def _collection(self, event: Any) -> Any:
        if len(self._open_anchors) > DEEPEST:
            raise ValueError("yaml: exceeded max depth of 10000")
        return self._mapping() if isinstance(event, yaml.MappingStartEvent) else self._sequence()

    def _sequence(self) -> list[Any]:
        items = []
        while not isinstance(event := self._loader.get_event(), yaml.SequenceEndEvent):
            items.append(self._value(event))
        return items

    def _mapping(self) -> dict[str, Any]:
        merged: dict[str, Any] = {}
        own: dict[str, Any] = {}
        while not isinstance(event := self._loader.get_event(), yaml.MappingEndEvent):
            is_merge = (
                isinstance(event, yaml.ScalarEvent) and event.value == "<<" and event.implicit[0]
            )
            key = self._value(event)
            value = self._value(self._loader.get_event())
            if is_merge:
                if not isinstance(value, dict):
                    raise ValueError("yaml: map merge requires a map as the value")
                merged = {**value, **merged}
                continue
            name = _key(key, value)
            if name in own or name in merged:
                self.repeated.append(
                    f'line {event.start_mark.line + 1}: key "{name}" already set in map'
                )
            own[name] = value
        return {**merged, **own}


def _key(key: Any, value: Any) -> str:
    if isinstance(key, str):
        return key
    if isinstance(key, bool):
        return "true" if key else "false"
    if isinstance(key, int | float):
        return str(key)
    raise ValueError(
        f"unsupported map key of type: {type(key).__name__}, key: {key}, value: {value!r}"
    )


def _scalar(event: Any) -> Any:
    text: str = event.value
    if event.tag == f"{TAG}binary":
        return _binary(text)
    quoted = event.style in ("'", '"', "|", ">")
    return text if quoted or event.tag in (f"{TAG}str", "!") else _plain(text)


def _plain(text: str) -> Any:
    """What a scalar without quotes and tag means."""
    if text in NULLS:
        return None
    if text in BOOLEANS:
        return BOOLEANS[text]
    if SPECIAL_FLOAT.fullmatch(text):
        shown = "NaN" if text[-1] in "nN" else "-Inf" if text.startswith("-") else "+Inf"
        raise ValueError(f"json: unsupported value: {shown}")
    if INTEGER.fullmatch(text) and any(letter.isalnum() for letter in text):
        return _integer(text.replace("_", ""))
    return _float(text) if FLOAT.fullmatch(text) else text


def _integer(text: str) -> Any:
    digits = text.lstrip("+-")
    sign = -1 if text.startswith("-") else 1
    if len(digits) > 1 and digits[0] == "0":
        base = BASES.get(digits[1].lower(), 8)
        digits = digits[2:] if digits[1].isalpha() else digits
        return sign * int(digits, base) if digits else text
    number = sign * int(digits) if len(digits) <= 20 else None
    return number if number is not None and -(2**63) <= number < 2**64 else _float(text)


def _float(text: str) -> Any:
    number = float(text)
    if math.isinf(number):
        return text
    return int(number) if number.is_integer() and abs(number) < 1e21 else number


def _binary(text: str) -> str:
    try:
        return base64.b64decode(text, validate=False).decode("utf-8", "replace")
    except binascii.Error as error:
        raise ValueError("yaml: !!binary value contains invalid base64 data") from error
