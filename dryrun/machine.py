"""A plan for machines: one JSON document, of which fields are only ever added. No value of a ConfigMap is in it."""

import json
from dataclasses import asdict
from typing import Any

from configmapsync.plans import Outcome
from configmapsync.rendering import CopyTemplate
from dryrun.changes import counts, key_changes
from dryrun.simulator import SimulatedSync, Step


def as_json(simulated_syncs: list[SimulatedSync]) -> str:
    """The whole plan."""
    writes = counts(simulated_syncs)
    document = {
        "changes": any(writes.values()),
        "failed": any(simulated.failed for simulated in simulated_syncs),
        "writes": writes,
        "syncs": [_sync(simulated) for simulated in simulated_syncs],
    }
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def _sync(simulated: SimulatedSync) -> dict[str, Any]:
    record = simulated.record
    verdict = simulated.verdict
    return {
        **simulated.key._asdict(),
        "exists": record is not None,
        "deleting": record is not None and record.deleting,
        "source": {
            **simulated.source.key._asdict(),
            "keys": sorted((*simulated.source.content.data, *simulated.source.content.binary_data)),
        }
        if simulated.source
        else None,
        "problem": simulated.problem,
        "errors": [
            {"field": error.path, "reason": error.kind, "message": error.message}
            for error in (record.errors if record else ())
        ],
        "reason": verdict.reason if verdict else None,
        "message": verdict.message if verdict else None,
        "writes": [_write(step) for step in simulated.steps],
        "refused": [_outcome(outcome) for outcome in simulated.refused],
        "right": simulated.right,
        "notes": simulated.notes,
    }


def _write(step: Step) -> dict[str, Any]:
    write = step.write
    return {
        "verb": write.verb,
        **write.key._asdict(),
        "why": write.cause,
        "digest": {
            "before": write.record.digest if write.record else None,
            "after": write.template.digest if isinstance(write.template, CopyTemplate) else None,
        },
        "keys": asdict(key_changes(step)),
    }


def _outcome(outcome: Outcome) -> dict[str, str]:
    return {"namespace": outcome.namespace, "reason": outcome.reason, "message": outcome.message}
