"""What one write changes, in words that hold no value: keys that come, go or change, and digests."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from configmapsync.plans import Verb
from dryrun.simulated_cluster import Document
from dryrun.simulator import SimulatedSync, Step

PARTS = ("data", "binaryData")


@dataclass(frozen=True, slots=True)
class KeyChanges:
    """Keys of a ConfigMap, each list sorted."""

    added: tuple[str, ...]
    changed: tuple[str, ...]
    removed: tuple[str, ...]


def key_changes(step: Step) -> KeyChanges:
    """How the keys differ before and after a write."""
    before, after = _entries(step.before), _entries(step.after)
    return KeyChanges(
        added=tuple(sorted(after.keys() - before.keys())),
        changed=tuple(
            sorted(key for key in before.keys() & after.keys() if before[key] != after[key])
        ),
        removed=tuple(sorted(before.keys() - after.keys())),
    )


def counts(simulated_syncs: list[SimulatedSync]) -> dict[str, int]:
    """How many writes of each kind there would be; all kinds are there."""
    verbs = [step.write.verb for simulated in simulated_syncs for step in simulated.steps]
    return {str(verb): verbs.count(verb) for verb in Verb}


def _entries(document: Document | None) -> Mapping[str, tuple[str, Any]]:
    """The part counts as well: a key that moves from data to binaryData has changed."""
    return {
        key: (part, value)
        for part in PARTS
        for key, value in ((document or {}).get(part) or {}).items()
    }
