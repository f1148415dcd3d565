"""Turn the selection of a tool into the fields of a spec.

`syncs.py` calls it. A part that neither names, globs nor one label selector can express
becomes the names of the namespaces that it matches now, with a remark that later ones
are not selected. It is left out if the namespaces are not known.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from configmapsync.globs import Globs
from configmapsync.names import PROTECTED_NAMESPACES
from configmapsync.selection import Namespace
from plugin.peers.selections import (
    EVERYTHING,
    MOST_LISTED,
    Remainder,
    Selection,
    describe,
    of_selector,
)
from plugin.peers.selectors import NAME_LABEL, Requirements, compiled, on_names
from plugin.terminal import listed


@dataclass(slots=True)
class Destinations:
    """A selection as the fields of a spec express it.

    Attributes:
        names: exact names; each exists, if the namespaces are known.
        globs: globs over names.
        selector: the label selector; empty if there is none.
        notes: what the user should know.
        losses: what the fields do not express.
    """

    names: set[str]
    globs: frozenset[str]
    selector: Requirements = ()
    notes: list[str] = field(default_factory=list)
    losses: list[str] = field(default_factory=list)

    def selects(self, namespace: Namespace) -> bool:
        """Return whether a namespace is selected."""
        return namespace.name in self.names or self.selects_without_name(namespace)

    def selects_without_name(self, namespace: Namespace) -> bool:
        """Return whether the globs or the selector select a namespace."""
        return Globs(self.globs).matches(namespace.name) or (
            bool(self.selector) and compiled(self.selector).match(namespace.labels)
        )


class Resolver:
    """Turns selections into the fields of a spec.

    It remembers what a remainder matches, because many sources have the same expression.
    """

    def __init__(self, namespaces: Mapping[str, Namespace] | None) -> None:
        """Make a resolver for the namespaces that exist; None if they are not known."""
        self._namespaces = namespaces
        self._matched: dict[Remainder, list[str]] = {}

    def resolve(self, selection: Selection) -> Destinations:
        """Return the fields of a spec for a selection."""
        found = Destinations({*selection.names}, selection.globs)
        found.losses += [f"cannot be read and is ignored: {text}" for text in selection.ignored]
        if selection.everything:
            found.globs = frozenset({EVERYTHING})
        else:
            self._add_selectors(found, selection)
        missing: set[str] = set()
        if self._namespaces is not None:
            missing = {name for name in found.names if name not in self._namespaces}
        protected = self._protected(found) - found.names
        if protected:
            found.notes.append(
                f"{', '.join(sorted(protected))}: named because neither a glob nor a selector "
                "reaches a protected namespace; remove the name if nothing there reads the copy"
            )
        covered = Globs(found.globs).among(found.names) - PROTECTED_NAMESPACES
        found.names = found.names - covered - missing | protected
        if missing - covered:
            _wait_for(missing - covered, found)
        return found

    def _add_selectors(self, found: Destinations, selection: Selection) -> None:
        """Add one label selector, and the namespaces that the other parts match now."""
        selectors = sorted(selection.selectors)
        found.selector = selectors[0] if selectors else ()
        remainders = {*selection.remainders}
        for requirements in selectors[1:]:
            text = f"the second label selector ({describe(requirements)})"
            remainders.add(Remainder(text, (of_selector(requirements),)))
        for remainder in remainders:
            found.losses.append(self._add_matches(found, remainder))

    def _add_matches(self, found: Destinations, remainder: Remainder) -> str:
        """Add the namespaces that match now, and return the remark about later ones."""
        hint = f"; {remainder.hint}" if remainder.hint else ""
        if self._namespaces is None:
            return f"{remainder.text} has no equal and is left out{hint}"
        if remainder not in self._matched:
            self._matched[remainder] = sorted(
                name for name, one in self._namespaces.items() if remainder.selects(one)
            )
        names = self._matched[remainder]
        found.names.update(names)
        return (
            f"{remainder.text} has no equal; it matches "
            f"{listed(names, MOST_LISTED) or 'no namespace'} now, "
            f"and namespaces that are created later are not selected{hint}"
        )

    def _protected(self, found: Destinations) -> set[str]:
        """Return the protected namespaces that a tool without this protection copies to."""
        candidates = self._namespaces
        if candidates is None:
            candidates = {
                name: Namespace(name, {NAME_LABEL: name}) for name in PROTECTED_NAMESPACES
            }
        return {
            name
            for name in PROTECTED_NAMESPACES
            if name in candidates and found.selects_without_name(candidates[name])
        }


def _wait_for(missing: set[str], found: Destinations) -> None:
    """Include names that do not exist yet in the selector, and add a remark."""
    shown = ", ".join(sorted(missing)[:MOST_LISTED])
    match found.selector:
        case ():
            known: tuple[str, ...] = ()
        case (one,) if (one.key, one.operator) == (NAME_LABEL, "In"):
            known = one.values
        case _:
            found.losses.append(
                f"cannot name {shown}: no such namespace exists, and the selector is in use; "
                "add the names when the namespaces exist"
            )
            return
    found.selector = on_names(frozenset({*known, *missing}))
    found.notes.append(f"{shown}: no such namespace exists now, so a label selector waits for it")
