"""Match whole names against globs: `*` is any number of characters, `?` is one.

The other modules compile the globs of one list of a spec into a `Globs`. The cost of a
match must stay small for hostile patterns: `matches` is for one name, `among` and
`unmatched` are for many names at once. Names and globs are ASCII, as everywhere in
Kubernetes.
"""

import fnmatch
import re
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate

# General globs are those with `?`, or with a `*` that is not at one end. They are matched character
# by character. Those of one list have at most this many characters together, which bounds the cost:
# 1 MiB of keys takes 25 ms.
MOST_GENERAL_CHARACTERS = 512

# Names are joined up to this length: an integer of so many bits (4 KiB) stays in the CPU cache.
_BLOCK_CHARACTERS = 32 * 1024
_END = "\0"  # ends each name in the joined text; no name contains it
NOTHING: frozenset[str] = frozenset()  # shared, because an own empty set takes 216 bytes
_is_prefix = re.compile(r"[^*?]*\*").fullmatch
_is_suffix = re.compile(r"\*[^*?]*").fullmatch
_BITS = tuple(
    bytes(ord("1") if code >> bit & 1 else ord("0") for code in range(256)) for bit in range(7)
)


def is_glob(text: str) -> bool:
    """Return whether a text is a pattern and not a name."""
    return "*" in text or "?" in text


def literal_prefix(pattern: str) -> str:
    """Return the characters with which every matching name begins."""
    return re.split(r"[*?]", pattern, maxsplit=1)[0]


def is_general(text: str) -> bool:
    """Return whether a text is a glob that is neither `prefix*` nor `*suffix`."""
    return is_glob(text) and not (_is_prefix(text) or _is_suffix(text))


def general_characters(patterns: Iterable[str]) -> int:
    """Return the number of characters of all distinct general globs."""
    return sum(
        len(pattern) for pattern in {_squeezed(text) for text in patterns} if is_general(pattern)
    )


class Globs:
    """The names and globs of one list of a spec, compiled."""

    __slots__ = ("_exact", "_expression", "_general", "_prefixes", "_suffixes", "patterns")

    def __init__(self, patterns: Iterable[str]) -> None:
        self.patterns = tuple(patterns)
        squeezed = {_squeezed(pattern) for pattern in self.patterns}
        self._exact = frozenset(text for text in squeezed if not is_glob(text)) or NOTHING
        self._prefixes = tuple(pattern[:-1] for pattern in squeezed if _is_prefix(pattern))
        self._suffixes = tuple(pattern[1:] for pattern in squeezed if _is_suffix(pattern))
        self._general = tuple(pattern for pattern in squeezed if is_general(pattern))
        self._expression: re.Pattern[str] | None = None  # compiled on first use

    def __bool__(self) -> bool:
        """Return whether there is any pattern."""
        return bool(self.patterns)

    def __eq__(self, other: object) -> bool:
        """Return whether the patterns are the same."""
        return isinstance(other, Globs) and self.patterns == other.patterns

    def __hash__(self) -> int:
        return hash(self.patterns)

    def matches(self, name: str) -> bool:
        """Return whether any pattern matches a name."""
        if name in self._exact or name.startswith(self._prefixes) or name.endswith(self._suffixes):
            return True
        if not self._general:
            return False
        if self._expression is None:
            # The atomic groups of `fnmatch` keep the time linear in the length of the name.
            texts = (pattern.replace("[", "[[]") for pattern in self._general)
            self._expression = re.compile("|".join(map(fnmatch.translate, texts)))
        return self._expression.fullmatch(name) is not None

    def among(self, names: Iterable[str]) -> set[str]:
        """Return the names that any pattern matches."""
        present = tuple(names)
        found = set(self._exact.intersection(present))
        if self._prefixes or self._suffixes:
            found.update(
                name
                for name in present
                if name.startswith(self._prefixes) or name.endswith(self._suffixes)
            )
        return found.union(*_general_hits(self._general, present).values())

    def unmatched(self, names: Iterable[str]) -> tuple[str, ...]:
        """Return the patterns that match no name, in the order of the list."""
        exact = frozenset(names)
        present = sorted(exact) if self._prefixes or self._general else []
        backwards = sorted(name[::-1] for name in exact) if self._suffixes else []
        general = _general_hits(self._general, present)

        def is_unmatched(pattern: str) -> bool:
            if not is_glob(pattern):
                return pattern not in exact
            if _is_prefix(pattern):
                return not _any_with_prefix(present, pattern[:-1])
            if _is_suffix(pattern):
                return not _any_with_prefix(backwards, pattern[:0:-1])
            return not general[pattern]

        return tuple(pattern for pattern in self.patterns if is_unmatched(_squeezed(pattern)))


