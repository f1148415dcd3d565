"""Migrate from client-side to server-side apply by kubectl's annotation.

Fields in the annotation may be taken over without a conflict. As in kube-apiserver,
this holds only for the manager called kubectl.
"""

import json
from collections.abc import Mapping
from typing import Any

from devcluster.fields.comparing import fields_of
from devcluster.fields.paths import FieldSet
from devcluster.schema.types import Type

ANNOTATION = "kubectl.kubernetes.io/last-applied-configuration"
KUBECTL = "kubectl"

Document = Mapping[str, Any]


def may_be_taken(live: Document, manager: str, types: Type) -> FieldSet:
    """The fields that the manager applied from the client's side, and so may take without force."""
    text = _annotation(live)
    if manager != KUBECTL or text is None:
        return frozenset()
    try:
        applied = json.loads(text)
    except ValueError:
        return frozenset()
    return fields_of(applied, types) if isinstance(applied, dict) else frozenset()


def with_last_applied(result: Document, applied: Document, manager: str) -> dict[str, Any]:
    """Update an existing annotation, for clients that return to client-side apply."""
    if manager != KUBECTL or _annotation(result) is None:
        return dict(result)
    text = json.dumps(applied, separators=(",", ":"), sort_keys=True, ensure_ascii=False) + "\n"
    metadata = result["metadata"]
    return {
        **result,
        "metadata": {**metadata, "annotations": {**metadata["annotations"], ANNOTATION: text}},
    }


def _annotation(document: Document) -> str | None:
    text: str | None = ((document.get("metadata") or {}).get("annotations") or {}).get(ANNOTATION)
    return text
