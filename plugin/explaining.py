"""Explain a sync or a ConfigMap: is it managed, is it right, and if not, why.

`commands/explain.py` reads the cluster and prints the answers. Nothing here reads a
cluster, and no answer contains a value of a ConfigMap.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

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
from configmapsync.status import DestinationFailure
from plugin.answers import Answer, Observation, Problem
from plugin.rows import DELETING, OUTDATED, row_of

MOST_NAMES = 20  # of namespaces or syncs in one line


def explained_sync(record: SyncRecord) -> Answer:
    """Return the answer about a sync, from its status."""
    row = row_of(record)
    state = f"{row.state}: {row.message}" if row.message else row.state
    facts = (
        ("source", row.source or "(the spec is invalid)"),
        ("copies", row.copies),
        ("state", state),
    )
    problems = tuple(_problems_of_sync(record, row.state, row.message))
    # A suspended sync is as its spec asks, and its copies may differ from the source.
    right = None if row.state == Reason.SUSPENDED else not problems
    return Answer("ConfigMapSync", record.key, facts, right, problems)


def _problems_of_sync(record: SyncRecord, state: str, message: str) -> Iterator[Problem]:
    subject = subject_of(record)
    failures = record.status.failures if record.status else ()
    if state == DELETING:
        yield Problem((), "", _deletion())
    elif state == OUTDATED:
        cause = "The spec was edited, and the reconciler has not reported on the edit yet."
        yield Problem((), "", replace(explain_sync(Reason.PROGRESSING, subject), cause=cause))
    elif not failures and state != Reason.SYNCED:
        yield Problem((), message, explain_sync(state, subject))
    for reason in dict.fromkeys(failure.reason for failure in failures):
        yield _failed(subject, [each for each in failures if each.reason == reason])


def _failed(subject: Subject, failures: Sequence[DestinationFailure]) -> Problem:
    """Return the problem of all destinations that failed for one reason."""
    first = failures[0]
    at_first = replace(subject, namespace=first.namespace)
    explanation = explain_destination(first.reason, at_first)
    return Problem(tuple(each.namespace for each in failures), first.message, explanation)


def _deletion() -> Explanation:
    return Explanation(
        DELETING,
        "The sync is being deleted. Its finalizer stays until the reconciler has removed or "
        "released every copy.",
        "Wait. If the sync stays for more than a minute, check that a reconciler is running.",
        (DOCTOR,),
    )


def subject_of(record: SyncRecord) -> Subject:
    """Return the subject of a sync, whose spec may be invalid."""
    return Subject.of(record.sync) if record.sync else Subject(record.key)


def explained_configmap(seen: Observation) -> Answer | None:
    """Return the answer about a ConfigMap; None if it does not exist and no sync would write it."""
    answer = _explained_configmap(seen)
    if answer is None or not seen.unread:
        return answer
    return replace(answer, facts=(*answer.facts, ("not read", "; ".join(seen.unread))))


def _explained_configmap(seen: Observation) -> Answer | None:
    record = seen.record
    readers = _readers(seen)
    if record is None:
        writers = _writers(seen)
        if not writers and not readers:
            return None
        facts = (("exists", "no"), *_facts_of_readers(readers))
        return _not_managed(seen, facts, writers, readers)
    if record.managed and not record.cloned:
        return _managed(seen, record, _facts_of_readers(readers))
    managed = "no"
    if record.cloned:
        managed = f"no: it is a clone of the copy {record.destination}"
    elif record.released_by:
        managed = f"no: ConfigMapSync {record.released_by} has released it"
    facts = (("managed", managed), *_facts_of_readers(readers))
    return _not_managed(seen, facts, _writers(seen), ())


def _not_managed(
    seen: Observation,
    facts: tuple[tuple[str, str], ...],
    writers: Sequence[SyncRecord],
    readers: Sequence[SyncRecord],
) -> Answer:
    """Return the answer about a ConfigMap that no sync manages.

    Args:
        seen: the ConfigMap.
        facts: about it.
        writers: the syncs that select it as a destination.
        readers: the syncs whose source is missing.
    """
    problems = [_problem_at(writer, seen) for writer in writers[:MOST_NAMES]]
    problems += [
        Problem((), "", explain_sync(Reason.SOURCE_NOT_FOUND, subject_of(reader)))
        for reader in readers[:1]
    ]
    if writers:
        facts = (*facts, ("wanted by", _listed("ConfigMapSync", writers)))
    right = False if problems else None
    return Answer("ConfigMap", seen.key, facts, right, tuple(problems))


def _managed(seen: Observation, record: CopyRecord, readers: tuple[tuple[str, str], ...]) -> Answer:
    owner = next((sync for sync in seen.syncs if sync.metadata.uid == record.sync_uid), None)
    name = record.synced_by or "(unreadable)"
    facts = [("managed", f"yes, by ConfigMapSync {owner.key if owner else name}"), *readers]
    if owner is None:
        return Answer("ConfigMap", seen.key, tuple(facts), right=False, problems=(_orphan(record),))
    if owner.sync is not None:
        facts.insert(1, ("source", str(owner.sync.source)))
    if others := [writer for writer in _writers(seen) if writer is not owner]:
        facts.append(("wanted by", _listed("ConfigMapSync", others)))
    if seen.unreadable:
        facts.append(("content", f"not compared: {seen.unreadable}"))
        return Answer("ConfigMap", seen.key, tuple(facts), None)
    problem = _problem_of_copy(seen, record, owner)
    problems = (problem,) if problem else ()
    if not problem:
        facts.append(("content", "equals the source"))
    return Answer("ConfigMap", seen.key, tuple(facts), not problems, problems)


def _problem_of_copy(seen: Observation, record: CopyRecord, owner: SyncRecord) -> Problem | None:
    """Return why a copy differs from what its sync asks for; None if it does not."""
    sync = owner.sync
    if sync is None or sync.spec.suspend or owner.deleting:
        return _problem_at(owner, seen)
    if seen.labels_known and not _selects(owner, seen):
        cause = "The sync no longer selects this destination, so the reconciler removes the copy."
        subject = replace(subject_of(owner), namespace=seen.key.namespace)
        explanation = replace(explain_destination(Reason.PROGRESSING, subject), cause=cause)
        return Problem((), "", explanation)
    if seen.source is None or seen.source.too_many_keys:
        return _problem_at(owner, seen)
    if is_up_to_date(record, copy_template(sync, seen.source)):
        return None
    return _problem_at(owner, seen)


def _problem_at(record: SyncRecord, seen: Observation) -> Problem:
    """Return why a sync has not written, or not updated, its destination."""
    namespace = seen.key.namespace
    subject = replace(subject_of(record), namespace=namespace)
    failures = record.status.failures if record.status else ()
    row = row_of(record)
    if row.state == DELETING:
        return Problem((), "", _deletion())
    for failure in failures:
        if failure.namespace == namespace:
            return Problem((), failure.message, explain_destination(failure.reason, subject))
    reason = Reason.parse(row.state)
    if reason is None or reason is Reason.SYNCED or failures:
        explanation = explain_destination(Reason.PROGRESSING, subject)
        return Problem((), f"ConfigMapSync {record.key} has not reported on it yet", explanation)
    return Problem((), row.message, explain_destination(reason, subject))


def _orphan(record: CopyRecord) -> Problem:
    policy = record.deletion_policy
    return Problem(
        (),
        "",
        Explanation(
            "Orphaned",
            f"ConfigMapSync {record.synced_by or '(unreadable)'}, which wrote this copy, does not "
            "exist any more, or was created again.",
            "Create the sync again, and it takes the copy back. Otherwise the reconciler handles "
            f"the copy by its own deletion policy ({policy}) after ten minutes.",
            (DOCTOR,),
        ),
    )


def _readers(seen: Observation) -> list[SyncRecord]:
    """Return the syncs whose source is the ConfigMap."""
    return [sync for sync in seen.syncs if sync.sync and sync.sync.source == seen.key]


def _writers(seen: Observation) -> list[SyncRecord]:
    """Return the syncs that select the ConfigMap as a destination."""
    return [sync for sync in seen.syncs if _selects(sync, seen)]


def _selects(record: SyncRecord, seen: Observation) -> bool:
    if record.sync is None or record.selector is None:
        return False
    namespace = seen.namespace or Namespace(seen.key.namespace)
    named = seen.namespace is not None or namespace.name in record.selector.exact_names
    return (
        record.sync.destination_name == seen.key.name
        and named
        and record.selector.matches(namespace)
    )


def _facts_of_readers(readers: Sequence[SyncRecord]) -> tuple[tuple[str, str], ...]:
    return (("source of", _listed("ConfigMapSync", readers)),) if readers else ()


def _listed(kind: str, records: Iterable[SyncRecord]) -> str:
    names = [str(record.key) for record in records]
    more = f" and {len(names) - MOST_NAMES} more" if len(names) > MOST_NAMES else ""
    return f"{kind} {', '.join(names[:MOST_NAMES])}{more}"
