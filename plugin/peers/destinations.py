"""Turn the selection of a tool into the fields of a spec.

`syncs.py` calls it. A part that neither names, globs nor one label selector can express
selects the namespaces that it matches now, and the user learns that later ones are not
selected.
"""

from collections.abc import Hashable, Mapping
from dataclasses import dataclass

from configmapsync.globs import Globs
from configmapsync.names import PROTECTED_NAMESPACES
from configmapsync.selection import Namespace
from plugin.peers.selections import EVERYTHING, MOST_LISTED, Remainder, Selection, describe
from plugin.peers.selectors import NAME_LABEL, Requirements, compiled, on_names
from plugin.terminal import listed

Matched = dict[Hashable, frozenset[str]]


@dataclass(frozen=True, slots=True)
class Destinations:
    """A selection as the fields of a spec express it.

    Attributes:
        names: exact names; each exists, if the namespaces are known.
        globs: globs over names.
        selector: the label selector; None if there is none.
        notes: what the user should know.
        losses: what the fields do not express.
    """

    names: frozenset[str]
    globs: frozenset[str]
    selector: Requirements | None
    notes: tuple[str, ...]
    losses: tuple[str, ...]

    def selects(self, namespace: Namespace) -> bool:
        """Return whether a namespace is selected."""
        return (
            namespace.name in self.names
            or Globs(self.globs).matches(namespace.name)
            or (self.selector is not None and compiled(self.selector).match(namespace.labels))
        )


def resolve(
    selection: Selection, namespaces: Mapping[str, Namespace] | None, matched: Matched
) -> Destinations:
    """Return the fields of a spec for a selection.

    Args:
        selection: the wanted namespaces.
        namespaces: those that exist; None if they are not known.
        matched: the namespaces of each remainder so far, because many sources have the same
            expression.
    """
    globs = frozenset({EVERYTHING}) if selection.everything else selection.globs
    others = sorted(selector for selector in selection.selectors if selector)
    selector = others[0] if others and EVERYTHING not in globs else None
    remainders = list(selection.remainders)
    remainders += [_of_labels(left_out) for left_out in others[1:] if EVERYTHING not in globs]
    notes, losses = (
        list[str](),
        [f"cannot be read and is ignored: {text}" for text in selection.ignored],
    )
    names, missing = set(selection.names), set[str]()
    for remainder in remainders if EVERYTHING not in globs else ():
        found, loss = _matching_now(remainder, namespaces, matched)
        names |= found
        losses.append(loss)
    if namespaces is not None:
        missing = {name for name in names if name not in namespaces}
    protected = _protected(globs, selector, namespaces) - names
    if protected:
        notes.append(
            f"{', '.join(sorted(protected))}: named because neither a glob nor a selector reaches "
            "a protected namespace; remove the name if nothing there reads the copy"
        )
    covered = Globs(globs).among(names) - PROTECTED_NAMESPACES
    names, missing = names - covered - missing, missing - covered
    if missing:
        selector, text = _waiting_for(missing, selector)
        (losses if selector is None or text.startswith("cannot") else notes).append(text)
    return Destinations(frozenset(names | protected), globs, selector, tuple(notes), tuple(losses))


def _of_labels(requirements: Requirements) -> Remainder:
    labels = compiled(requirements)
    return Remainder(
        f"the second label selector ({describe(requirements)})",
        requirements,
        lambda namespace: labels.match(namespace.labels),
    )


def _matching_now(
    remainder: Remainder, namespaces: Mapping[str, Namespace] | None, matched: Matched
) -> tuple[frozenset[str], str]:
    """Return the namespaces that match now, and the remark about later ones."""
    hint = f"; {remainder.hint}" if remainder.hint else ""
    if namespaces is None:
        return frozenset(), f"{remainder.text} has no equal and is left out{hint}"
    if remainder.key not in matched:
        selected = (name for name, one in namespaces.items() if remainder.selects(one))
        matched[remainder.key] = frozenset(selected)
    found = matched[remainder.key]
    shown = listed(sorted(found), MOST_LISTED) or "no namespace"
    return found, (
        f"{remainder.text} has no equal; it matches {shown} now, "
        f"and namespaces that are created later are not selected{hint}"
    )


def _protected(
    globs: frozenset[str],
    selector: Requirements | None,
    namespaces: Mapping[str, Namespace] | None,
) -> set[str]:
    """Return the protected namespaces that a tool without this protection copies to."""
    if namespaces is None:
        candidates = {name: Namespace(name, {NAME_LABEL: name}) for name in PROTECTED_NAMESPACES}
    else:
        candidates = {name: namespaces[name] for name in PROTECTED_NAMESPACES if name in namespaces}
    reached = Globs(globs).among(candidates)
    if selector is not None:
        labels = compiled(selector)
        reached |= {
            name for name, namespace in candidates.items() if labels.match(namespace.labels)
        }
    return reached


def _waiting_for(
    missing: set[str], selector: Requirements | None
) -> tuple[Requirements | None, str]:
    """Return a selector that includes names which do not exist yet, and a remark."""
    shown = ", ".join(sorted(missing)[:MOST_LISTED])
    known: tuple[str, ...] = ()
    if selector is not None:
        if len(selector) != 1 or (selector[0].key, selector[0].operator) != (NAME_LABEL, "In"):
            return selector, (
                f"cannot name {shown}: no such namespace exists, and the selector is in use; "
                "add the names when the namespaces exist"
            )
        known = selector[0].values
    return on_names(frozenset({*known, *missing})), (
        f"{shown}: no such namespace exists now, so a label selector waits for it"
    )