NO_GLOBS = Globs(())


def compiled(patterns: Iterable[str]) -> Globs:
    """Return the globs of a list; all empty lists share one object, which saves memory."""
    given = tuple(patterns)
    return Globs(given) if given else NO_GLOBS


def _squeezed(pattern: str) -> str:
    """Return the pattern with one star for each run of stars."""
    return re.sub(r"\*+", "*", pattern)


def _any_with_prefix(ordered: Sequence[str], prefix: str) -> bool:
    index = bisect_left(ordered, prefix)
    return index < len(ordered) and ordered[index].startswith(prefix)


def _general_hits(patterns: Sequence[str], names: Sequence[str]) -> dict[str, set[str]]:
    """Return the names that each pattern matches; the cost depends only on the lengths."""
    found: dict[str, set[str]] = {pattern: set() for pattern in patterns}
    if not patterns:
        return found
    for block in _blocks(names):
        joined = _Block(block)
        for pattern in patterns:
            found[pattern].update(joined.matching(pattern))
    return found


def _blocks(names: Sequence[str]) -> Iterator[list[str]]:
    """Yield pieces of a list of names with a bounded number of characters."""
    block: list[str] = []
    characters = 0
    for name in names:
        block.append(name)
        characters += len(name) + 1
        if characters >= _BLOCK_CHARACTERS:
            yield block
            block, characters = [], 0
    if block:
        yield block


class _Block:
    """Names joined into one text, and sets of positions in that text as integers.

    Bit `i` of an integer represents the character at `i`, so one operation handles all names at
    once. Matching keeps the set of positions at which the rest of the pattern may start. A literal
    keeps the positions with that character and shifts them by one. `?` shifts the positions inside
    of a name by one. `*` adds all later positions of the same name with an addition: its carry runs
    through the mask of inner characters to the end of the name, as in the MatchStar of Parabix.
    """

    def __init__(self, names: Sequence[str]) -> None:
        self._names = names
        text = "".join(f"{name.replace(_END, '?')}{_END}" for name in names).encode(
            "ascii", "replace"
        )
        self._ends = list(accumulate(len(name) + 1 for name in names))
        # The first character is the lowest bit, so that a carry runs forwards.
        backwards = text[::-1]
        self._bits = tuple(int(backwards.translate(table), 2) for table in _BITS)
        self._all = (1 << len(text)) - 1
        self._characters: dict[str, int] = {}
        self._end_of_name = self._positions(_END)
        self._inside = self._all & ~self._end_of_name
        self._starts = ((self._end_of_name << 1) | 1) & self._all

    def matching(self, pattern: str) -> Iterator[str]:
        """Yield the names that the pattern matches."""
        positions = self._starts
        for character in pattern:
            if character == "*":
                run = positions & self._inside
                positions |= (run + self._inside) ^ self._inside
            elif character == "?":
                positions = (positions & self._inside) << 1
            else:
                positions = (positions & self._positions(character)) << 1
            if not positions:
                return
        if ends := positions & self._end_of_name:
            digits = f"{ends:0{self._ends[-1]}b}"[::-1]
            for name, end in zip(self._names, self._ends, strict=True):
                if digits[end - 1] == "1":
                    yield name

    def _positions(self, character: str) -> int:
        """Return the positions of a character, combined from the seven bits of its code."""
        known = self._characters.get(character)
        if known is None:
            known, code = self._all, ord(character)
            for bit, positions in enumerate(self._bits):
                known &= positions if code >> bit & 1 else ~positions
            self._characters[character] = known if code < 128 else 0
        return self._characters[character]
