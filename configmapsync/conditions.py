"""One status from many outcomes, in the terms of kstatus: Ready, Reconciling, Stalled.

`kubectl wait --for=condition=Ready`, Argo CD and Flux read these three. A status depends on what was observed and done and on nothing
else, so a world that stands still gives the same status again, and none is written. `planning.py` makes the outcomes,
`reconciler/reporter.py` writes what comes out here.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from configmapsync.content import SourceObject
from configmapsync.planning import Outcome
from configmapsync.reasons import Reason
from configmapsync.resource import (
    Condition,
    ConfigMapSyncStatus,
    DestinationCounts,
    DestinationFailure,
    SourceStatus,
)

MOST_FAILURES = 20  # what a person reads; the counts tell the rest
MESSAGE_LIMIT = 1024  # the API allows 32 KiB for a condition; nobody reads that

STALLED = frozenset(
    {
        Reason.INVALID_SPEC,
        Reason.LOOP_DETECTED,
        Reason.DESTINATION_CONFLICT,
        Reason.DESTINATION_CONTESTED,
        Reason.TOO_LARGE,
    }
)  # only a person's edit helps; everything else the reconciler tries again by itself


@dataclass(frozen=True, slots=True)
class Report:
    """What one reconcile found and did: the input of a status.

    Attributes:
        generation: of the resource the reconcile worked on.
        former: its status before; None where it has none.
        source: the source as observed; None where there is none.
        digest: the digest the copies must have; None without a source.
        outcomes: one for each destination that should have a copy.
        leftovers: what could not be removed where no copy should be.
        verdict: why the sync as a whole does not go on; None where it does.
        wrote: whether a copy was written.
    """

    generation: int | None
    former: ConfigMapSyncStatus | None
    source: SourceObject | None = None
    digest: str | None = None
    outcomes: tuple[Outcome, ...] = ()
    leftovers: tuple[Outcome, ...] = ()
    verdict: Outcome | None = None
    wrote: bool = False


def status(report: Report, now: datetime) -> ConfigMapSyncStatus:
    """The status that `report` deserves. Times of the former status stay where nothing changed."""
    former = report.former or ConfigMapSyncStatus()
    ready = _readiness(report)
    failed = _failed((*report.outcomes, *report.leftovers))
    synced = sum(outcome.reason is Reason.SYNCED for outcome in report.outcomes)
    desired = len(report.outcomes)
    known = (
        report.outcomes or report.verdict is None
    )  # a verdict without outcomes counted nothing: keep what was counted
    counts = DestinationCounts(desired=desired, synced=synced, failed=len(failed)) if known else former.destinations
    return ConfigMapSyncStatus(
        observed_generation=report.generation,
        conditions=_conditions(report, ready, former.conditions or (), now),
        source=_source(report, former),
        destinations=counts,
        summary=f"{counts.synced}/{counts.desired}" if counts else None,
        failures=tuple(
            DestinationFailure(
                namespace=outcome.namespace, reason=outcome.reason, message=outcome.message[:MESSAGE_LIMIT]
            )
            for outcome in failed[:MOST_FAILURES]
        ),
        last_sync_time=now if report.wrote else former.last_sync_time,
    )


def _readiness(report: Report) -> Outcome:
    """The one outcome that speaks for all."""
    if report.verdict is not None:
        return report.verdict
    waiting = [outcome for outcome in report.outcomes if outcome.reason is Reason.PROGRESSING]
    failed = _failed((*report.outcomes, *report.leftovers))
    total = len(report.outcomes) + len(report.leftovers)
    if failed:
        return Outcome("", _commonest(failed), _failure_message(failed, total))
    if waiting:
        return Outcome("", Reason.PROGRESSING, f"{total - len(waiting)} of {total} copies are up to date")
    if not total:
        return Outcome("", Reason.SYNCED, "no namespace is selected")
    return Outcome("", Reason.SYNCED, "1 copy is up to date" if total == 1 else f"all {total} copies are up to date")


def _failed(outcomes: Iterable[Outcome]) -> list[Outcome]:
    fine = {Reason.SYNCED, Reason.PROGRESSING}
    return sorted(
        (outcome for outcome in outcomes if outcome.reason not in fine),
        key=lambda outcome: (outcome.namespace, outcome.reason, outcome.message),
    )


def _commonest(failed: Sequence[Outcome]) -> Reason:
    """The reason most destinations share; among equals the first in the order of the reason words."""
    order = list(Reason)
    counts = Counter(outcome.reason for outcome in failed)
    return min(counts, key=lambda reason: (-counts[reason], order.index(reason)))


def _failure_message(failed: Sequence[Outcome], total: int) -> str:
    first = failed[0]
    others = f" (and {len(failed) - 1} more, see status.failures)" if len(failed) > 1 else ""
    return f"{len(failed)} of {total} destinations failed: {first.namespace}: {first.message}{others}"[:MESSAGE_LIMIT]


def _conditions(report: Report, ready: Outcome, former: Iterable[Condition], now: datetime) -> tuple[Condition, ...]:
    since = {condition.type: condition for condition in former}
    is_ready = ready.reason is Reason.SYNCED
    stalled = ready.reason in STALLED
    suspended = ready.reason is Reason.SUSPENDED
    values = (
        ("Ready", is_ready),
        ("Reconciling", not is_ready and not stalled and not suspended),
        ("Stalled", stalled),
    )
    return tuple(_condition(kind, value, ready, report.generation, since.get(kind), now) for kind, value in values)


def _condition(
    kind: str, value: bool, why: Outcome, generation: int | None, former: Condition | None, now: datetime
) -> Condition:
    text = "True" if value else "False"
    unchanged = former is not None and former.status == text
    return Condition(
        type=kind,
        status=text,
        reason=why.reason,
        message=why.message[:MESSAGE_LIMIT],
        observed_generation=generation,
        last_transition_time=former.last_transition_time if former is not None and unchanged else now,
    )


def _source(report: Report, former: ConfigMapSyncStatus) -> SourceStatus | None:
    """What the copies were made from; a sync that did not look at its source says what it said before."""
    if report.source is not None and report.digest is not None:
        return SourceStatus(resource_version=report.source.resource_version, digest=report.digest)
    looked = report.verdict is None or report.verdict.reason is Reason.SOURCE_NOT_FOUND
    return None if looked else former.source
