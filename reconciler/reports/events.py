"""Emit events on syncs and on their copies, for people.

`applier.py` reports each write, `status.py` each written status. An event on a copy is
in the namespace of the copy. The number of events is limited, because a sync can have a
thousand copies, and a namespace a thousand syncs.
"""

from collections import OrderedDict
from collections.abc import Callable

import structlog

from cluster.syncs import SyncRecord
from configmapsync.copies import CopyRecord
from configmapsync.names import API_VERSION, KIND, NamespacedName
from configmapsync.plans import Verb, Write
from configmapsync.reasons import Reason, Scope, State
from configmapsync.status import ConfigMapSyncStatus
from kube.event_correlator import ObjectReference
from kube.events import EventRecorder
from reconciler.known.caches import Caches

MOST_EVENTS = 20  # within the period
PERIOD_SECONDS = 300.0
RELEASED = "Released"  # in no condition: a released ConfigMap is no longer a copy


class Events:
    """Emits the events on all syncs and their copies."""

    def __init__(self, recorder: EventRecorder, caches: Caches, now: Callable[[], float]) -> None:
        """Create an emitter.

        Args:
            recorder: sends the events.
            caches: hold the UIDs of the ConfigMaps.
            now: the event loop's clock, in seconds.
        """
        self._recorder = recorder
        self._caches = caches
        self._now = now
        # For the events on the copies of a sync, and for the Normal events on the syncs of a
        # namespace: when the period began and how many events were asked for, the oldest first.
        self._asked: OrderedDict[NamespacedName | str, tuple[float, int]] = OrderedDict()
        self._log = structlog.get_logger("reporter")

    def wrote(self, sync: NamespacedName, write: Write, *, repaired: bool) -> None:
        """Emit an event for a release or a repair; other writes only follow the source.

        Args:
            sync: the sync that the write was made for.
            write: the write.
            repaired: whether the write restored what something else had changed.
        """
        if write.verb is Verb.RELEASE:
            reason, action, record = RELEASED, "Release", write.record
            message = f"released by ConfigMapSync {sync}, its data stays: {write.cause}"
        elif repaired and write.template is not None:
            reason, action = Reason.SYNCED, "Repair"
            record = self._caches.configmap_at(write.key)
            message = f"repaired by ConfigMapSync {sync}: {write.cause}"
        else:
            return
        if self._may_emit(sync):
            reference = _reference(write.key, record)
            self._recorder.emit(reference, "Normal", reason, message, action)

    def status_changed(
        self, record: SyncRecord, previous: ConfigMapSyncStatus | None, new: ConfigMapSyncStatus
    ) -> None:
        """Log a changed Ready condition, and emit the events.

        A Warning reports a failure whose reason or message changed. A Normal event reports another
        reason: the first success, a delay or a recovery. A status that only counts further, or
        follows an edit, emits no event. Of many syncs in a namespace only some emit Normal events.

        Args:
            record: the sync.
            previous: its status before; None if it had none.
            new: its status now.
        """
        self._report_failures(record, previous, new)
        before, after = previous.ready if previous else None, new.ready
        reason_before = before.reason if before else None
        if after is None or (
            before and (before.reason, before.message) == (after.reason, after.message)
        ):
            return
        self._log.info(
            "status changed",
            sync=str(record.key),
            ready=after.status,
            reason=after.reason,
            message=after.message,
        )
        reason = Reason.parse(after.reason)
        reference = ObjectReference(
            API_VERSION, KIND, record.namespace, record.name, record.metadata.uid
        )
        if reason is not None and reason.state is State.FAILED:
            self._recorder.emit(reference, "Warning", after.reason, after.message)
        elif reason_before != after.reason and self._may_emit(record.namespace):
            self._recorder.emit(reference, "Normal", after.reason, after.message)

    def _report_failures(
        self, record: SyncRecord, previous: ConfigMapSyncStatus | None, new: ConfigMapSyncStatus
    ) -> None:
        """Emit an event on each ConfigMap that fails for another reason than before."""
        if record.sync is None:
            return
        failures = previous.failures if previous else ()
        known = {(failure.namespace, failure.reason) for failure in failures}
        for failure in new.failures:
            reason = Reason.parse(failure.reason)
            is_new = (failure.namespace, failure.reason) not in known
            is_of_copy = reason is not None and reason.scope is Scope.CONFIGMAP
            if is_new and is_of_copy and self._may_emit(record.key):
                key = NamespacedName(failure.namespace, record.sync.destination_name)
                reference = _reference(key, self._caches.configmap_at(key))
                message = f"ConfigMapSync {record.key}: {failure.message}"
                self._recorder.emit(reference, "Warning", failure.reason, message, "Sync")

    def _may_emit(self, key: NamespacedName | str) -> bool:
        """Return whether one more event of `key` may be emitted in its period, and count it."""
        now = self._now()
        while self._asked and now - next(iter(self._asked.values()))[0] >= PERIOD_SECONDS:
            self._asked.popitem(last=False)
        since, count = self._asked.get(key, (now, 0))
        self._asked[key] = (since, count + 1)
        return count < MOST_EVENTS


def _reference(key: NamespacedName, record: CopyRecord | None) -> ObjectReference:
    uid = record.uid if record else ""
    return ObjectReference("v1", "ConfigMap", key.namespace, key.name, uid)
