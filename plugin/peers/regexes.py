"""Parse regular expressions over namespace names, and turn them into globs and names.

The modules of the tools call it. The syntax is the part that .NET and Go share and that
suits names; anything else raises `UnsupportedRegexError`. The cost must be bounded for
any text, because a tenant writes it, so no regular expression engine runs it.
"""

import string
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

ALPHABET = frozenset(string.ascii_lowercase + string.digits + "-")  # of a namespace name
LONGEST_REGEX = 256
LONGEST_NAME = 63
MOST_BRANCHES = 64
MOST_ITEMS = 1024  # in all branches together; bounds the cost of one match
# A range such as `a{0,3}`, or a class such as [ab], becomes at most this many alternatives.
MOST_CHOICES = 10
_ESCAPED_CLASSES = {
    "d": frozenset(string.digits),
    "w": frozenset(string.ascii_lowercase + string.digits),
    "D": ALPHABET - frozenset(string.digits),
    "W": frozenset("-"),
}


class UnsupportedRegexError(Exception):
    """The text is no regular expression that this module understands; the message says why."""


@dataclass(frozen=True, slots=True)
class Item:
    """A repeated character.

    Attributes:
        characters: those of a namespace name that match.
        least: the smallest number of repetitions.
        most: the largest number of repetitions; None if there is no limit.
    """

    characters: frozenset[str]
    least: int = 1
    most: int | None = 1


ANYTHING = Item(ALPHABET, 0, None)
Branch = tuple[Item, ...]


@dataclass(frozen=True, slots=True)
class Regex:
    """A parsed expression: a name matches if any branch matches the whole name."""

    branches: tuple[Branch, ...]

    def matches(self, name: str) -> bool:
        """Return whether the expression matches a namespace name."""
        return any(_matches(branch, name) for branch in self.branches)

    def patterns(self) -> tuple[str, ...] | None:
        """Return names and globs that match the same namespaces; None if there are none such."""
        found: dict[str, None] = {}
        for branch in self.branches:
            choices = [_texts(item) for item in branch]
            if any(choice is None for choice in choices):
                return None
            texts = [choice for choice in choices if choice is not None]
            if not _is_small(texts):
                return None
            found |= dict.fromkeys("".join(parts) for parts in product(*texts))
        return tuple(sorted(found)) if len(found) <= MOST_BRANCHES else None

    def closest_globs(self) -> tuple[str, ...]:
        """Return globs that match every namespace of the expression, and possibly more."""
        found = (
            "".join(
                next(iter(item.characters))
                if len(item.characters) == 1 and (item.least, item.most) == (1, 1)
                else "*"
                for item in branch
            )
            for branch in self.branches
        )
        return tuple(sorted({_squeezed(glob) for glob in found}))


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


def _matches(branch: Branch, name: str) -> bool:
    """Follow the set of positions up to which the items so far match, as bits of an integer."""
    positions = 1
    for item in branch:
        allowed = sum(1 << at for at, code in enumerate(name) if code in item.characters)
        positions = _after(item, allowed, positions)
        if not positions:
            return False
    return bool(positions >> len(name) & 1)


def _after(item: Item, allowed: int, positions: int) -> int:
    """Return the positions after an item; `allowed` has the positions of its characters."""
    positions = _moved(positions, allowed, item.least)
    most = LONGEST_NAME if item.most is None else item.most
    left = min(most, LONGEST_NAME) - min(item.least, LONGEST_NAME)
    covered = 0
    while covered < left:  # doubles the number of repetitions in each round
        count = min(covered + 1, left - covered)
        positions |= _moved(positions, allowed, count)
        covered += count
    return positions


def _moved(positions: int, allowed: int, count: int) -> int:
    """Return the positions after exactly `count` allowed characters."""
    step = 1
    while count and positions:
        if count & 1:
            positions = (positions & allowed) << step
        allowed &= allowed >> step
        step, count = step * 2, count >> 1
    return positions


def _texts(item: Item) -> tuple[str, ...] | None:
    """Return the globs of one item, of which one applies; None if no glob says the same."""
    everything = item.characters == ALPHABET
    if item.most is None:
        return ("?" * min(item.least, LONGEST_NAME) + "*",) if everything else None
    counts = range(item.least, min(item.most, LONGEST_NAME) + 1)
    if everything:
        found: Sequence[str] = ["?" * count for count in counts]
    elif len(item.characters) <= 1 or item.most <= 1:
        found = [character * count for count in counts for character in sorted(item.characters)]
    else:
        return None
    if item.least == 0 and "" not in found:
        found = ["", *found]
    return tuple(dict.fromkeys(found)) if len(set(found)) <= MOST_CHOICES else None


def _is_small(choices: Sequence[Sequence[str]]) -> bool:
    count = 1
    for choice in choices:
        count *= len(choice)
        if count > MOST_BRANCHES:
            return False
    return True


def _squeezed(glob: str) -> str:
    while "**" in glob:
        glob = glob.replace("**", "*")
    return glob
