"""Count syncs, copies and failures by state, and measure the propagation of edits.

`status.py` records every reconcile, `triggers.py` every edit of a source. The counts
come from reconciles, not from statuses: a status lists 20 failures and may be
impossible to write. Nothing here may hold a label that grows with the cluster.
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from prometheus_client import CollectorRegistry, Gauge, Histogram

from configmapsync.conditions import Report
from configmapsync.names import NamespacedName
from configmapsync.reasons import Heals, Reason, State
from configmapsync.status import ConfigMapSyncStatus
from reconciler.reports.metrics import BUCKETS_SECONDS

SYNCED, PROGRESSING, FAILED = STATES = ("synced", "progressing", "failed")

Tally = Counter[tuple[Gauge, str]]  # by gauge, and the word of its label


@dataclass(slots=True)
class Edit:
    """An edit of a source that has not reached every copy.

    Attributes:
        began: when the event arrived, in seconds on the event loop's clock.
        wrote: whether a copy was written since.
    """

    began: float
    wrote: bool = False


class StateMetrics:
    """Running totals over all syncs: a scrape costs the same for 10 syncs and for 10,000.

    A standby replica reconciles nothing and counts nothing, so sums over all replicas are right.
    """

    def __init__(self, registry: CollectorRegistry, now: Callable[[], float]) -> None:
        """Create empty statistics and register their metrics.

        Args:
            registry: of the process.
            now: the event loop's clock, in seconds.
        """
        self._now = now
        self._leading = False
        self._tallies: dict[NamespacedName, Tally] = {}
        self._edits: dict[NamespacedName, Edit] = {}
        self._propagation = Histogram(
            "configmapsync_propagation_seconds",
            "Time from the event of an edited source to the write of its last copy.",
            buckets=BUCKETS_SECONDS,
            registry=registry,
        )
        Gauge(
            "configmapsync_propagation_lag_seconds",
            "Age of the oldest edit of a source that has not reached every copy; 0 if none.",
            registry=registry,
        ).set_function(self.lag)
        self._syncs = Gauge(
            "configmapsync_syncs",
            "Syncs by the reason of their Ready condition, as last reconciled.",
            ["reason"],
            registry=registry,
        )
        self._copies = Gauge(
            "configmapsync_copies",
            "Wanted copies by state (synced, progressing, failed), as last reconciled.",
            ["state"],
            registry=registry,
        )
        self._failures = Gauge(
            "configmapsync_failures",
            "Failed destinations by reason; a sync that fails as a whole counts once.",
            ["reason"],
            registry=registry,
        )
        self._begin_at_zero()

    def _begin_at_zero(self) -> None:
        """Create every series, so that the first failure is an increase."""
        for state in STATES:
            self._copies.labels(state)
        for reason in Reason:
            self._syncs.labels(reason)
            if reason.state is State.FAILED:
                self._failures.labels(reason)

    def begin(self) -> None:
        """Measure edits from now on.

        Earlier events were the first list, or the work of another leader.
        """
        self._leading = True

    def edited(self, sync: NamespacedName) -> None:
        """Record an edit of the source of `sync`; the time counts from the oldest pending edit."""
        if self._leading:
            self._edits.setdefault(sync, Edit(self._now()))

    def note(self, sync: NamespacedName, report: Report, new: ConfigMapSyncStatus) -> None:
        """Record a reconcile and the status that follows from it, written or not."""
        self._replace(sync, self._tally(report, new))
        self._note_propagation(sync, report)

    def forget(self, sync: NamespacedName) -> None:
        """Drop the numbers of a sync that does not exist."""
        self._replace(sync, Counter())
        del self._tallies[sync]
        self._edits.pop(sync, None)

    def lag(self) -> float:
        """Return the age in seconds of the oldest edit that lacks copies; 0 if none does."""
        return max((self._now() - edit.began for edit in self._edits.values()), default=0.0)

    def _replace(self, sync: NamespacedName, tally: Tally) -> None:
        change = Counter(tally)
        change.subtract(self._tallies.get(sync, {}))
        for (gauge, word), number in change.items():
            if number:
                gauge.labels(word).inc(number)
        self._tallies[sync] = tally

    def _note_propagation(self, sync: NamespacedName, report: Report) -> None:
        """End the measurement of an edit once no outcome heals by a retry.

        A destination that needs an edit or an event is a failure and not a lag.
        """
        edit = self._edits.get(sync)
        if edit is None:
            return
        edit.wrote = edit.wrote or report.wrote
        if any(outcome.reason.heals is Heals.RETRY for outcome in report.outcomes):
            return
        del self._edits[sync]
        if edit.wrote:
            self._propagation.observe(self._now() - edit.began)

    def _tally(self, report: Report, new: ConfigMapSyncStatus) -> Tally:
        tally: Tally = Counter()
        if new.ready is not None:
            tally[self._syncs, new.ready.reason] += 1
        if counts := new.destinations:
            tally[self._copies, SYNCED] = counts.synced
            tally[self._copies, PROGRESSING] = max(
                counts.desired - counts.synced - counts.failed, 0
            )
            tally[self._copies, FAILED] = counts.failed
        for outcome in (report.verdict, *report.outcomes, *report.leftovers):
            if outcome is not None and outcome.reason.state is State.FAILED:
                tally[self._failures, outcome.reason] += 1
        return tally
