"""A plan for people: one block a sync, one line a ConfigMap, and a sum. No value of a ConfigMap is in it."""

import textwrap
from collections.abc import Iterator, Sequence

from configmapsync.plans import Verb
from dryrun.changes import counts, key_changes
from dryrun.simulator import SimulatedSync, Step

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


def as_text(simulated_syncs: list[SimulatedSync]) -> str:
    """The whole plan."""
    blocks = ["\n".join(_block(simulated)) for simulated in simulated_syncs]
    return "\n\n".join([*blocks, _sum(simulated_syncs)]) + "\n"


def _block(simulated: SimulatedSync) -> Iterator[str]:
    yield f"ConfigMapSync {simulated.key}{_headline(simulated)}"
    if simulated.problem:
        yield from _wrapped(simulated.problem, "  ! ")
    elif simulated.failed and simulated.record is not None:
        for error in simulated.record.errors:
            yield from _wrapped(str(error), "  * ")
    elif simulated.verdict is not None:
        yield from _wrapped(f"{simulated.verdict.reason}: {simulated.verdict.message}", "  ! ")
    width = max((len(str(step.write.key)) for step in simulated.steps), default=0)
    for step in simulated.steps:
        yield from _wrapped(
            _reason(step),
            f"  {SIGNS[step.write.verb]} {step.write.verb:8} {step.write.key!s:{width}}  ",
        )
    for outcome in simulated.refused:
        yield from _wrapped(f"{outcome.reason}: {outcome.message}", f"  ! {outcome.namespace}  ")
    if simulated.right:
        yield f"  = {_copies(simulated.right)} right already"
    elif not simulated.steps and not simulated.failed:
        yield "  nothing to do"
    for note in simulated.notes:
        yield from _wrapped(note, "  note: ")


def _headline(simulated: SimulatedSync) -> str:
    if simulated.record is None:
        return ": gone"
    if simulated.record.deleting:
        return ": being deleted"
    if simulated.source is None:
        return ""
    keys = simulated.source.too_many_keys or simulated.source.content.key_count
    return f": from {simulated.source.key}, {keys} {'key' if keys == 1 else 'keys'}"


def _reason(step: Step) -> str:
    """Why, and which keys are concerned where the content of something that stays differs."""
    if step.before is None or step.after is None:
        return step.write.cause
    keys = key_changes(step)
    signed = [
        f"{sign}{key}"
        for sign, names in (("+", keys.added), ("~", keys.changed), ("-", keys.removed))
        for key in names
    ]
    shown = ", ".join(signed[:MOST_KEYS]) + (
        f" and {len(signed) - MOST_KEYS} more" if len(signed) > MOST_KEYS else ""
    )
    return f"{step.write.cause}: {shown}" if shown else step.write.cause


def _sum(simulated_syncs: list[SimulatedSync]) -> str:
    words = {
        "create": "to create",
        "update": "to update",
        "adopt": "to adopt",
        "recreate": "to recreate",
        "delete": "to delete",
        "release": "to release",
    }
    parts = [f"{count} {words[verb]}" for verb, count in counts(simulated_syncs).items() if count]
    refused, right = (
        sum(len(simulated.refused) for simulated in simulated_syncs),
        sum(simulated.right for simulated in simulated_syncs),
    )
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
        text,
        WIDTH,
        initial_indent=begin,
        subsequent_indent=" " * 6,
        break_long_words=False,
        break_on_hyphens=False,
    )
