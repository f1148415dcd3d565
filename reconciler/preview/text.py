"""A plan for people: one block a sync, one line a ConfigMap, and a sum. No value of a ConfigMap is in it."""

import textwrap
from collections.abc import Iterator, Sequence

from configmapsync.planning import Verb
from reconciler.preview.changes import counts, key_changes
from reconciler.preview.forecast import Prospect, Step

WIDTH = 120  # of a line, unless a name alone is longer
MOST_KEYS = 6
SIGNS = {
    Verb.CREATE: "+",
    Verb.UPDATE: "~",
    Verb.ADOPT: "~",
    Verb.RECREATE: "±",
    Verb.DELETE: "-",
    Verb.RELEASE: "<",
}


def as_text(prospects: list[Prospect]) -> str:
    """The whole plan."""
    blocks = ["\n".join(_block(prospect)) for prospect in prospects]
    return "\n\n".join([*blocks, _sum(prospects)]) + "\n"


def _block(prospect: Prospect) -> Iterator[str]:
    yield f"ConfigMapSync {prospect.key}{_headline(prospect)}"
    if prospect.problem:
        yield from _wrapped(prospect.problem, "  ! ")
    elif prospect.failed and prospect.record is not None:
        for error in prospect.record.errors:
            yield from _wrapped(str(error), "  * ")
    elif prospect.verdict is not None:
        yield from _wrapped(f"{prospect.verdict.reason}: {prospect.verdict.message}", "  ! ")
    width = max((len(str(step.write.key)) for step in prospect.steps), default=0)
    for step in prospect.steps:
        yield from _wrapped(
            _reason(step), f"  {SIGNS[step.write.verb]} {step.write.verb:8} {step.write.key!s:{width}}  "
        )
    for outcome in prospect.refused:
        yield from _wrapped(f"{outcome.reason}: {outcome.message}", f"  ! {outcome.namespace}  ")
    if prospect.right:
        yield f"  = {_copies(prospect.right)} right already"
    elif not prospect.steps and not prospect.failed:
        yield "  nothing to do"
    for note in prospect.notes:
        yield from _wrapped(note, "  note: ")


def _headline(prospect: Prospect) -> str:
    if prospect.record is None:
        return ": gone"
    if prospect.record.deleting:
        return ": being deleted"
    if prospect.source is None:
        return ""
    keys = len(prospect.source.content.data) + len(prospect.source.content.binary_data)
    return f": from {prospect.source.key}, {keys} {'key' if keys == 1 else 'keys'}"


def _reason(step: Step) -> str:
    """Why, and which keys are concerned where the content of something that stays differs."""
    if step.before is None or step.after is None:
        return step.write.why
    keys = key_changes(step)
    signed = [
        f"{sign}{key}" for sign, names in (("+", keys.added), ("~", keys.changed), ("-", keys.removed)) for key in names
    ]
    shown = ", ".join(signed[:MOST_KEYS]) + (f" and {len(signed) - MOST_KEYS} more" if len(signed) > MOST_KEYS else "")
    return f"{step.write.why}: {shown}" if shown else step.write.why


def _sum(prospects: list[Prospect]) -> str:
    words = {
        "create": "to create",
        "update": "to update",
        "adopt": "to adopt",
        "recreate": "to recreate",
        "delete": "to delete",
        "release": "to release",
    }
    parts = [f"{count} {words[verb]}" for verb, count in counts(prospects).items() if count]
    refused, right = sum(len(prospect.refused) for prospect in prospects), sum(prospect.right for prospect in prospects)
    also = [f"{right} right already"] if right else []
    also += [f"{refused} refused"] if refused else []
    return f"Plan: {', '.join([*(parts or ['no changes']), *also])}."


def _copies(number: int) -> str:
    return "1 copy is" if number == 1 else f"{number} copies are"


def _wrapped(text: str, begin: str) -> Sequence[str]:
    """Lines of one paragraph; what follows the first is indented."""
    if len(begin) + len(text) <= WIDTH:
        return [begin + text]
    return textwrap.wrap(
        text, WIDTH, initial_indent=begin, subsequent_indent=" " * 6, break_long_words=False, break_on_hyphens=False
    )
