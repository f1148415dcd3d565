"""One status from many outcomes, in the terms of kstatus: Ready, Reconciling, Stalled.

`kubectl wait --for=condition=Ready`, Helm, Argo CD and Flux read these three. A status
depends on what was observed and done and on nothing else, so a world that stands still
gives the same status again, and none is written. `planning.py` makes the outcomes,
`reconciler/reports/status.py` writes what comes out here.

kstatus calls a resource InProgress if `status.observedGeneration` is not its generation
(the CRD's default of -1 never is), if Reconciling is True, or if Ready is False or
Unknown; Failed if Stalled is True; and Current otherwise. A suspended sync is in the
state that its spec asks for, and must be Current: `helm install --wait` would wait for
it forever. So its Ready condition is True, and its reason, Suspended, is what `kubectl
get` shows beside it. Flux leaves Ready as it was, which says nothing of a sync that
was created suspended.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from configmapsync.content import SourceObject, unmatched_keys
from configmapsync.plans import Outcome
from configmapsync.reasons import Heals, Reason, State
from configmapsync.resource import (
    MOST_LISTED_FAILURES,
    Condition,
    ConfigMapSyncStatus,
    DestinationCounts,
    DestinationFailure,
    KeySelection,
    SourceStatus,
)

MOST_FAILURES = MOST_LISTED_FAILURES
MOST_IDLE_KEYS = 3  # named in a message
MESSAGE_LIMIT = 1024  # the API allows 32 KiB for a condition; nobody reads that


@dataclass(frozen=True, slots=True)
class Report:
    """What one reconcile found and did: the input of a status.

    Attributes:
        generation: of the resource the reconcile worked on.
        previous: its status before; None where it has none.
        source: the source as observed; None where there is none.
        digest: the digest the copies must have; None without a source.
        outcomes: one for each destination that should have a copy.
        leftovers: what could not be removed where no copy should be.
        verdict: why the sync as a whole does not go on; None where it does.
        wrote: whether a copy was written.
        keys: the keys that the spec selects, to name those that the source lacks.
    """

    generation: int | None
    previous: ConfigMapSyncStatus | None
    source: SourceObject | None = None
    digest: str | None = None
    outcomes: tuple[Outcome, ...] = ()
    leftovers: tuple[Outcome, ...] = ()
    verdict: Outcome | None = None
    wrote: bool = False
    keys: tuple[KeySelection, ...] = ()


def status(report: Report, now: datetime) -> ConfigMapSyncStatus:
    """The status that `report` deserves. Times of the former status stay where nothing changed."""
    previous = report.previous or ConfigMapSyncStatus()
    ready = _readiness(report)
    counted = _counted(report) if _has_counted(report) else _kept(previous)
    return ConfigMapSyncStatus(
        observed_generation=report.generation,
        conditions=_conditions(report, ready, previous.conditions or (), now),
        source=_source(report, previous),
        destinations=counted.destinations,
        summary=counted.summary,
        failures=counted.failures,
        last_sync_time=now if report.wrote else previous.last_sync_time,
    )


@dataclass(frozen=True, slots=True)
class _Counted:
    """Counts, summary and failures of one observation, replaced or kept together."""

    destinations: DestinationCounts | None
    failures: tuple[DestinationFailure, ...]

    @property
    def summary(self) -> str | None:
        return (
            f"{self.destinations.synced}/{self.destinations.desired}" if self.destinations else None
        )


def _has_counted(report: Report) -> bool:
    """Whether the reconcile looked at destinations, which a verdict may have prevented."""
    return report.verdict is None or bool(report.outcomes or report.leftovers)


def _counted(report: Report) -> _Counted:
    failed = _failed((*report.outcomes, *report.leftovers))
    synced = sum(outcome.reason is Reason.SYNCED for outcome in report.outcomes)
    failures = tuple(
        DestinationFailure(
            namespace=outcome.namespace,
            reason=outcome.reason,
            message=outcome.message[:MESSAGE_LIMIT],
        )
        for outcome in failed[:MOST_FAILURES]
    )
    return _Counted(
        DestinationCounts(desired=len(report.outcomes), synced=synced, failed=len(failed)), failures
    )


def _kept(previous: ConfigMapSyncStatus) -> _Counted:
    """Keep what was counted before, unless counts and failures of an older version disagree."""
    counts = previous.destinations
    listed = min(counts.failed, MOST_FAILURES) if counts else 0
    return (
        _Counted(counts, previous.failures)
        if len(previous.failures) == listed
        else _Counted(None, ())
    )


def _readiness(report: Report) -> Outcome:
    """The one outcome that speaks for all."""
    if report.verdict is not None:
        return report.verdict
    waiting = [outcome for outcome in report.outcomes if outcome.reason.state is State.PENDING]
    failed = _failed((*report.outcomes, *report.leftovers))
    total = len(report.outcomes) + len(report.leftovers)
    if failed:
        return Outcome("", _commonest(failed), _failure_message(failed, total))
    if waiting:
        return Outcome(
            "", Reason.PROGRESSING, f"{total - len(waiting)} of {total} copies are up to date"
        )
    if not total:
        return Outcome("", Reason.SYNCED, "no namespace is selected")
    done = "1 copy is up to date" if total == 1 else f"all {total} copies are up to date"
    return Outcome("", Reason.SYNCED, "; ".join((done, *_idle_keys(report))))


def _idle_keys(report: Report) -> tuple[str, ...]:
    """Name the first selections of keys that match nothing, for example because of a typo."""
    idle = (
        unmatched_keys(report.keys, report.source.content.keys)
        if report.keys and report.source
        else ()
    )
    more = (f"and {len(idle) - MOST_IDLE_KEYS} more",) if len(idle) > MOST_IDLE_KEYS else ()
    return (*idle[:MOST_IDLE_KEYS], *more)


def _failed(outcomes: Iterable[Outcome]) -> list[Outcome]:
    return sorted(
        (outcome for outcome in outcomes if outcome.reason.state is State.FAILED),
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
    return (
        f"{len(failed)} of {total} destinations failed: {first.namespace}: {first.message}{others}"[
            :MESSAGE_LIMIT
        ]
    )


def _conditions(
    report: Report, ready: Outcome, previous: Iterable[Condition], now: datetime
) -> tuple[Condition, ...]:
    since = {condition.type: condition for condition in previous}
    is_ready = ready.reason.state is State.READY
    stalled = ready.reason.heals is Heals.EDIT
    values = (
        ("Ready", is_ready),
        ("Reconciling", not is_ready and not stalled),
        ("Stalled", stalled),
    )
    return tuple(
        _condition(kind, value, ready, report.generation, since.get(kind), now)
        for kind, value in values
    )


def _condition(
    kind: str,
    value: bool,
    why: Outcome,
    generation: int | None,
    previous: Condition | None,
    now: datetime,
) -> Condition:
    text = "True" if value else "False"
    unchanged = previous is not None and previous.status == text
    return Condition(
        type=kind,
        status=text,
        reason=why.reason,
        message=why.message[:MESSAGE_LIMIT],
        observed_generation=generation,
        last_transition_time=previous.last_transition_time
        if previous is not None and unchanged
        else now,
    )


def _source(report: Report, previous: ConfigMapSyncStatus) -> SourceStatus | None:
    """What the copies were made from; a sync that did not look at its source says what it said before."""
    if report.source is not None and report.digest is not None:
        return SourceStatus(resource_version=report.source.resource_version, digest=report.digest)
    looked = report.verdict is None or report.verdict.reason is Reason.SOURCE_NOT_FOUND
    return None if looked else previous.source
