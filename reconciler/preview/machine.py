"""A plan for machines: one JSON document, of which fields are only ever added. No value of a ConfigMap is in it."""

import json
from dataclasses import asdict
from typing import Any

from configmapsync.content import CopyTemplate
from configmapsync.planning import Outcome
from reconciler.preview.changes import counts, key_changes
from reconciler.preview.forecast import Prospect, Step


def as_json(prospects: list[Prospect]) -> str:
    """The whole plan."""
    writes = counts(prospects)
    document = {
        "changes": any(writes.values()),
        "failed": any(prospect.failed for prospect in prospects),
        "writes": writes,
        "syncs": [_sync(prospect) for prospect in prospects],
    }
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def _sync(prospect: Prospect) -> dict[str, Any]:
    record = prospect.record
    verdict = prospect.verdict
    return {
        **prospect.key._asdict(),
        "exists": record is not None,
        "deleting": record is not None and record.deleting,
        "source": {
            **prospect.source.key._asdict(),
            "keys": sorted((*prospect.source.content.data, *prospect.source.content.binary_data)),
        }
        if prospect.source
        else None,
        "problem": prospect.problem,
        "errors": [
            {"field": error.path, "reason": error.kind, "message": error.message}
            for error in (record.errors if record else ())
        ],
        "reason": verdict.reason if verdict else None,
        "message": verdict.message if verdict else None,
        "writes": [_write(step) for step in prospect.steps],
        "refused": [_outcome(outcome) for outcome in prospect.refused],
        "right": prospect.right,
        "notes": prospect.notes,
    }


def _write(step: Step) -> dict[str, Any]:
    write = step.write
    return {
        "verb": write.verb,
        **write.key._asdict(),
        "why": write.why,
        "digest": {
            "before": write.record.digest if write.record else None,
            "after": write.template.digest if isinstance(write.template, CopyTemplate) else None,
        },
        "keys": asdict(key_changes(step)),
    }


def _outcome(outcome: Outcome) -> dict[str, str]:
    return {"namespace": outcome.namespace, "reason": outcome.reason, "message": outcome.message}
