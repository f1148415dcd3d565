"""A plan as a unified diff of each ConfigMap that would change, values and all: for a person's own terminal."""

import difflib
from collections.abc import Iterator
from typing import Any

import yaml

from dryrun.simulated_cluster import Document
from dryrun.simulator import SimulatedSync, Step

SHOWN_METADATA = ("name", "namespace", "labels", "annotations")


class _Dumper(yaml.SafeDumper):
    """Writes text of several lines as a block, so that a diff shows the line that changes."""


def _text(dumper: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
    return dumper.represent_scalar(
        "tag:yaml.org,2002:str", value, style="|" if "\n" in value else None
    )


_Dumper.add_representer(str, _text)


def as_diff(simulated_syncs: list[SimulatedSync]) -> str:
    """Every change; empty where there is none."""
    return "".join(
        line for simulated in simulated_syncs for step in simulated.steps for line in _lines(step)
    )


def _lines(step: Step) -> Iterator[str]:
    place = f"{step.write.key.namespace}/{step.write.key.name}"
    return difflib.unified_diff(
        _shown(step.before),
        _shown(step.after),
        fromfile=f"live/{place}" if step.before else "/dev/null",
        tofile=f"planned/{place}" if step.after else "/dev/null",
    )


def _shown(document: Document | None) -> list[str]:
    """The lines of an object without what the API server puts on it."""
    if document is None:
        return []
    metadata = {
        field: document["metadata"][field]
        for field in SHOWN_METADATA
        if document["metadata"].get(field)
    }
    shown: dict[str, Any] = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata}
    shown |= {
        part: document[part] for part in ("data", "binaryData", "immutable") if document.get(part)
    }
    return yaml.dump(
        shown, Dumper=_Dumper, sort_keys=True, width=1000, allow_unicode=True
    ).splitlines(keepends=True)
