"""Compute the status of a sync, with conditions as kstatus defines them.

`reconciler/reports/status.py` calls it with the report of a reconcile, and writes the
result if it differs from the previous status. The time may appear only beside something
that changed, so that an unchanged cluster costs no write.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from msgspec.structs import replace

from configmapsync.content import SourceObject, unmatched_keys
from configmapsync.reasons import Heals, Outcome, Reason, State
from configmapsync.spec import KeySelection
from configmapsync.status import (
    MOST_LISTED_FAILURES,
    Condition,
    ConfigMapSyncStatus,
    DestinationCounts,
    DestinationFailure,
    SourceStatus,
)
from configmapsync.timestamps import whole_seconds

MOST_UNMATCHED_KEYS = 3  # in a message
MESSAGE_LIMIT = 1024  # characters; the API allows 32 KiB, which is too long to read


@dataclass(frozen=True, slots=True)
class Report:
    """What one reconcile found and did.

    Attributes:
        generation: of the sync that was reconciled.
        previous: the previous status of the sync; None if it has none.
        source: the source; None if it does not exist or was not read.
        digest: the digest of all copies; None without a source.
        outcomes: one for each destination that should have a copy.
        leftovers: one for each copy that should be gone and is not removed yet.
        verdict: why the sync as a whole cannot continue; None if it can.
        wrote: whether a copy was written since the last written status.
        keys: the keys that the spec selects, to report those that the source lacks.
        remaining: with a verdict, the number of copies that stay; None if it is not known.
    """

    generation: int | None
    previous: ConfigMapSyncStatus | None
    source: SourceObject | None
    digest: str | None
    outcomes: tuple[Outcome, ...]
    leftovers: tuple[Outcome, ...]
    verdict: Outcome | None
    wrote: bool
    keys: tuple[KeySelection, ...]
    remaining: int | None


def status(report: Report, now: datetime) -> ConfigMapSyncStatus:
    """Return the status of a report.

    The transition time of a condition stays while its status (True or False) is the same. A new
    version of the source alone does not change the status: an edit of its metadata that no copy
    takes over costs no write.
    """
    previous = report.previous or ConfigMapSyncStatus()
    new = _status(report, previous, whole_seconds(now))
    if new.source is None or previous.source is None:
        return new
    is_same_content = new.source.digest == previous.source.digest
    if is_same_content and new == replace(previous, source=new.source):
        return previous
    return new


def _status(report: Report, previous: ConfigMapSyncStatus, now: datetime) -> ConfigMapSyncStatus:
    ready = _readiness(report)
    has_outcomes = report.verdict is None or bool(report.outcomes or report.leftovers)
    counts, failures = _counted(report) if has_outcomes else _kept(previous, report.remaining)
    return ConfigMapSyncStatus(
        observed_generation=report.generation,
        conditions=_conditions(report, ready, previous.conditions or (), now),
        source=_source(report, previous),
        destinations=counts,
        summary=f"{counts.synced}/{counts.desired}" if counts else None,
        failures=failures,
        last_sync_time=now if report.wrote else previous.last_sync_time,
    )


def known_digest(
    status: ConfigMapSyncStatus | None, generation: int | None, resource_version: str
) -> str | None:
    """Return the digest of all copies if a status describes this spec and this source.

    `reconciler/observe.py` need not read such a source.
    Only a status with the reason `Synced` is used: under other reasons the source may belong to an
    earlier spec. The caller must compare the digest with that of each copy.

    Args:
        status: the stored status.
        generation: of the sync.
        resource_version: of the source.
    """
    if status is None or status.source is None or status.observed_generation != generation:
        return None
    ready = status.ready
    is_synced = ready is not None and (ready.reason, ready.observed_generation) == (
        Reason.SYNCED,
        generation,
    )
    is_same = resource_version != "" and status.source.resource_version == resource_version
    return status.source.digest or None if is_synced and is_same else None


def _counted(report: Report) -> tuple[DestinationCounts, tuple[DestinationFailure, ...]]:
    """Count the outcomes of a report, and list the first failures."""
    failed = _failed((*report.outcomes, *report.leftovers))
    synced = sum(outcome.reason is Reason.SYNCED for outcome in report.outcomes)
    failures = tuple(
        DestinationFailure(
            namespace=outcome.namespace,
            reason=outcome.reason.value,
            message=outcome.message[:MESSAGE_LIMIT],
        )
        for outcome in failed[:MOST_LISTED_FAILURES]
    )
    counts = DestinationCounts(desired=len(report.outcomes), synced=synced, failed=len(failed))
    return counts, failures


def _kept(
    previous: ConfigMapSyncStatus, remaining: int | None
) -> tuple[DestinationCounts | None, tuple[DestinationFailure, ...]]:
    """Keep the previous counts, without copies that were removed since.

    They are dropped if an older version left counts and failures that differ.
    """
    counts = previous.destinations
    listed = min(counts.failed, MOST_LISTED_FAILURES) if counts else 0
    if len(previous.failures) != listed:
        return None, ()
    if counts is not None and remaining is not None and remaining < counts.synced:
        counts = replace(counts, synced=remaining)
    return counts, previous.failures


def _readiness(report: Report) -> Outcome:
    """Return the reason and message that all three conditions carry."""
    if report.verdict is not None:
        return report.verdict
    outcomes = (*report.outcomes, *report.leftovers)
    waiting = [outcome for outcome in outcomes if outcome.reason.state is State.PENDING]
    failed = _failed(outcomes)
    total = len(outcomes)
    if failed:
        first = failed[0]
        others = f" (and {len(failed) - 1} more, see status.failures)" if len(failed) > 1 else ""
        detail = f"{first.namespace}: {first.message}{others}"
        message = f"{len(failed)} of {total} destinations failed: {detail}"
        return Outcome("", _commonest(failed), message)
    if waiting:
        return Outcome(
            "", Reason.PROGRESSING, f"{total - len(waiting)} of {total} copies are up to date"
        )
    if not total:
        return Outcome("", Reason.SYNCED, "no namespace is selected")
    done = "1 copy is up to date" if total == 1 else f"all {total} copies are up to date"
    return Outcome("", Reason.SYNCED, "; ".join((done, *_unmatched_keys(report))))


def _unmatched_keys(report: Report) -> tuple[str, ...]:
    """Return messages on the first entries of spec.keys that match nothing, such as a typo."""
    if not report.keys or report.source is None:
        return ()
    unmatched = unmatched_keys(report.keys, report.source.content.keys)
    more = len(unmatched) - MOST_UNMATCHED_KEYS
    return unmatched if more <= 0 else (*unmatched[:MOST_UNMATCHED_KEYS], f"and {more} more")


def _failed(outcomes: Iterable[Outcome]) -> list[Outcome]:
    return sorted(outcome for outcome in outcomes if outcome.reason.state is State.FAILED)


def _commonest(failed: Sequence[Outcome]) -> Reason:
    """Return the most frequent reason; of equally frequent ones the first of the table."""
    counts = Counter(outcome.reason for outcome in failed)
    return max(Reason, key=lambda reason: counts[reason])


def _conditions(
    report: Report, ready: Outcome, previous: Iterable[Condition], now: datetime
) -> tuple[Condition, ...]:
    before = {condition.type: condition for condition in previous}
    # A suspended sync is as its spec asks. If it were not Ready, `helm install --wait` would wait
    # for it forever.
    is_ready = ready.reason.state is State.READY
    stalled = ready.reason.heals is Heals.EDIT
    values = {"Ready": is_ready, "Reconciling": not is_ready and not stalled, "Stalled": stalled}
    conditions = (
        Condition(
            type=kind,
            status=str(value),
            reason=ready.reason.value,
            message=ready.message[:MESSAGE_LIMIT],
            observed_generation=report.generation,
            last_transition_time=now,
        )
        for kind, value in values.items()
    )
    return tuple(_since(condition, before.get(condition.type)) for condition in conditions)


def _since(condition: Condition, before: Condition | None) -> Condition:
    """Return a condition with the time when its status (True or False) last changed."""
    if before is None or before.status != condition.status:
        return condition
    return replace(condition, last_transition_time=before.last_transition_time)


def _source(report: Report, previous: ConfigMapSyncStatus) -> SourceStatus | None:
    """Return the source of the copies; keep the previous one if the source was not read."""
    if report.source is not None and report.digest is not None:
        return SourceStatus(resource_version=report.source.resource_version, digest=report.digest)
    was_read = report.verdict is None or report.verdict.reason is Reason.SOURCE_NOT_FOUND
    return None if was_read else previous.source
