"""Render a plan as text, JSON or a unified diff.

`command.py` prints the result. Text and JSON must not contain values of ConfigMaps; the
diff does.
"""

import difflib
import json
import textwrap
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any

import yaml

from configmapsync.plans import Verb
from dryrun.simulated_cluster import Document
from dryrun.simulator import SimulatedSync, Step

COLUMNS = 120
MOST_KEYS = 6
SIGNS = {
    Verb.CREATE: "+",
    Verb.UPDATE: "~",
    Verb.ADOPT: "~",
    Verb.RECREATE: "±",
    Verb.DELETE: "-",
    Verb.RELEASE: "<",
}
KEY_SIGNS = {"added": "+", "changed": "~", "removed": "-"}
SHOWN_METADATA = ("name", "namespace", "labels", "annotations")
SHOWN_PARTS = ("data", "binaryData", "immutable")


def as_text(simulated_syncs: list[SimulatedSync]) -> str:
    """Return the plan for people: a block for each sync, a line for each ConfigMap, a summary."""
    blocks = ["\n".join(_block(simulated)) for simulated in simulated_syncs]
    return "\n\n".join([*blocks, _summary(simulated_syncs)]) + "\n"


def as_json(simulated_syncs: list[SimulatedSync]) -> str:
    """Return the plan as one JSON document, whose fields are part of the public interface."""
    writes = _count_writes(simulated_syncs)
    document = {
        "changes": any(writes.values()),
        "failed": any(simulated.failed for simulated in simulated_syncs),
        "writes": writes,
        "syncs": [_sync(simulated) for simulated in simulated_syncs],
    }
    return json.dumps(document, indent=2) + "\n"


def as_diff(simulated_syncs: list[SimulatedSync]) -> str:
    """Return a unified diff of every ConfigMap that changes, with values; empty if none does."""
    return "".join(
        line for simulated in simulated_syncs for step in simulated.steps for line in _diff(step)
    )


FORMATS: Mapping[str, Callable[[list[SimulatedSync]], str]] = {
    "text": as_text,
    "json": as_json,
    "diff": as_diff,
}


def _block(simulated: SimulatedSync) -> Iterator[str]:
    yield f"ConfigMapSync {simulated.key}{_headline(simulated)}"
    if simulated.problem:
        yield from _wrap(simulated.problem, "  ! ")
    elif simulated.failed and simulated.record is not None:
        for error in simulated.record.errors:
            yield from _wrap(str(error), "  * ")
    elif simulated.verdict is not None:
        yield from _wrap(f"{simulated.verdict.reason}: {simulated.verdict.message}", "  ! ")
    width = max((len(str(step.write.key)) for step in simulated.steps), default=0)
    for step in simulated.steps:
        write = step.write
        yield from _wrap(
            _why(step), f"  {SIGNS[write.verb]} {write.verb:8} {write.key!s:{width}}  "
        )
    for outcome in simulated.refused:
        yield from _wrap(f"{outcome.reason}: {outcome.message}", f"  ! {outcome.namespace}  ")
    if simulated.in_sync:
        yield f"  = {simulated.in_sync} {'copy' if simulated.in_sync == 1 else 'copies'} in sync"
    elif not simulated.steps and not simulated.failed:
        yield "  no changes"
    for note in simulated.notes:
        yield from _wrap(note, "  note: ")


def _headline(simulated: SimulatedSync) -> str:
    if simulated.record is None:
        return ": missing"
    if simulated.record.deleting:
        return ": being deleted"
    if simulated.source is None:
        return ""
    keys = simulated.source.too_many_keys or simulated.source.content.key_count
    return f": from {simulated.source.key}, {keys} {'key' if keys == 1 else 'keys'}"


def _why(step: Step) -> str:
    """Return the reason of a write, with the keys that differ in an existing copy."""
    if step.before is None or step.after is None:
        return step.write.cause
    changes = _key_changes(step).items()
    signed = [f"{KEY_SIGNS[change]}{key}" for change, keys in changes for key in keys]
    more = f" and {len(signed) - MOST_KEYS} more" if len(signed) > MOST_KEYS else ""
    shown = ", ".join(signed[:MOST_KEYS]) + more
    return f"{step.write.cause}: {shown}" if shown else step.write.cause


