"""Parse and match label and field selectors of queries."""

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

from devcluster.errors import ApiStatus, bad_request
from devcluster.schema.metadata import key_problems, value_problem

Predicate = Callable[[Mapping[str, Any]], bool]

_TOKEN = re.compile(r"[ \t\r\n]*(?:(==|!=|=|!|>|<|,|\(|\))|([^ \t\r\n=!<>,()]+))")
SYMBOLS = frozenset({"=", "==", "!=", "!", ">", "<", ",", "(", ")"})
INTEGER = r"[-+]?[0-9]{1,19}"
UNESCAPED_COMMA = re.compile(r"(?<!\\),")
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
UNSUPPORTED_FIELDS = frozenset({(("", "namespaces"), "metadata.namespace")})


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
    return lambda obj: all(
        requirement.holds(obj["metadata"].get("labels") or {}) for requirement in requirements
    )


def field_predicate(text: str | None, key: tuple[str, str], *, custom: bool) -> Predicate | None:
    """What a `fieldSelector` lets through.

    Raises:
        ApiStatus: 400, it cannot be read, or the field cannot be selected by.
    """
    if not text:
        return None
    tests = [_field_test(part, key, custom=custom) for part in UNESCAPED_COMMA.split(text) if part]
    return lambda obj: all(test(obj) for test in tests)


def read_field_selector(text: str | None) -> None:
    """Refuse what is no field selector, whatever the fields.

    Raises:
        ApiStatus: 400.
    """
    for part in UNESCAPED_COMMA.split(text or ""):
        if part:
            _unescaped(_parts(part)[2])


class _Parser:
    """Reads requirements the way apimachinery's does."""

    def __init__(self, text: str) -> None:
        self._tokens = list(_tokens(text))
        self._position = 0

    def requirements(self) -> list[Requirement]:
        found: list[Requirement] = []
        while (word := self._peek()) != END:
            if word in SYMBOLS and word != "!":
                raise bad_request(f"found '{word}', expected: !, identifier, or 'end of string'")
            found.append(self._requirement())
            if (word := self._next()) == END:
                break
            if word != ",":
                raise bad_request(f"found '{word}', expected: ',' or 'end of string'")
            if (word := self._peek()) == END or (word in SYMBOLS and word != "!"):
                raise bad_request(f"found '{word}', expected: identifier after ','")
        return found

    def _requirement(self) -> Requirement:
        absent = self._peek() == "!"
        if absent:
            self._next()
        key = self._next()
        if key == END or key in SYMBOLS:
            raise _unreadable(f"found '{key}', expected: identifier")
        _check_key(key)
        if absent:
            return Requirement(key, "absent", ())
        if self._peek() in {END, ","}:
            return Requirement(key, "exists", ())
        match self._next():
            case "=" | "==":
                return _checked(key, "in", (self._value(),))
            case "!=":
                return _checked(key, "notin", (self._value(),))
            case ">" | "<" as operator:
                return _checked(key, operator, (self._value(),))
            case "in" | "notin" as operator:
                return _checked(key, operator, self._values())
            case operator:
                raise _unreadable(f"found '{operator}', expected: in, notin, =, ==, !=, gt, lt")

    def _value(self) -> str:
        if self._peek() in {END, ","}:
            return ""
        if (word := self._next()) in SYMBOLS:
            raise _unreadable(f"found '{word}', expected: identifier")
        return word

    def _values(self) -> tuple[str, ...]:
        if (opening := self._next()) != "(":
            raise _unreadable(f"found '{opening}' expected: '('")
        if self._peek() == ")":
            self._next()
            return ("",)
        if (word := self._peek()) != "," and (word == END or word in SYMBOLS):
            raise _unreadable(f"found '{word}', expected: ',', ')' or identifier")
        values = self._identifiers()
        if (closing := self._next()) != ")":
            raise _unreadable(f"found '{closing}', expected: ')'")
        return tuple(sorted(values))

    def _identifiers(self) -> set[str]:
        """Return the values of a set; nothing before, between or behind commas is ""."""
        found: set[str] = set()
        while True:
            word = self._next()
            if word == ",":
                if not found:
                    found.add("")
                if self._peek() == ")":
                    return found | {""}
                if self._peek() == ",":
                    self._next()
                    found.add("")
            elif word == END or word in SYMBOLS:
                raise _unreadable(f"found '{word}', expected: ',', or identifier")
            else:
                found.add(word)
                if self._peek() == ")":
                    return found
                if self._peek() != ",":
                    raise _unreadable(f"found '{self._peek()}', expected: ',' or ')'")

    def _peek(self) -> str:
        return self._tokens[self._position] if self._position < len(self._tokens) else END

    def _next(self) -> str:
        word = self._peek()
        self._position += 1
        return word


def _unreadable(why: str) -> ApiStatus:
    return bad_request(f"unable to parse requirement: {why}")


def _check_key(key: str) -> None:
    for flaw in key_problems(key):
        raise _unreadable(f'<nil>: Invalid value: "{key}": {flaw}')


def _checked(key: str, operator: str, values: tuple[str, ...]) -> Requirement:
    """Return a requirement with values that a label can have.

    Raises:
        ApiStatus: 400.
    """
    for index, value in enumerate(values):
        if operator in "<>" and not _is_integer(value):
            why = "for 'Gt', 'Lt' operators, the value must be an integer"
            raise _unreadable(f'values[{index}]: Invalid value: "{value}": {why}')
        if (problem := value_problem(value)) is not None:
            raise _unreadable(f'values[{index}][{key}]: Invalid value: "{value}": {problem}')
    return Requirement(key, operator, values)


def _is_integer(text: str) -> bool:
    return re.fullmatch(INTEGER, text) is not None and -(2**63) <= int(text) < 2**63


def _tokens(text: str) -> Iterable[str]:
    for match in _TOKEN.finditer(text):
        yield match.group(1) or match.group(2)


def _compares(value: str | None, operator: str, than: str) -> bool:
    if value is None or not _is_integer(value):
        return False
    return int(value) > int(than) if operator == ">" else int(value) < int(than)


def _field_test(part: str, key: tuple[str, str], *, custom: bool) -> Predicate:
    name, operator, value = _parts(part)
    if name not in (*COMMON_FIELDS, *MORE_FIELDS.get(key, ())) or (key, name) in UNSUPPORTED_FIELDS:
        raise _unknown_field(name, key, custom=custom)
    value = _unescaped(value)
    return lambda obj: (_field(obj, name) == value) != (operator == "!=")


def _parts(part: str) -> tuple[str, str, str]:
    """Return the field, operator and value of one part of a field selector."""
    match = re.fullmatch(r"(.*?)(!=|==|=)(.*)", part, re.DOTALL)
    if match is None:
        raise bad_request(f"invalid selector: '{part}'; can't understand '{part}'")
    return match[1], match[2], match[3]


def _unescaped(value: str) -> str:
    r"""Return a value without its escapes: `\\`, `\,` and `\=`."""
    for match in re.finditer(r"\\(.?)|([,=])", value, re.DOTALL):
        if match[2]:
            raise bad_request(
                f"invalid field selector: unescaped character in value: {ord(match[2])}"
            )
        if not match[1] or match[1] not in "\\,=":
            raise bad_request(f"invalid field selector: invalid escape sequence: {match[0]}")
    return re.sub(r"\\(.)", r"\1", value)


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
