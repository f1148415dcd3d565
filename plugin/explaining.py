"""Explain a sync or a ConfigMap: is it managed, is it right, and if not, why.

`commands/explain.py` reads the cluster and prints the answers. Nothing here reads a
cluster, and no answer contains a value of a ConfigMap.
"""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace

from cluster.syncs import SyncRecord
from configmapsync.copies import CopyRecord
from configmapsync.explanations import (
    DOCTOR,
    Explanation,
    Subject,
    explain_destination,
    explain_sync,
)
from configmapsync.reasons import Reason
from configmapsync.rendering import copy_template, is_up_to_date
from configmapsync.selection import Namespace
from plugin.answers import Answer, Observation, Problem
from plugin.rows import DELETING, OUTDATED, StatusRow, row_of
from plugin.terminal import listed

MOST_NAMES = 20  # of namespaces or syncs in one line
DELETION = Explanation(
    DELETING,
    "The sync is being deleted. Its finalizer stays until the reconciler has removed or "
    "released every copy.",
    "Wait. If the sync stays for more than a minute, check that a reconciler is running.",
    (DOCTOR,),
)


def explained_sync(record: SyncRecord) -> Answer:
    """Return the answer about a sync, from its status."""
    row = row_of(record)
    facts = {
        "source": row.source or "(the spec is invalid)",
        "copies": str(row.copies),
        "state": f"{row.state}: {row.message}" if row.message else row.state,
    }
    problems = tuple(_problems_of_sync(record, row))
    # A suspended sync is as its spec asks, and its copies may differ from the source.
    right = None if row.state == Reason.SUSPENDED else not problems
    return Answer("ConfigMapSync", *record.key, right, facts, problems)


def _problems_of_sync(record: SyncRecord, row: StatusRow) -> Iterator[Problem]:
    subject = _subject_of(record)
    if row.state == DELETING:
        yield _problem(DELETION)
    elif row.state == OUTDATED:
        cause = "The spec was edited, and the reconciler has not reported on the edit yet."
        yield _problem(replace(explain_sync(Reason.PROGRESSING, subject), cause=cause))
    elif not row.failures and row.state != Reason.SYNCED:
        yield _problem(explain_sync(row.state, subject), row.message)
    for reason in dict.fromkeys(failure.reason for failure in row.failures):
        failures = [each for each in row.failures if each.reason == reason]
        at_first = _subject_of(record, failures[0].namespace)
        explanation = explain_destination(reason, at_first)
        namespaces = tuple(each.namespace for each in failures)
        yield _problem(explanation, failures[0].message, namespaces)


def _problem(
    explanation: Explanation, message: str = "", namespaces: tuple[str, ...] = ()
) -> Problem:
    return Problem(**asdict(explanation), message=message, namespaces=namespaces)


def _subject_of(record: SyncRecord, namespace: str = "") -> Subject:
    """Return the subject for a sync, whose spec may be invalid, or for its destination."""
    if record.sync:
        return Subject.of(record.sync, namespace)
    return Subject(record.key, namespace=namespace)


def explained_configmap(seen: Observation) -> Answer | None:
    """Return the answer about a ConfigMap; None if it does not exist and no sync uses it."""
    record = seen.record
    readers = [sync for sync in seen.syncs if sync.sync and sync.sync.source == seen.key]
    writers = [sync for sync in seen.syncs if _selects(sync, seen)]
    source_of = {"source of": _listed(readers)} if readers else {}
    if record is None and not writers and not readers:
        return None
    if record is not None and record.managed and not record.cloned:
        return _managed(seen, record, source_of, writers)
    facts = {"managed": "no"}
    problems = [_problem_at(writer, seen) for writer in writers[:MOST_NAMES]]
    if record is None:
        facts = {"exists": "no"}
        problems += [
            _problem(explain_sync(Reason.SOURCE_NOT_FOUND, _subject_of(reader)))
            for reader in readers[:1]  # the others have the same problem
        ]
    elif record.cloned:
        facts["managed"] = f"no: it is a clone of the copy {record.destination}"
    elif record.released_by:
        facts["managed"] = f"no: ConfigMapSync {record.released_by} has released it"
    facts |= source_of
    if writers:
        facts["wanted by"] = _listed(writers)
    return _answer(seen, facts, problems)


