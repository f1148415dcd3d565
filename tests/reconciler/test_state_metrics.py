"""State metrics are those of the last reconcile.

The propagation time of an edit runs from its event to its last copy.
"""

from datetime import UTC, datetime

import pytest
from prometheus_client import CollectorRegistry

from configmapsync.conditions import status
from configmapsync.names import NamespacedName
from configmapsync.reasons import Outcome, Reason
from reconciler.reports.state_metrics import StateMetrics
from tests.configmapsync.objects import report

NOW = datetime(2030, 1, 1, tzinfo=UTC)
SYNC = NamespacedName("home", "sync")
OTHER = NamespacedName("home", "other")


class MovableClock:
    """A clock that the test moves, and the measured times."""

    def __init__(self) -> None:
        self.now = 100.0
        self._registry = CollectorRegistry()
        self.state_metrics = StateMetrics(self._registry, lambda: self.now)

    @property
    def measured(self) -> tuple[float | None, float | None]:
        """The number of measured edits and their total seconds."""
        name = "configmapsync_propagation_seconds"
        count = self._registry.get_sample_value(f"{name}_count")
        return count, self._registry.get_sample_value(f"{name}_sum")

    def counted(self, what: str) -> dict[str, float]:
        """The values of one gauge other than 0, by the word of its label."""
        return {
            word: sample.value
            for metric in self._registry.collect()
            if metric.name == f"configmapsync_{what}"
            for sample in metric.samples
            for word in sample.labels.values()
            if sample.value
        }

    def reconciled(
        self, *reasons: Reason, sync: NamespacedName = SYNC, wrote: bool = False
    ) -> None:
        outcomes = tuple(
            Outcome(f"namespace-{number}", reason) for number, reason in enumerate(reasons)
        )
        made = report(outcomes=outcomes, wrote=wrote)
        self.state_metrics.note(sync, made, status(made, NOW))

    def refused(self, reason: Reason) -> None:
        made = report(verdict=Outcome("", reason))
        self.state_metrics.note(SYNC, made, status(made, NOW))


@pytest.fixture
def made() -> MovableClock:
    made = MovableClock()
    made.state_metrics.begin()
    return made


def test_an_edit_is_measured_to_the_last_copy_over_as_many_reconciles_as_it_takes(
    made: MovableClock,
) -> None:
    made.state_metrics.edited(SYNC)
    made.now += 2
    made.reconciled(Reason.SYNCED, Reason.PROGRESSING, wrote=True)
    assert (made.measured, made.state_metrics.lag()) == ((0, 0), 2.0)
    made.now += 3
    made.reconciled(Reason.SYNCED, Reason.SYNCED)
    assert (made.measured, made.state_metrics.lag()) == ((1, 5.0), 0.0)


def test_the_first_of_overlapping_edits_is_measured(made: MovableClock) -> None:
    made.state_metrics.edited(SYNC)
    made.now += 2
    made.state_metrics.edited(SYNC)
    made.now += 1
    made.reconciled(Reason.SYNCED, wrote=True)
    assert made.measured == (1, 3.0)


def test_an_edit_that_changes_no_copy_is_no_propagation(made: MovableClock) -> None:
    made.state_metrics.edited(SYNC)
    made.reconciled(Reason.SYNCED)
    assert (made.measured, made.state_metrics.lag()) == ((0, 0), 0.0)


def test_a_failing_write_is_lag_and_a_taken_destination_is_not(made: MovableClock) -> None:
    made.state_metrics.edited(SYNC)
    made.state_metrics.edited(OTHER)
    made.now += 1
    made.reconciled(Reason.SYNCED, Reason.WRITE_FAILED, wrote=True)
    made.reconciled(Reason.SYNCED, Reason.DESTINATION_CONFLICT, wrote=True, sync=OTHER)
    assert made.measured == (1, 1.0)
    made.now += 60
    assert made.state_metrics.lag() == 61.0


def test_a_replica_that_stands_by_measures_nothing() -> None:
    made = MovableClock()
    made.state_metrics.edited(SYNC)
    made.now += 1000
    assert made.state_metrics.lag() == 0.0
    made.state_metrics.begin()
    made.reconciled(Reason.SYNCED, wrote=True)
    assert made.measured == (0, 0)


def test_every_failure_is_counted_beyond_those_that_a_status_lists(made: MovableClock) -> None:
    made.reconciled(
        *[Reason.WRITE_FAILED] * 30,
        *[Reason.DESTINATION_CONFLICT] * 2,
        Reason.SYNCED,
        Reason.PROGRESSING,
    )
    assert made.counted("failures") == {"WriteFailed": 30, "DestinationConflict": 2}
    assert made.counted("copies") == {"failed": 32, "synced": 1, "progressing": 1}
    assert made.counted("syncs") == {"WriteFailed": 1}


@pytest.mark.parametrize(
    "reason", [Reason.SOURCE_NOT_FOUND, Reason.NOT_AUTHORIZED, Reason.INVALID_SPEC]
)
def test_a_sync_with_one_reason_for_all_copies_is_a_failure(
    made: MovableClock, reason: Reason
) -> None:
    made.refused(reason)
    assert made.counted("failures") == {str(reason): 1}
    assert made.counted("syncs") == {str(reason): 1}


def test_a_sync_is_counted_once_until_it_is_deleted(
    made: MovableClock,
) -> None:
    made.reconciled(Reason.WRITE_FAILED)
    made.reconciled(Reason.SYNCED)
    made.reconciled(Reason.SYNCED, sync=OTHER)
    assert made.counted("syncs") == {"Synced": 2}
    assert made.counted("failures") == {}
    made.state_metrics.edited(SYNC)
    made.state_metrics.forget(SYNC)
    made.state_metrics.forget(NamespacedName("never", "seen"))
    assert made.counted("copies") == {"synced": 1}
    assert made.state_metrics.lag() == 0.0
