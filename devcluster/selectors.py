"""Label and field selectors in the string form of queries: parsed with kube-apiserver's words for what is wrong, and matched."""

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

from devcluster.errors import ApiStatus, bad_request
from devcluster.metadata import key_problems, value_problem

Predicate = Callable[[Mapping[str, Any]], bool]

_TOKEN = re.compile(r"\s*(?:(==|!=|=|!|>|<|,|\(|\))|([^\s=!<>,()]+))")
INTEGER = r"[-+]?[0-9]+"
END = ""
COMMON_FIELDS = ("metadata.name", "metadata.namespace")
MORE_FIELDS: Mapping[tuple[str, str], tuple[str, ...]] = {
    ("", "namespaces"): ("status.phase",),
    ("", "events"): (
        "involvedObject.kind",
        "involvedObject.namespace",
        "involvedObject.name",
        "involvedObject.uid",
        "involvedObject.apiVersion",
        "involvedObject.resourceVersion",
        "involvedObject.fieldPath",
        "reason",
        "reportingComponent",
        "source",
        "type",
    ),
    ("", "secrets"): ("type",),
}


class Requirement(NamedTuple):
    """One part of a label selector."""

    key: str
    operator: str
    values: tuple[str, ...]

    def holds(self, labels: Mapping[str, str]) -> bool:
        """Whether labels satisfy it."""
        value = labels.get(self.key)
        match self.operator:
            case "exists":
                return value is not None
            case "absent":
                return value is None
            case "in":
                return value is not None and value in self.values
            case "notin":
                return value is None or value not in self.values
            case _:
                return _compares(value, self.operator, self.values[0])


def label_predicate(text: str | None) -> Predicate | None:
    """What a `labelSelector` lets through; None where it lets everything through.

    Raises:
        ApiStatus: 400, it cannot be read.
    """
    if not text:
        return None
    requirements = _Parser(text).requirements()
    return lambda obj: all(requirement.holds(obj["metadata"].get("labels") or {}) for requirement in requirements)


def field_predicate(text: str | None, key: tuple[str, str], *, custom: bool) -> Predicate | None:
    """What a `fieldSelector` lets through.

    Raises:
        ApiStatus: 400, it cannot be read, or the field cannot be selected by.
    """
    if not text:
        return None
    tests = [_field_test(part, key, custom=custom) for part in text.split(",") if part]
    return lambda obj: all(test(obj) for test in tests)


class _Parser:
    """Reads requirements the way apimachinery's does."""

    def __init__(self, text: str) -> None:
        self._tokens = list(_tokens(text))
        self._position = 0

    def requirements(self) -> list[Requirement]:
        found = [self._requirement()]
        while (word := self._next()) != END:
            if word != ",":
                raise bad_request(f"found '{word}', expected: ',' or 'end of string'")
            found.append(self._requirement())
        for requirement in found:
            _check(requirement)
        return found

    def _requirement(self) -> Requirement:
        word = self._next()
        if word == "!":
            return Requirement(self._next(), "absent", ())
        operator = self._peek()
        if operator in {"", ","}:
            return Requirement(word, "exists", ())
        self._next()
        match operator:
            case "=" | "==":
                return Requirement(word, "in", (self._value(),))
            case "!=":
                return Requirement(word, "notin", (self._value(),))
            case ">" | "<":
                return Requirement(word, operator, (self._value(),))
            case "in" | "notin":
                return Requirement(word, operator, self._values())
            case _:
                raise _unreadable(f"found '{operator}', expected: in, notin, =, ==, !=, gt, lt")

    def _value(self) -> str:
        if self._peek() in {"=", "==", "!=", "!", "<", ">", "(", ")"}:
            raise _unreadable(f"found '{self._peek()}', expected: identifier")
        return "" if self._peek() in {END, ","} else self._next()

    def _values(self) -> tuple[str, ...]:
        if (opening := self._next()) != "(":
            raise _unreadable(f"found '{opening}' expected: '('")
        values: list[str] = []
        while (word := self._next()) != ")":
            if word == END:
                raise _unreadable("found '', expected: ',' or ')'")
            if word != ",":
                values.append(word)
        return tuple(values)

    def _peek(self) -> str:
        return self._tokens[self._position] if self._position < len(self._tokens) else END

    def _next(self) -> str:
        word = self._peek()
        self._position += 1
        return word


def _unreadable(why: str) -> ApiStatus:
    return bad_request(f"unable to parse requirement: {why}")


def _check(requirement: Requirement) -> None:
    """Refuse keys and values that no label can have.

    Raises:
        ApiStatus: 400.
    """
    for flaw in key_problems(requirement.key):
        raise _unreadable(f'<nil>: Invalid value: "{requirement.key}": {flaw}')
    for index, value in enumerate(requirement.values):
        if requirement.operator in "<>":
            if not re.fullmatch(INTEGER, value):
                why = "for 'Gt', 'Lt' operators, the value must be an integer"
                raise _unreadable(f'values[{index}]: Invalid value: "{value}": {why}')
        elif (problem := value_problem(value)) is not None:
            raise _unreadable(f'values[{index}][{requirement.key}]: Invalid value: "{value}": {problem}')


def _tokens(text: str) -> Iterable[str]:
    for match in _TOKEN.finditer(text):
        yield match.group(1) or match.group(2)


def _compares(value: str | None, operator: str, than: str) -> bool:
    if value is None or not re.fullmatch(INTEGER, value):
        return False
    return int(value) > int(than) if operator == ">" else int(value) < int(than)


def _field_test(part: str, key: tuple[str, str], *, custom: bool) -> Predicate:
    match = re.fullmatch(r"(.+?)(!=|==|=)(.*)", part)
    if match is None:
        raise bad_request(f"invalid selector: '{part}'; can't understand '{part}'")
    name, operator, value = match.groups()
    if name not in (*COMMON_FIELDS, *MORE_FIELDS.get(key, ())):
        raise _unknown_field(name, key, custom=custom)
    return lambda obj: (_field(obj, name) == value) != (operator == "!=")


def _unknown_field(name: str, key: tuple[str, str], *, custom: bool) -> ApiStatus:
    if custom or key in MORE_FIELDS:
        return bad_request(f"field label not supported: {name}")
    known = ", ".join(f'"{field}"' for field in COMMON_FIELDS)
    return bad_request(f'"{name}" is not a known field selector: only {known}')


def _field(obj: Mapping[str, Any], name: str) -> str:
    value: Any = obj
    if name == "source":
        value = (obj.get("source") or {}).get("component")
    else:
        for part in name.split("."):
            value = value.get(part) if isinstance(value, Mapping) else None
    return "" if value is None else str(value)
