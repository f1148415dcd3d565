"""The Kubernetes functions of CEL for names, lists and texts.

url, ip, cidr, quantity, format and semver are not included. A rule that calls one of
them fails like any rule that cannot be evaluated.
"""

import functools
import itertools
import re
from collections.abc import Callable
from typing import Any

from celpy.celtypes import BoolType, IntType, ListType, StringType
from celpy.evaluation import CELEvalError

UNLIMITED = -1


def is_sorted(items: list[Any]) -> BoolType:
    """items.isSorted()."""
    return BoolType(all(one <= next_one for one, next_one in itertools.pairwise(items)))


def total(items: list[Any]) -> Any:
    """items.sum(); the sum of nothing is 0."""
    result: Any = items[0] if items else IntType(0)
    for item in items[1:]:
        result += item
    return result


def smallest(items: list[Any]) -> Any:
    """items.min()."""
    return min(items)


def largest(items: list[Any]) -> Any:
    """items.max()."""
    return max(items)


def index_of(where: Any, what: Any, offset: int = 0) -> IntType:
    """The first place of a text in a text, or of an item in a list; -1 where it is in none."""
    if isinstance(where, StringType):
        return IntType(where.find(what, offset))
    return IntType(next((index for index, item in enumerate(where) if item == what), -1))


def last_index_of(where: Any, what: Any) -> IntType:
    """The last place of a text in a text, or of an item in a list; -1 where it is in none."""
    if isinstance(where, StringType):
        return IntType(where.rfind(what))
    return IntType(max((index for index, item in enumerate(where) if item == what), default=-1))


def find(text: str, pattern: str) -> StringType:
    """The first match of a pattern; the empty text where there is none."""
    found = re.search(pattern, text)
    return StringType(found[0] if found else "")


def find_all(text: str, pattern: str, limit: int = UNLIMITED) -> ListType:
    """All matches of a pattern, or the first few."""
    found = [StringType(match[0]) for match in re.finditer(pattern, text)]
    return ListType(found if limit == UNLIMITED else found[:limit])


def lower_ascii(text: str) -> StringType:
    """text.lowerAscii(): other letters stay as they are."""
    return StringType("".join(letter.lower() if letter.isascii() else letter for letter in text))


def upper_ascii(text: str) -> StringType:
    """text.upperAscii(): other letters stay as they are."""
    return StringType("".join(letter.upper() if letter.isascii() else letter for letter in text))


def split(text: str, separator: str, limit: int = UNLIMITED) -> ListType:
    """The parts between the separators; at most `limit` of them."""
    if limit == 0:
        return ListType([])
    if not separator:
        parts = list(text) if limit == UNLIMITED else [*text[: limit - 1], text[limit - 1 :]]
    else:
        parts = text.split(separator, -1 if limit == UNLIMITED else limit - 1)
    return ListType([StringType(part) for part in parts])


def join(parts: list[Any], separator: str = "") -> StringType:
    """parts.join(', ')."""
    return StringType(separator.join(parts))


def replace(text: str, old: str, new: str, limit: int = UNLIMITED) -> StringType:
    """text.replace('a', 'b')."""
    return StringType(text.replace(old, new, limit))


def substring(text: str, start: int, end: int | None = None) -> StringType:
    """text.substring(1, 3)."""
    return StringType(text[start:end])


def char_at(text: str, index: int) -> StringType:
    """text.charAt(0); the empty text just behind the end."""
    return StringType(text[index : index + 1])


def trim(text: str) -> StringType:
    """text.trim()."""
    return StringType(text.strip())


def reverse(what: Any) -> Any:
    """The letters of a text or the items of a list, last first."""
    return (
        StringType(what[::-1]) if isinstance(what, StringType) else ListType(list(reversed(what)))
    )


def has_value(holder: list[Any]) -> BoolType:
    """Whether an optional has a value."""
    return BoolType(bool(holder))


def value_of(holder: list[Any]) -> Any:
    """The value of an optional that has one."""
    return holder[0]


def or_value(holder: list[Any], other: Any) -> Any:
    """The value of an optional, else another."""
    return holder[0] if holder else other


def _guarded(function: Callable[..., Any]) -> Callable[..., Any]:
    """Turn failures into CEL's own error values, which `||` and `&&` can get over."""

    @functools.wraps(function)
    def guarded(*arguments: Any) -> Any:
        try:
            return function(*arguments)
        except (ArithmeticError, LookupError, TypeError, ValueError, re.error) as error:
            return CELEvalError(str(error), type(error), error.args)

    return guarded


NAMED: dict[str, Callable[..., Any]] = {
    "isSorted": is_sorted,
    "sum": total,
    "min": smallest,
    "max": largest,
    "indexOf": index_of,
    "lastIndexOf": last_index_of,
    "find": find,
    "findAll": find_all,
    "lowerAscii": lower_ascii,
    "upperAscii": upper_ascii,
    "split": split,
    "join": join,
    "replace": replace,
    "substring": substring,
    "charAt": char_at,
    "trim": trim,
    "reverse": reverse,
    "hasValue": has_value,
    "value": value_of,
    "orValue": or_value,
}
FUNCTIONS = {name: _guarded(function) for name, function in NAMED.items()}
