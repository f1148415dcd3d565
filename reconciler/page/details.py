"""Gather what the page shows about one sync: spec, conditions, causes, destinations.

`handlers.py` calls it. The texts on causes and cures are those of the kubectl plugin.
Label and annotation values of the spec are left out, because they can be long.
"""

import asyncio
from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import datetime

import msgspec

from cluster.syncs import SyncRecord
from configmapsync.conditions import MESSAGE_LIMIT
from configmapsync.explanations import Explanation, Subject, explain_word
from configmapsync.resource import ConfigMapSync
from configmapsync.spec import LabelSelector
from configmapsync.status import ConfigMapSyncStatus
from reconciler.known.caches import BY_SYNC_UID, Caches
from reconciler.page.pacing import paced
from reconciler.page.rows import CopyRow, Destinations, SyncRow
from reconciler.page.states import State

MOST_ITEMS = 20  # names, keys and errors of one fact
MOST_CONDITIONS = 16


class Fact(msgspec.Struct, frozen=True):
    """A field of the spec for people: its label, and its value in a few words."""

    label: str
    value: str


class ConditionView(msgspec.Struct, frozen=True):
    """A condition of the status."""

    type: str
    status: str
    reason: str
    message: str
    since: str | None


class Details(msgspec.Struct, frozen=True):
    """One sync.

    Attributes:
        sync: its row.
        facts: its spec.
        conditions: of its status.
        errors: what is wrong with its spec.
        explanations: of its reason, and of the other reasons of failed destinations.
    """

    sync: SyncRow
    facts: list[Fact]
    conditions: list[ConditionView]
    errors: list[str]
    explanations: list[Explanation]


def details(record: SyncRecord, row: SyncRow) -> Details:
    """Return what the page shows about a sync, except its destinations."""
    status = record.status or ConfigMapSyncStatus()
    return Details(
        sync=row,
        facts=list(_facts(record.sync)) if record.sync else [],
        conditions=[
            ConditionView(
                each.type,
                each.status,
                each.reason,
                each.message[:MESSAGE_LIMIT],
                _moment(each.last_transition_time),
            )
            for each in status.conditions[:MOST_CONDITIONS]
        ],
        errors=[str(error)[:MESSAGE_LIMIT] for error in record.errors[:MOST_ITEMS]],
        explanations=list(_explanations(record, row, status)),
    )


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
    yield explain_word(row.reason, of_sync, of_sync=True)
    for word, namespace in first.items():
        yield explain_word(word, replace(subject, namespace=namespace), of_sync=False)


async def destinations(caches: Caches, record: SyncRecord, row: SyncRow) -> list[CopyRow]:
    """Return all destinations of a sync by namespace: copies, failures, and what is missing."""
    view = Destinations(record, row)
    copies = caches.copies.by_index(BY_SYNC_UID, record.metadata.uid)
    rows = [each async for each in paced(view.rows(copies))]
    await asyncio.sleep(0)
    known = {each.namespace for each in rows if each.name == row.copy_name}
    missing = [name for name in _selected(caches, record) if name not in known]
    rows += [each async for each in paced(map(view.absent, missing))]
    return sorted(rows, key=lambda each: (each.namespace, each.name))


def _selected(caches: Caches, record: SyncRecord) -> Iterator[str]:
    """Yield the namespaces that should have a copy."""
    if record.selector is None or record.deleting:
        return
    for namespace in record.selector.among(caches.namespaces_by_name):
        if not namespace.terminating and not namespace.disabled:
            yield namespace.name


def _facts(sync: ConfigMapSync) -> Iterator[Fact]:
    """Yield the fields that are set, in the order of the spec."""
    spec = sync.spec
    yield Fact("source", str(sync.source))
    yield Fact("name of the copies", sync.destination_name)
    if spec.destination_namespace:
        yield Fact("destinationNamespace", spec.destination_namespace)
    if spec.destination_namespaces:
        yield Fact("destinationNamespaces", _listed(spec.destination_namespaces))
    if spec.destination_namespace_selector is not None:
        yield Fact("destinationNamespaceSelector", _selector(spec.destination_namespace_selector))
    if spec.excluded_namespaces:
        yield Fact("excludedNamespaces", _listed(spec.excluded_namespaces))
    if spec.keys:
        yield Fact("keys", _listed(f"{k.key} as {k.as_}" if k.as_ else k.key for k in spec.keys))
    yield Fact("conflictPolicy", spec.conflict_policy.value)
    yield Fact("deletionPolicy", spec.deletion_policy.value)
    yield Fact("sourceDeletionPolicy", spec.source_deletion_policy.value)
    if spec.service_account_name:
        yield Fact("serviceAccountName", spec.service_account_name)
    if spec.suspend:
        yield Fact("suspend", "true")


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
    return _listed(parts) if parts else "every namespace"


def _moment(moment: datetime | None) -> str | None:
    return moment.isoformat() if moment else None