def _answer(
    seen: Observation,
    facts: dict[str, str],
    problems: Sequence[Problem] = (),
    *,
    right: bool | None = None,
) -> Answer:
    """Return the answer about a ConfigMap, which is not right if there is a problem."""
    if seen.unread:
        facts["not read"] = "; ".join(seen.unread)
    return Answer("ConfigMap", *seen.key, False if problems else right, facts, tuple(problems))


def _managed(
    seen: Observation, record: CopyRecord, source_of: dict[str, str], writers: Sequence[SyncRecord]
) -> Answer:
    owner = seen.owner
    name = owner.key if owner else record.synced_by or "(unreadable)"
    facts = {"managed": f"yes, by ConfigMapSync {name}"}
    if owner is None:
        return _answer(seen, facts | source_of, [_orphan(record)])
    if owner.sync is not None:
        facts["source"] = str(owner.sync.source)
    facts |= source_of
    if others := [writer for writer in writers if writer is not owner]:
        facts["wanted by"] = _listed(others)
    if seen.unreadable:
        facts["content"] = f"not compared: {seen.unreadable}"
        return _answer(seen, facts)
    if (problem := _problem_of_copy(seen, record, owner)) is not None:
        return _answer(seen, facts, [problem])
    facts["content"] = "equals the source"
    return _answer(seen, facts, right=True)


def _problem_of_copy(seen: Observation, record: CopyRecord, owner: SyncRecord) -> Problem | None:
    """Return why a copy differs from what its sync asks for; None if it does not."""
    sync, source = owner.sync, seen.source
    if sync is not None and not sync.spec.suspend and not owner.deleting:
        if seen.labels_known and not _selects(owner, seen):
            cause = (
                "The sync no longer selects this destination, so the reconciler removes the copy."
            )
            subject = _subject_of(owner, seen.key.namespace)
            return _problem(replace(explain_destination(Reason.PROGRESSING, subject), cause=cause))
        if (
            source is not None
            and not source.too_many_keys
            and is_up_to_date(record, copy_template(sync, source))
        ):
            return None
    return _problem_at(owner, seen)


def _problem_at(record: SyncRecord, seen: Observation) -> Problem:
    """Return why a sync has not written, or not updated, its destination."""
    namespace = seen.key.namespace
    subject = _subject_of(record, namespace)
    row = row_of(record)
    if row.state == DELETING:
        return _problem(DELETION)
    for failure in row.failures:
        if failure.namespace == namespace:
            return _problem(explain_destination(failure.reason, subject), failure.message)
    reason = Reason.parse(row.state)
    if reason is None or reason is Reason.SYNCED or row.failures:
        message = f"ConfigMapSync {record.key} has not reported on it yet"
        return _problem(explain_destination(Reason.PROGRESSING, subject), message)
    return _problem(explain_destination(reason, subject), row.message)


def _orphan(record: CopyRecord) -> Problem:
    return _problem(
        Explanation(
            "Orphaned",
            f"ConfigMapSync {record.synced_by or '(unreadable)'}, which wrote this copy, does not "
            "exist any more.",
            "Create the sync again, and it takes the copy back. Otherwise the reconciler handles "
            f"the copy by its own deletion policy ({record.deletion_policy}) after ten minutes.",
            (DOCTOR,),
        )
    )


def _selects(record: SyncRecord, seen: Observation) -> bool:
    """Return whether a sync selects the ConfigMap as a destination."""
    if record.sync is None or record.selector is None:
        return False
    namespace = seen.namespace or Namespace(seen.key.namespace)
    named = seen.namespace is not None or namespace.name in record.selector.exact_names
    return (
        record.sync.destination_name == seen.key.name
        and named
        and record.selector.matches(namespace)
    )


def _listed(records: Sequence[SyncRecord]) -> str:
    return f"ConfigMapSync {listed([str(record.key) for record in records], MOST_NAMES)}"
