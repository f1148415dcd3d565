"""Describe which namespaces a tool copies to.

The modules of the tools build a `Selection`, and `destinations.py` turns it into the
fields of a spec. A part that no field can express is a `Remainder`. A regular
expression that cannot be parsed does not raise; it is in `ignored`.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from itertools import product

from configmapsync.field_patterns import LABEL_GLOB
from configmapsync.globs import Globs, is_glob
from configmapsync.selection import Namespace
from plugin.peers.regex_parser import UnsupportedRegexError, parse
from plugin.peers.regexes import Regex
from plugin.peers.selectors import Requirement, Requirements, compiled, on_names

EVERYTHING = "*"
MOST_LISTED = 8
# Of one annotation; the work for one annotation grows with their number.
MOST_PATTERNS = 512


@dataclass(frozen=True, slots=True)
class Remainder:
    """A part of a selection that no field of a spec can express.

    Attributes:
        text: describes the part in a remark, such as `the expression "a.b"`.
        conditions: it selects the namespaces that all of them select.
        hint: the globs that come close; empty if none do.
    """

    text: str
    conditions: tuple["Regex | Selection", ...]
    hint: str = ""

    def selects(self, namespace: Namespace) -> bool:
        """Return whether a namespace is selected."""
        return all(condition.selects(namespace) for condition in self.conditions)


@dataclass(frozen=True, slots=True)
class Selection:
    """Namespaces, as a union of all parts.

    Attributes:
        names: exact names, which the tool ignores while the namespace does not exist.
        globs: globs over names.
        selectors: label selectors; an empty one selects everything.
        remainders: parts that no field can express.
        ignored: texts that this package cannot parse, with the cause.
    """

    names: frozenset[str] = frozenset()
    globs: frozenset[str] = frozenset()
    selectors: frozenset[Requirements] = frozenset()
    remainders: frozenset[Remainder] = frozenset()
    ignored: frozenset[str] = frozenset()

    @property
    def everything(self) -> bool:
        """Return whether every namespace is selected."""
        return EVERYTHING in self.globs or () in self.selectors

    def union(self, other: "Selection") -> "Selection":
        """Return the namespaces of both."""
        return Selection(
            self.names | other.names,
            self.globs | other.globs,
            self.selectors | other.selectors,
            self.remainders | other.remainders,
            self.ignored | other.ignored,
        )

    def selects_name(self, name: str) -> bool:
        """Return whether the exact names or the globs select a name."""
        return name in self.names or Globs(self.globs).matches(name)

    def selects(self, namespace: Namespace) -> bool:
        """Return whether a namespace is selected."""
        return (
            self.selects_name(namespace.name)
            or any(compiled(selector).match(namespace.labels) for selector in self.selectors)
            or any(remainder.selects(namespace) for remainder in self.remainders)
        )


def everything() -> Selection:
    """Return the selection of every namespace."""
    return Selection(globs=frozenset({EVERYTHING}))


def of_patterns(text: str, *, searched: bool = False) -> Selection:
    """Return the selection of a list of names and regular expressions.

    Args:
        text: the items, with commas between them; no tool allows a comma in an expression.
        searched: whether the tool searches for an expression after adding `^` and `$` to it,
            so that in `a|b` each belongs to one alternative.
    """
    parts = list(dict.fromkeys(part.strip() for part in text.split(",") if part.strip()))
    selection = Selection()
    for part in parts[:MOST_PATTERNS]:
        selection = selection.union(_of_pattern(part, searched=searched))
    if (more := len(parts) - MOST_PATTERNS) > 0:
        selection = selection.union(
            Selection(ignored=frozenset({f"the last {more} items of the list"}))
        )
    return selection


def of_selector(requirements: Requirements) -> Selection:
    """Return the selection of a label selector."""
    return Selection(selectors=frozenset({requirements})) if requirements else everything()


def intersection(left: Selection, right: Selection) -> Selection:
    """Return the namespaces that both select; what no field can express is a remainder."""
    ignored = left.ignored | right.ignored
    for one, other in ((left, right), (right, left)):
        if one.everything or one == other:
            return replace(other, ignored=ignored)
    both = (
        name
        for name in left.names | right.names
        if left.selects_name(name) and right.selects_name(name)
    )
    selection = Selection(names=frozenset(both), ignored=ignored)
    for one, other in product(_parts(left), _parts(right)):
        selection = selection.union(_intersection_of_parts(one, other))
    return selection


def _of_pattern(text: str, *, searched: bool) -> Selection:
    try:
        anchored = f"^{text.removeprefix('^').removesuffix('$')}$"
        regex = parse(anchored if searched else text, searched=searched)
    except UnsupportedRegexError as error:
        return Selection(ignored=frozenset({f'the expression "{text[:64]}" {error}'}))
    patterns = regex.patterns()
    if patterns is None:
        globs = ", ".join(f'"{glob}"' for glob in regex.closest_globs()[:MOST_LISTED])
        hint = f"{globs} would select these and more"
        remainder = Remainder(f'the expression "{text[:64]}"', (regex,), hint)
        return Selection(remainders=frozenset({remainder}))
    possible = [text for text in patterns if re.fullmatch(LABEL_GLOB, text) and len(text) < 64]
    found = Selection(globs=frozenset(filter(is_glob, possible)))
    names = frozenset(possible) - found.globs
    if len(patterns) == 1 or names <= {text}:
        return replace(found, names=names)
    # Names that stand for an expression need not exist, and a selector does not require it.
    return replace(found, selectors=frozenset({on_names(names)} if names else ()))


def describe(requirements: Iterable[Requirement]) -> str:
    """Return a selector as text for a remark."""
    return ", ".join(
        f"{one.key} {one.operator} {' '.join(one.values[:MOST_LISTED])}".rstrip()
        for one in requirements
    )


def _parts(selection: Selection) -> list[Selection]:
    """Return the parts: all names as one, and each glob, selector and remainder."""
    return [
        *([Selection(names=selection.names)] if selection.names else []),
        *(Selection(globs=frozenset({glob})) for glob in sorted(selection.globs)),
        *(Selection(selectors=frozenset({one})) for one in sorted(selection.selectors)),
        *(Selection(remainders=frozenset({one})) for one in selection.remainders),
    ]


def _intersection_of_parts(left: Selection, right: Selection) -> Selection:
    if left == right:
        return left
    if left.names and not right.names:
        left, right = right, left
    if right.names:
        if left.names or left.globs:
            return Selection()  # `intersection` has found these names
        if left.selectors:
            right = of_selector(on_names(right.names))
    if left.selectors and right.selectors:
        (one,), (other,) = left.selectors, right.selectors
        return of_selector(tuple(sorted({*one, *other})))
    if left.globs and right.globs:
        (first,), (second,) = left.globs, right.globs
        for glob, narrower in ((first, second), (second, first)):
            if _covers(glob, narrower):
                return Selection(globs=frozenset({narrower}))
    text = f"{_describe_part(left)} together with {_describe_part(right)}"
    return Selection(remainders=frozenset({Remainder(text, (left, right))}))


def _covers(glob: str, other: str) -> bool:
    """Return whether a glob with one star at its end matches all that another one matches."""
    return glob.endswith("*") and not is_glob(glob[:-1]) and other.startswith(glob[:-1])


def _describe_part(part: Selection) -> str:
    for selector in part.selectors:
        return f"the label selector ({describe(selector)})"
    for remainder in part.remainders:
        return remainder.text
    return ", ".join(f'"{name}"' for name in sorted(part.names | part.globs)[:MOST_LISTED])