def _summary(simulated_syncs: list[SimulatedSync]) -> str:
    writes = _count_writes(simulated_syncs)
    parts = [f"{count} to {verb}" for verb, count in writes.items() if count] or ["no changes"]
    if in_sync := sum(simulated.in_sync for simulated in simulated_syncs):
        parts.append(f"{in_sync} in sync")
    if refused := sum(len(simulated.refused) for simulated in simulated_syncs):
        parts.append(f"{refused} refused")
    return f"Plan: {', '.join(parts)}."


def _wrap(text: str, begin: str) -> Sequence[str]:
    """Return the lines of one paragraph; the second and further lines are indented."""
    return textwrap.wrap(
        text,
        COLUMNS,
        initial_indent=begin,
        subsequent_indent=" " * 6,
        break_long_words=False,
        break_on_hyphens=False,
    )


def _sync(simulated: SimulatedSync) -> dict[str, Any]:
    record, verdict = simulated.record, simulated.verdict
    return {
        **simulated.key._asdict(),
        "exists": record is not None,
        "deleting": record is not None and record.deleting,
        "source": _source(simulated),
        "problem": simulated.problem,
        "errors": [
            {"field": error.path, "reason": error.kind, "message": error.message}
            for error in (record.errors if record else ())
        ],
        "reason": verdict.reason if verdict else None,
        "message": verdict.message if verdict else None,
        "writes": [_write(step) for step in simulated.steps],
        "refused": [asdict(outcome) for outcome in simulated.refused],
        "right": simulated.in_sync,
        "notes": simulated.notes,
    }


def _source(simulated: SimulatedSync) -> dict[str, Any] | None:
    if (source := simulated.source) is None:
        return None
    return {**source.key._asdict(), "keys": sorted(source.content.keys)}


def _write(step: Step) -> dict[str, Any]:
    write = step.write
    return {
        "verb": write.verb,
        **write.key._asdict(),
        "why": write.cause,
        "digest": {
            "before": write.record.digest if write.record else None,
            "after": write.template.digest if write.template else None,
        },
        "keys": _key_changes(step),
    }


def _count_writes(simulated_syncs: list[SimulatedSync]) -> dict[str, int]:
    """Return the number of writes of every verb."""
    verbs = [step.write.verb for simulated in simulated_syncs for step in simulated.steps]
    return {str(verb): verbs.count(verb) for verb in Verb}


def _key_changes(step: Step) -> dict[str, list[str]]:
    """Return the keys that a write adds, changes and removes, each list sorted."""
    before, after = _entries(step.before), _entries(step.after)
    common = before.keys() & after.keys()
    return {
        "added": sorted(after.keys() - before.keys()),
        "changed": sorted(key for key in common if before[key] != after[key]),
        "removed": sorted(before.keys() - after.keys()),
    }


def _entries(document: Document | None) -> Mapping[str, tuple[str, Any]]:
    """Return part and value of each key: a key that moves to binaryData has changed."""
    return {
        key: (part, value)
        for part in ("data", "binaryData")
        for key, value in ((document or {}).get(part) or {}).items()
    }


class _Dumper(yaml.SafeDumper):
    """Writes multi-line text as a block, so that a diff shows the changed line."""


def _represent_text(dumper: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
    style = "|" if "\n" in value else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=style)


_Dumper.add_representer(str, _represent_text)


def _diff(step: Step) -> Iterator[str]:
    return difflib.unified_diff(
        _shown(step.before),
        _shown(step.after),
        fromfile=f"live/{step.write.key}" if step.before else "/dev/null",
        tofile=f"planned/{step.write.key}" if step.after else "/dev/null",
    )


def _shown(document: Document | None) -> list[str]:
    """Return the lines of an object without the fields of the API server."""
    if document is None:
        return []
    metadata = document["metadata"]
    shown: dict[str, Any] = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {field: metadata[field] for field in SHOWN_METADATA if metadata.get(field)},
        **{part: document[part] for part in SHOWN_PARTS if document.get(part)},
    }
    text = yaml.dump(shown, Dumper=_Dumper, sort_keys=True, width=1000, allow_unicode=True)
    return text.splitlines(keepends=True)
