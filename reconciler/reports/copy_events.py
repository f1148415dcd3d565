"""Emit events on copies, in their own namespaces: repairs, releases and new failures.

`applier.py` reports writes, `status.py` reports failures. Each sync may emit a few
events in five minutes, because a sync can have a thousand copies. Events on the sync
itself are in `status.py`.
"""

from collections.abc import Iterable

from configmapsync.copies import CopyRecord
from configmapsync.names import NamespacedName
from configmapsync.plans import Verb, Write
from configmapsync.reasons import Reason, Scope
from configmapsync.resource import DestinationFailure
from kube.events import EventRecorder, ObjectReference
from reconciler.known.caches import Caches
from reconciler.reports.event_budget import EventBudget

RELEASED = "Released"  # in no condition: a released ConfigMap is no longer a copy


class CopyEvents:
    """Emits the events on the copies of all syncs."""

    def __init__(self, events: EventRecorder, caches: Caches, budget: EventBudget) -> None:
        """Create an emitter.

        Args:
            events: sends the events.
            caches: hold the UIDs of the ConfigMaps.
            budget: limits the events on the copies of each sync.
        """
        self._events = events
        self._caches = caches
        self._budget = budget

    def wrote(self, sync: NamespacedName, write: Write, *, repaired: bool) -> None:
        """Emit an event for a release or a repair; other writes only follow the source.

        Args:
            sync: the sync that the write was made for.
            write: the write.
            repaired: whether the write restored what something else had changed.
        """
        if write.verb is Verb.RELEASE:
            message = f"released by ConfigMapSync {sync}, its data stays: {write.cause}"
            reference = self._reference(write.key, write.record)
            self._emit(sync, reference, "Normal", RELEASED, message, "Release")
        elif repaired and write.template is not None:
            message = f"repaired by ConfigMapSync {sync}: {write.cause}"
            self._emit(sync, self._reference(write.key), "Normal", Reason.SYNCED, message, "Repair")

    def failing(
        self,
        sync: NamespacedName,
        name: str,
        before: Iterable[DestinationFailure],
        after: Iterable[DestinationFailure],
    ) -> None:
        """Emit an event for each destination that fails for another reason than before.

        Args:
            sync: the sync.
            name: of its copies.
            before: the failures in its previous status.
            after: the failures in its new status.
        """
        known = {(failure.namespace, failure.reason) for failure in before}
        for failure in after:
            reason = Reason.parse(failure.reason)
            if (failure.namespace, failure.reason) in known or reason is None:
                continue
            if reason.scope is Scope.CONFIGMAP:
                message = f"ConfigMapSync {sync}: {failure.message}"
                reference = self._reference(NamespacedName(failure.namespace, name))
                self._emit(sync, reference, "Warning", failure.reason, message, "Sync")

    def _emit(
        self,
        sync: NamespacedName,
        reference: ObjectReference,
        kind: str,
        reason: str,
        message: str,
        action: str,
    ) -> None:
        if self._budget.take(sync):
            self._events.emit(reference, kind, reason, message, action)

    def _reference(self, key: NamespacedName, record: CopyRecord | None = None) -> ObjectReference:
        record = record or self._caches.configmap_at(key)
        uid = record.uid if record else ""
        return ObjectReference("v1", "ConfigMap", key.namespace, key.name, uid)
