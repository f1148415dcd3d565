"""Build the records that the tests of the plugin need."""

import json
from typing import Any

from cluster.syncs import SyncRecord, read_sync
from configmapsync.names import (
    DESTINATION,
    MANAGED_BY_LABEL,
    MANAGED_BY_VALUE,
    PROTECTED_NAMESPACES,
    SYNC_UID_LABEL,
    SYNCED_BY,
)
from dryrun.records import read_copy, read_source


def sync_record(
    key: str = "platform/shared",
    *,
    reason: str = "Synced",
    message: str = "all copies are up to date",
    failures: dict[str, str] | None = None,
    desired: int = 2,
    generation: int = 1,
    deleting: bool = False,
    uid: str = "",
    **spec: Any,
) -> SyncRecord:
    """Return a sync with a status; `failures` maps namespaces to reasons."""
    namespace, name = key.split("/")
    failed = failures or {}
    ready = "True" if reason in {"Synced", "Suspended"} else "False"
    metadata: dict[str, Any] = {
        "namespace": namespace,
        "name": name,
        "uid": uid or f"uid-of-{namespace}-{name}",
        "resourceVersion": "5",
        "generation": generation,
        "creationTimestamp": "2026-11-28T08:00:00Z",
    }
    if deleting:
        metadata["deletionTimestamp"] = "2026-11-28T09:00:00Z"
    status = {
        "observedGeneration": 1,
        "conditions": [
            {"type": "Ready", "status": ready, "reason": reason, "message": message},
        ],
        "destinations": {
            "desired": desired,
            "synced": desired - len(failed),
            "failed": len(failed),
        },
        "source": {"resourceVersion": "3", "digest": "sha256:of-the-source"},
        "failures": [
            {"namespace": place, "reason": word, "message": f"the message of {word}"}
            for place, word in sorted(failed.items())
        ],
    }
    document = {
        "metadata": metadata,
        "spec": {
            "sourceNamespace": "central",
            "configMapName": "limits",
            "destinationNamespaces": ["web", "db"],
        }
        | spec,
        "status": status if reason else {},
    }
    return read_sync(json.dumps(document).encode(), PROTECTED_NAMESPACES)


def configmap(key: str, data: dict[str, str] | None = None, **metadata: Any) -> bytes:
    """Return a ConfigMap in JSON."""
    namespace, name = key.split("/")
    place = {"namespace": namespace, "name": name, "uid": f"uid-of-{key}", "resourceVersion": "7"}
    return json.dumps({"metadata": place | metadata, "data": data or {}}).encode()


def copy_of(record: SyncRecord, namespace: str, data: dict[str, str] | None = None) -> Any:
    """Return the copy that a sync would have written from `source(data)`."""
    from configmapsync.rendering import copy_template, render  # noqa: PLC0415

    assert record.sync is not None
    template = copy_template(record.sync, source(data))
    document = render(template, namespace, None, adopted=False, recreated=False)
    document["metadata"] |= {"uid": "uid-of-copy", "resourceVersion": "8"}
    return read_copy(json.dumps(document).encode())


def source(data: dict[str, str] | None = None) -> Any:
    """Return the source of `sync_record`."""
    return read_source(configmap("central/limits", data))


def marks(record: SyncRecord, destination: str) -> dict[str, Any]:
    """Return labels and annotations of a copy, with its own place."""
    return {
        "labels": {
            MANAGED_BY_LABEL: MANAGED_BY_VALUE,
            SYNC_UID_LABEL: record.metadata.uid,
        },
        "annotations": {SYNCED_BY: str(record.key), DESTINATION: destination},
    }
