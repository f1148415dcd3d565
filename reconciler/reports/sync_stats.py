"""How every sync stands by the last reconcile of it: the numbers behind the metrics of state, and the clock of propagation.

They come from what a reconcile found, not from the statuses in the cluster: a status lists only the first twenty failures, and one
that could not be written must not look like a sync that is well. `reporter.py` notes, `triggers.py` starts the clock, `app.py` has the
numbers read. A replica that stands by reconciles nothing and counts nothing, so the sum over all replicas is right.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from configmapsync.conditions import Report
from configmapsync.names import NamespacedName
from configmapsync.reasons import Heals, Reason, State
from configmapsync.resource import ConfigMapSyncStatus

FAILURES = tuple(reason for reason in Reason if reason.state is State.FAILED)
SYNCED, PROGRESSING, FAILED = STATES = ("synced", "progressing", "failed")

Tally = Counter[tuple[str, str]]  # what is counted and the word it is counted under -> how many


@dataclass(slots=True)
class Edit:
    """An edit of a source that has not reached every copy yet."""

    began: float  # on the event loop's clock
    wrote: bool = False


class SyncStats:
    """All syncs in numbers, kept as running totals: a scrape costs the same with ten thousand syncs as with ten."""

    def __init__(self, now: Callable[[], float], propagated: Callable[[float], None]) -> None:
        """Begin with nothing.

        Args:
            now: the event loop's clock.
            propagated: is told how many seconds an edit needed to reach the last copy.
        """
        self._now = now
        self._propagated = propagated
        self._working = False
        self._tallies: dict[NamespacedName, Tally] = {}
        self._totals: Tally = Counter()
        self._edits: dict[NamespacedName, Edit] = {}

    def begin(self) -> None:
        """Work begins: what was heard until now is a first list, or was another replica's to carry out."""
        self._working = True

    def edited(self, sync: NamespacedName) -> None:
        """The source of `sync` has changed. Of several edits on their way together the first counts: since then copies lag behind."""
        if self._working:
            self._edits.setdefault(sync, Edit(self._now()))

    def note(self, sync: NamespacedName, report: Report, new: ConfigMapSyncStatus) -> None:
        """Take down what a reconcile found and did, and the status it deserves, written or not."""
        self._replace(sync, _tally(report, new))
        self._note_propagation(sync, report)

    def forget(self, sync: NamespacedName) -> None:
        """A sync is gone."""
        self._replace(sync, Counter())
        del self._tallies[sync]
        self._edits.pop(sync, None)

    def syncs(self) -> Mapping[str, int]:
        """Syncs by the reason of Ready."""
        return self._read("syncs", Reason)

    def copies(self) -> Mapping[str, int]:
        """Wanted copies by state."""
        return self._read("copies", STATES)

    def failures(self) -> Mapping[str, int]:
        """What fails, by reason: each destination, and once each sync that fails as a whole."""
        return self._read("failures", FAILURES)

    def lag(self) -> float:
        """Seconds since the oldest edit that has not reached every copy; 0 where there is none."""
        return max((self._now() - edit.began for edit in self._edits.values()), default=0.0)

    def _replace(self, sync: NamespacedName, tally: Tally) -> None:
        self._totals.subtract(self._tallies.get(sync, {}))
        self._totals.update(tally)
        self._tallies[sync] = tally

    def _read(self, what: str, words: Iterable[str]) -> Mapping[str, int]:
        return {word: self._totals[what, word] for word in words}

    def _note_propagation(self, sync: NamespacedName, report: Report) -> None:
        """An edit has arrived when nothing is under way any more; a copy that waits for a person is a failure, and no lag."""
        edit = self._edits.get(sync)
        if edit is None:
            return
        edit.wrote = edit.wrote or report.wrote
        if any(outcome.reason.heals is Heals.RETRY for outcome in report.outcomes):
            return
        del self._edits[sync]
        if edit.wrote:
            self._propagated(self._now() - edit.began)


def _tally(report: Report, new: ConfigMapSyncStatus) -> Tally:
    """One sync in numbers."""
    tally: Tally = Counter()
    for condition in new.conditions:
        if condition.type == "Ready":
            tally["syncs", condition.reason] += 1
    if counts := new.destinations:
        waiting = max(counts.desired - counts.synced - counts.failed, 0)
        for state, number in (
            (SYNCED, counts.synced),
            (PROGRESSING, waiting),
            (FAILED, counts.failed),
        ):
            tally["copies", state] += number
    verdict = (report.verdict,) if report.verdict is not None else ()
    for outcome in (*verdict, *report.outcomes, *report.leftovers):
        if outcome.reason.state is State.FAILED:
            tally["failures", outcome.reason] += 1
    return tally
