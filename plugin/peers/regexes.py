"""Match regular expressions with namespace names, and turn them into globs and names.

`regex_parser.py` parses them. The cost must be bounded for any expression, because a
tenant writes it, so no regular expression engine runs it.
"""

import string
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

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
