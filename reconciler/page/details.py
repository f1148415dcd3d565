"""Gather what the page shows about one sync: spec, conditions, causes, destinations.

`handlers.py` calls it. The texts on causes and cures are those of the kubectl plugin.
`metadata` and `copyMetadata` of the spec are left out, because they can be long.
"""

import asyncio
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

from cluster.syncs import SyncRecord
from configmapsync.conditions import MESSAGE_LIMIT
from configmapsync.explanations import Explanation, Subject, explain_destination, explain_sync
from configmapsync.resource import ConfigMapSync
from configmapsync.spec import LabelSelector
from configmapsync.status import Condition, ConfigMapSyncStatus
from reconciler.known.caches import BY_SYNC_UID, Caches
from reconciler.page.pacing import paced
from reconciler.page.rows import CopyRow, Destinations, State, SyncRow

MOST_ITEMS = 20  # names, keys and errors of one fact


def details(record: SyncRecord, row: SyncRow) -> Mapping[str, object]:
    """Return what the page shows about a sync, except its destinations.

    Returns:
        `sync`: its row; `facts`: its spec; `conditions`: of its status; `errors`: what is wrong
        with its spec; `explanations`: of its reason, and of the other reasons of failed
        destinations.
    """
    status = record.status or ConfigMapSyncStatus()
    return {
        "sync": row,
        "facts": _facts(record.sync) if record.sync else [],
        "conditions": [_condition(each) for each in status.conditions],
        "errors": [str(error)[:MESSAGE_LIMIT] for error in record.errors[:MOST_ITEMS]],
        "explanations": list(_explanations(record, row, status)),
    }


def _condition(condition: Condition) -> Mapping[str, object]:
    return {
        "type": condition.type,
        "status": condition.status,
        "reason": condition.reason,
        "message": condition.message[:MESSAGE_LIMIT],
        "since": condition.last_transition_time,
    }


def _explanations(
    record: SyncRecord, row: SyncRow, status: ConfigMapSyncStatus
) -> Iterator[Explanation]:
    """Yield the texts that the kubectl plugin prints as well; none if nothing is wrong."""
    if row.state is State.SYNCED:
        return
    sync = record.sync
    subject = Subject.of(sync) if sync else Subject(record.key)
    first = {failure.reason: failure.namespace for failure in reversed(status.failures)}
    of_sync = replace(subject, namespace=first.pop(row.reason, ""))
    yield explain_sync(row.reason, of_sync)
    for word, namespace in first.items():
        yield explain_destination(word, replace(subject, namespace=namespace))


async def destinations(caches: Caches, record: SyncRecord, row: SyncRow) -> list[CopyRow]:
    """Return all destinations of a sync by namespace: copies, failures, and what is missing."""
    view = Destinations(record, row)
    copies = caches.copies.by_index(BY_SYNC_UID, record.metadata.uid)
    rows = [each async for each in paced(view.rows(copies))]
    await asyncio.sleep(0)
    known = {each.namespace for each in rows if each.name == row.copy_name}
    selector = None if record.deleting else record.selector
    selected = selector.destinations(caches.namespaces_by_name) if selector else ()
    missing = [name for name in selected if name not in known]
    rows += [each async for each in paced(map(view.absent, missing))]
    return sorted(rows)


def _facts(sync: ConfigMapSync) -> list[Mapping[str, str]]:
    """Return the label and the value of each shown field that is set."""
    spec, selector = sync.spec, sync.spec.destination_namespace_selector
    values = {
        "source": str(sync.source),
        "name of the copies": sync.destination_name,
        "destinationNamespace": spec.destination_namespace,
        "destinationNamespaces": _listed(spec.destination_namespaces),
        "destinationNamespaceSelector": _selector(selector) if selector else None,
        "excludedNamespaces": _listed(spec.excluded_namespaces),
        "keys": _listed(f"{k.key} as {k.as_}" if k.as_ else k.key for k in spec.keys),
        "conflictPolicy": spec.conflict_policy.value,
        "deletionPolicy": spec.deletion_policy.value,
        "sourceDeletionPolicy": spec.source_deletion_policy.value,
        "serviceAccountName": spec.service_account_name,
        "suspend": "true" if spec.suspend else None,
    }
    return [{"label": label, "value": value} for label, value in values.items() if value]


def _listed(names: Iterable[str]) -> str:
    names = tuple(names)
    more = f", and {len(names) - MOST_ITEMS} more" if len(names) > MOST_ITEMS else ""
    return ", ".join(names[:MOST_ITEMS]) + more


def _selector(selector: LabelSelector) -> str:
    """Return a label selector as `kubectl get -l` takes it."""
    parts = [f"{key}={value}" for key, value in selector.match_labels.items()]
    for each in selector.match_expressions:
        values = f" ({_listed(each.values)})" if each.values else ""
        parts.append(f"{each.key} {each.operator.value}{values}")
    return _listed(parts) or "every namespace"
