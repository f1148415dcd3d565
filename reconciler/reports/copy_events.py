"""Events on copies: who looks after a namespace is told there what was done to a ConfigMap of theirs, and what is wrong with one.

Such an event regards the ConfigMap, in its own namespace. A thousand copies are not a thousand events: each sync may tell a few in five
minutes, and its status lists what fails. What is told of the sync itself is `reporter.py`'s.
"""

from collections.abc import Callable, Iterable
from typing import NamedTuple

from configmapsync.copies import CopyRecord
from configmapsync.names import NamespacedName
from configmapsync.plans import Verb, Write
from configmapsync.reasons import Reason, Scope
from configmapsync.resource import DestinationFailure
from kube.events import EventRecorder, ObjectReference

MOST = 20  # events on the copies of one sync
PERIOD = 300.0  # in so many seconds
RELEASED = "Released"  # in no condition: a ConfigMap that was let go is no copy any more

SyncStats = Callable[[NamespacedName], CopyRecord | None]


class Told(NamedTuple):
    """What an event says."""

    kind: str  # Normal or Warning
    reason: str
    message: str
    action: str


class CopyEvents:
    """Tells of the copies of all syncs."""

    def __init__(
        self, events: EventRecorder, configmap_at: SyncStats, now: Callable[[], float]
    ) -> None:
        """Begin with nothing told.

        Args:
            events: sends them.
            configmap_at: the ConfigMap at a place, ours or not, as far as it is known.
            now: the event loop's clock.
        """
        self._events = events
        self._configmap_at = configmap_at
        self._now = now
        self._told: dict[NamespacedName, tuple[float, int]] = {}  # since when, and how many

    def wrote(self, sync: NamespacedName, write: Write, *, repaired: bool) -> None:
        """Tell of a write where it is news to who looks after the namespace: a repair of what they changed, or that something is theirs again."""
        if write.verb is Verb.RELEASE:
            message = (
                f"it is no copy of ConfigMapSync {sync} any more, and its data stays: {write.cause}"
            )
            self._tell(sync, write.key, Told("Normal", RELEASED, message, "Release"), write.record)
        elif repaired and write.template is not None:
            message = f"it was put right for ConfigMapSync {sync}: {write.cause}"
            self._tell(sync, write.key, Told("Normal", Reason.SYNCED, message, "Repair"))

    def failing(
        self,
        sync: NamespacedName,
        name: str,
        before: Iterable[DestinationFailure],
        after: Iterable[DestinationFailure],
    ) -> None:
        """Destinations that fail in a way in which they did not before."""
        known = {(failure.namespace, failure.reason) for failure in before}
        for failure in after:
            reason = Reason.parse(failure.reason)
            if (failure.namespace, failure.reason) in known or reason is None:
                continue
            if reason.scope is Scope.CONFIGMAP:
                message = f"ConfigMapSync {sync}: {failure.message}"
                place = NamespacedName(failure.namespace, name)
                self._tell(sync, place, Told("Warning", failure.reason, message, "Sync"))

    def forget(self, sync: NamespacedName) -> None:
        """A sync is gone."""
        self._told.pop(sync, None)

    def _tell(
        self,
        sync: NamespacedName,
        place: NamespacedName,
        told: Told,
        record: CopyRecord | None = None,
    ) -> None:
        if not self._may_tell(sync):
            return
        record = record or self._configmap_at(place)
        reference = ObjectReference(
            "v1", "ConfigMap", place.namespace, place.name, record.uid if record else ""
        )
        self._events.emit(reference, told.kind, told.reason, told.message, told.action)

    def _may_tell(self, sync: NamespacedName) -> bool:
        now = self._now()
        since, told = self._told.get(sync, (now, 0))
        if now - since >= PERIOD:
            since, told = now, 0
        self._told[sync] = (since, told + 1)
        return told < MOST
