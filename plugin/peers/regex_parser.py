"""Parse regular expressions over namespace names.

`selections.py` calls it. The syntax is the part that .NET and Go share and that suits
names; anything else raises `UnsupportedRegexError`. A tenant writes the text, so its
length and the number of its parts are bounded.
"""

import string

from plugin.peers.regexes import ALPHABET, ANYTHING, MOST_BRANCHES, Branch, Item, Regex

LONGEST_REGEX = 256
MOST_ITEMS = 1024  # in all branches together; bounds the cost of one match
_ESCAPED_CLASSES = {
    "d": frozenset(string.digits),
    "w": frozenset(string.ascii_lowercase + string.digits),
    "D": ALPHABET - frozenset(string.digits),
    "W": frozenset("-"),
}


class UnsupportedRegexError(Exception):
    """The text is no regular expression that this module understands; the message says why."""


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
    return Regex(tuple(branch for branch in branches if all(_possible(item) for item in branch)))


def _possible(item: Item) -> bool:
    return bool(item.characters) or item.least == 0


class _Parser:
    """Reads an expression from left to right, one method for each level of the grammar."""

    def __init__(self, text: str, *, searched: bool) -> None:
        self._text = text
        self._position = 0
        self._searched = searched

    def parse(self) -> list[Branch]:
        branches = self._alternatives(top=True)
        if self._position < len(self._text):
            raise UnsupportedRegexError("has a ) without a (")
        if sum(map(len, branches)) > MOST_ITEMS:
            raise UnsupportedRegexError(f"has more than {MOST_ITEMS} parts")
        return branches

    def _peek(self) -> str:
        return self._text[self._position : self._position + 1]

    def _take(self) -> str:
        character = self._peek()
        self._position += 1
        return character

    def _take_if(self, character: str) -> bool:
        found = self._peek() == character
        self._position += found
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
        while self._peek() not in {"", "|", ")"}:
            if top and self._take_if("$"):
                ends = True
                break
            atom = self._repeated(self._atom())
            _check_count(len(branches) * len(atom))
            branches = [(*left, *right) for left in branches for right in atom]
        if ends and self._peek() not in {"", "|"}:
            raise UnsupportedRegexError("has a $ that is not at the end")
        if top and self._searched:
            before, after = (() if starts else (ANYTHING,)), (() if ends else (ANYTHING,))
            branches = [(*before, *branch, *after) for branch in branches]
        return branches

    def _atom(self) -> list[Branch]:
        character = self._take()
        match character:
            case "(":
                return self._group()
            case "[":
                return [(Item(self._class()),)]
            case ".":
                return [(Item(ALPHABET),)]
            case "\\":
                return [(Item(self._escape()),)]
            case "^" | "$":
                raise UnsupportedRegexError("has a ^ or $ in the middle or in a group")
            case "*" | "+" | "?" | "{":
                raise UnsupportedRegexError(f"has a {character} without anything to repeat")
            case _:
                return [(Item(_known(character)),)]

    def _group(self) -> list[Branch]:
        if self._take_if("?") and not self._take_if(":"):
            raise UnsupportedRegexError("has a group that begins with (?")
        branches = self._alternatives()
        if not self._take_if(")"):
            raise UnsupportedRegexError("has a ( without a )")
        return branches

    def _class(self) -> frozenset[str]:
        negated = self._take_if("^")
        found: set[str] = set()
        first = True
        while first or self._peek() != "]":
            first = False
            start = self._class_member()
            if self._peek() == "-" and self._text[self._position + 1 : self._position + 2] != "]":
                self._take()
                end = self._class_member()
                if len(start) != 1 or len(end) != 1 or min(start) > min(end):
                    raise UnsupportedRegexError("has a wrong range in [ ]")
                found |= {code for code in ALPHABET if min(start) <= code <= min(end)}
            else:
                found |= start
        self._take()
        known = frozenset(found) & ALPHABET
        return ALPHABET - known if negated else known

    def _class_member(self) -> frozenset[str]:
        character = self._take()
        if not character:
            raise UnsupportedRegexError("has a [ without a ]")
        if character == "[" and self._peek() == ":":
            raise UnsupportedRegexError("has a named class such as [:alnum:]")
        return self._escape() if character == "\\" else frozenset(character)

    def _escape(self) -> frozenset[str]:
        character = self._take()
        if character in _ESCAPED_CLASSES:
            return _ESCAPED_CLASSES[character]
        if not character or character.isalnum():
            raise UnsupportedRegexError(f"has the escape \\{character}")
        return _known(character)

    def _repeated(self, branches: list[Branch]) -> list[Branch]:
        bounds = self._quantifier()
        if bounds is None:
            return branches
        if self._peek() in {"*", "+", "?", "{"}:
            raise UnsupportedRegexError("has a lazy, possessive or double quantifier")
        least, most = bounds
        if len(branches) == 1 and len(branches[0]) == 1 and _is_once(branches[0][0]):
            return [(Item(branches[0][0].characters, least, most),)]
        if bounds == (0, 1):
            return [(), *branches]
        raise UnsupportedRegexError("repeats a group")

    def _quantifier(self) -> tuple[int, int | None] | None:
        simple: dict[str, tuple[int, int | None]] = {"*": (0, None), "+": (1, None), "?": (0, 1)}
        if (bounds := simple.get(self._peek())) is not None:
            self._take()
            return bounds
        if not self._take_if("{"):
            return None
        inside, closed, rest = self._text[self._position :].partition("}")
        least, comma, most = inside.partition(",")
        if not closed or not _is_count(least) or not (most == "" or _is_count(most)):
            raise UnsupportedRegexError("has a { that is no number of repetitions")
        self._position = len(self._text) - len(rest)
        limit = int(most) if most else (None if comma else int(least))
        if limit is not None and limit < int(least):
            raise UnsupportedRegexError("has an empty range of repetitions")
        return int(least), limit


def _is_once(item: Item) -> bool:
    return (item.least, item.most) == (1, 1)


def _is_count(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= 3


def _check_count(count: int) -> None:
    if count > MOST_BRANCHES:
        raise UnsupportedRegexError(f"has more than {MOST_BRANCHES} alternatives")


def _known(character: str) -> frozenset[str]:
    """Return the character as a set; empty if no namespace name contains it."""
    return frozenset(character) & ALPHABET
