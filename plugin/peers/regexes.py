"""Match regular expressions with namespace names, and turn them into globs and names.

`regex_parser.py` makes them from text, and `selections.py` uses them. The cost must be
bounded for any expression, because a tenant writes it, so no regular expression engine
runs it.
"""

import math
import re
import string
from dataclasses import dataclass
from itertools import product

from configmapsync.selection import Namespace

ALPHABET = frozenset(string.ascii_lowercase + string.digits + "-")  # of a namespace name
LONGEST_NAME = 63
MOST_BRANCHES = 64
# A range such as `a{0,3}`, or a class such as [ab], becomes at most this many alternatives.
MOST_CHOICES = 10


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

    @property
    def once(self) -> bool:
        """Return whether the character is not repeated."""
        return (self.least, self.most) == (1, 1)

    @property
    def possible(self) -> bool:
        """Return whether the item matches anything in a name."""
        return self.least == 0 or (bool(self.characters) and self.least <= LONGEST_NAME)


ANYTHING = Item(ALPHABET, 0, None)
Branch = tuple[Item, ...]


@dataclass(frozen=True, slots=True)
class Regex:
    """A parsed expression: a name matches if any branch matches the whole name."""

    branches: tuple[Branch, ...]

    def selects(self, namespace: Namespace) -> bool:
        """Return whether the expression matches the name of a namespace."""
        return self.matches(namespace.name)

    def matches(self, name: str) -> bool:
        """Return whether the expression matches a namespace name."""
        return any(_matches(branch, name) for branch in self.branches)

    def patterns(self) -> tuple[str, ...] | None:
        """Return names and globs that match the same namespaces; None if none or too many do."""
        found: set[str] = set()
        for branch in self.branches:
            choices = [_texts(item) for item in branch]
            if not 0 < math.prod(map(len, choices)) <= MOST_BRANCHES:
                return None
            found |= {"".join(texts) for texts in product(*choices)}
        return tuple(sorted(found)) if len(found) <= MOST_BRANCHES else None

    def closest_globs(self) -> tuple[str, ...]:
        """Return globs that match every namespace of the expression, and possibly more."""
        found = set()
        for branch in self.branches:
            glob = "".join(
                next(iter(item.characters)) if len(item.characters) == 1 and item.once else "*"
                for item in branch
            )
            found.add(re.sub(r"\*+", "*", glob))
        return tuple(sorted(found))


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
    for _ in range(item.least):
        positions = (positions & allowed) << 1
    most = LONGEST_NAME if item.most is None else min(item.most, LONGEST_NAME)
    for _ in range(item.least, most):
        further = positions | (positions & allowed) << 1
        if further == positions:
            break
        positions = further
    return positions


def _texts(item: Item) -> set[str]:
    """Return the globs of one item, of which one applies; nothing if no glob says the same."""
    if item.most is None:
        return {"?" * item.least + "*"} if item.characters == ALPHABET else set()
    symbols = {"?"} if item.characters == ALPHABET else item.characters or {""}
    if len(symbols) > 1 and item.most > 1:
        return set()
    counts = range(item.least, min(item.most, LONGEST_NAME) + 1)
    texts = {symbol * count for count in counts for symbol in symbols}
    return texts if len(texts) <= MOST_CHOICES else set()
