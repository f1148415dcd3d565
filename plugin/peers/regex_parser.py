"""Parse regular expressions over namespace names.

`selections.py` calls it. The syntax is the part that .NET and Go share and that suits
names; anything else raises `UnsupportedRegexError`. A tenant writes the text, so its
length and the number of its parts are bounded.
"""

import re
import string
from collections import deque

from plugin.peers.regexes import ALPHABET, ANYTHING, MOST_BRANCHES, Branch, Item, Regex

LONGEST_REGEX = 256
MOST_ITEMS = 1024  # in all branches together; bounds the cost of one match
# An escape, a class, a quantifier, the begin of a group, or one character.
_TOKEN = re.compile(r"\\.?|\[\^?\]?(?:\\.|[^\]\\])*\]?|\{[^}]*\}?|\(\?:?|.", re.DOTALL)
_CLASS = re.compile(r"\[(\^?+)((?:\]|\\.|[^\]\\])(?:\\.|[^\]\\])*)\]", re.DOTALL)
_CLASS_PART = re.compile(r"(\\.|.)(?:-(\\.|.))?", re.DOTALL)
_COUNTS = re.compile(r"\{([0-9]{1,3})(?:(,)([0-9]{0,3}))?\}")
_QUANTIFIERS: dict[str, tuple[int, int | None]] = {"*": (0, None), "+": (1, None), "?": (0, 1)}
_REFUSED = {
    "(?": "has a group that begins with (?",
    "^": "has a ^ or $ in the middle or in a group",
    "$": "has a ^ or $ in the middle or in a group",
}
_REPEATING = ("*", "+", "?", "{")
_ESCAPED_CLASSES = {
    "d": frozenset(string.digits),
    "w": frozenset(string.ascii_lowercase + string.digits),
    "D": ALPHABET - frozenset(string.digits),
    "W": frozenset("-"),
}


class UnsupportedRegexError(Exception):
    """An expression is not supported; the message is a predicate, such as `has a ) without a (`."""


def parse(text: str, *, searched: bool = False) -> Regex:
    """Parse an expression.

    Args:
        text: the expression.
        searched: whether an alternative without `^` and `$` matches inside of a name. Otherwise
            each alternative must match the whole name.

    Raises:
        UnsupportedRegexError: the syntax is wrong, or outside of the supported part.
    """
    if len(text) > LONGEST_REGEX:
        raise UnsupportedRegexError(f"has more than {LONGEST_REGEX} characters")
    branches = _Parser(text, searched=searched).parse()
    return Regex(tuple(branch for branch in branches if all(item.possible for item in branch)))


class _Parser:
    """Reads an expression from left to right, one method for each level of the grammar."""

    def __init__(self, text: str, *, searched: bool) -> None:
        self._tokens = deque(_TOKEN.findall(text))
        self._searched = searched

    def parse(self) -> list[Branch]:
        branches = self._alternatives(top=True)
        if self._tokens:
            raise UnsupportedRegexError("has a ) without a (")
        if sum(map(len, branches)) > MOST_ITEMS:
            raise UnsupportedRegexError(f"has more than {MOST_ITEMS} parts")
        return branches

    def _next(self) -> str:
        return self._tokens[0] if self._tokens else ""

    def _take_if(self, token: str) -> bool:
        found = self._next() == token
        if found:
            self._tokens.popleft()
        return found

    def _alternatives(self, *, top: bool = False) -> list[Branch]:
        branches = self._sequence(top=top)
        while self._take_if("|"):
            branches += self._sequence(top=top)
            _check_count(len(branches))
        return branches

    def _sequence(self, *, top: bool) -> list[Branch]:
        starts = top and self._take_if("^")
        branches: list[Branch] = [()]
        ends = False
        while not ends and self._next() not in {"", "|", ")"}:
            if top and self._take_if("$"):
                ends = True
            else:
                part = self._repeated(self._atom())
                _check_count(len(branches) * len(part))
                branches = [(*left, *right) for left in branches for right in part]
        if ends and self._next() not in {"", "|"}:
            raise UnsupportedRegexError("has a $ that is not at the end")
        if top and self._searched:
            before, after = (() if starts else (ANYTHING,)), (() if ends else (ANYTHING,))
            branches = [(*before, *branch, *after) for branch in branches]
        return branches

    def _atom(self) -> list[Branch]:
        part = self._tokens.popleft()
        if part in {"(", "(?:"}:
            branches = self._alternatives()
            if not self._take_if(")"):
                raise UnsupportedRegexError("has a ( without a )")
            return branches
        if part in _REFUSED:
            raise UnsupportedRegexError(_REFUSED[part])
        if part.startswith(_REPEATING):
            raise UnsupportedRegexError(f"has a {part[0]} without anything to repeat")
        if part == ".":
            return [(Item(ALPHABET),)]
        characters = _class(part) if part.startswith("[") else _characters(part)
        # No namespace name contains other characters.
        return [(Item(characters & ALPHABET),)]

    def _repeated(self, branches: list[Branch]) -> list[Branch]:
        if not self._next().startswith(_REPEATING):
            return branches
        least, most = _quantifier(self._tokens.popleft())
        if self._next().startswith(_REPEATING):
            raise UnsupportedRegexError("has a lazy, possessive or double quantifier")
        match branches:
            case [(item,)] if item.once:
                return [(Item(item.characters, least, most),)]
        if (least, most) == (0, 1):
            return [(), *branches]
        raise UnsupportedRegexError("repeats a group")


def _class(token: str) -> frozenset[str]:
    """Return the characters of a class such as `[a-z]`."""
    if (whole := _CLASS.fullmatch(token)) is None:
        raise UnsupportedRegexError("has a [ without a ]")
    negated, parts = whole.groups()
    if "[:" in parts:
        raise UnsupportedRegexError("has a named class such as [:alnum:]")
    found: frozenset[str] = frozenset()
    for start, end in _CLASS_PART.findall(parts):
        if end:
            found |= _range(_characters(start), _characters(end))
        else:
            found |= _characters(start)
    return ALPHABET - found if negated else found


def _range(start: frozenset[str], end: frozenset[str]) -> frozenset[str]:
    if len(start) != 1 or len(end) != 1 or min(start) > min(end):
        raise UnsupportedRegexError("has a wrong range in [ ]")
    return frozenset(code for code in ALPHABET if min(start) <= code <= min(end))


def _characters(token: str) -> frozenset[str]:
    """Return what a character or an escape stands for."""
    if not token.startswith("\\"):
        return frozenset(token)
    escaped = token[1:]
    if escaped in _ESCAPED_CLASSES:
        return _ESCAPED_CLASSES[escaped]
    if not escaped or escaped.isalnum():
        raise UnsupportedRegexError(f"has the escape {token}")
    return frozenset(escaped)


def _quantifier(token: str) -> tuple[int, int | None]:
    """Return the smallest and the largest number of repetitions; None without a limit."""
    if token in _QUANTIFIERS:
        return _QUANTIFIERS[token]
    if (counts := _COUNTS.fullmatch(token)) is None:
        raise UnsupportedRegexError("has a { that is no number of repetitions")
    least, comma, most = counts.groups()
    limit = int(most) if most else (None if comma else int(least))
    if limit is not None and limit < int(least):
        raise UnsupportedRegexError("has an empty range of repetitions")
    return int(least), limit


def _check_count(count: int) -> None:
    if count > MOST_BRANCHES:
        raise UnsupportedRegexError(f"has more than {MOST_BRANCHES} alternatives")
