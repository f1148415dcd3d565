"""Emit events on syncs, and on the copies that fail: what is news for people.

`status.py` calls it after each written status. A status that only counts further, or
follows an edit, emits no event.
"""

from collections.abc import Iterable

import structlog

from cluster.syncs import SyncRecord
from configmapsync.names import API_VERSION, KIND
from configmapsync.reasons import Reason, State
from configmapsync.resource import Condition, ConfigMapSyncStatus
from kube.events import EventRecorder, ObjectReference
from reconciler.reports.copy_events import CopyEvents
from reconciler.reports.event_budget import EventBudget


class SyncEvents:
    """Compares the statuses of a sync."""

    def __init__(self, events: EventRecorder, copy_events: CopyEvents, budget: EventBudget) -> None:
        """Create an emitter.

        Args:
            events: sends the events.
            copy_events: emits the events on copies that fail.
            budget: limits the Normal events on the syncs of each namespace.
        """
        self._events = events
        self._copy_events = copy_events
        self._budget = budget
        self._log = structlog.get_logger("reporter")

    def emit(
        self, record: SyncRecord, previous: ConfigMapSyncStatus | None, new: ConfigMapSyncStatus
    ) -> None:
        """Log a changed Ready condition, and emit the events.

        A Warning reports each new failure. A Normal event reports another reason: the first
        success, a delay or a recovery. Of many syncs in a namespace only some emit Normal events.

        Args:
            record: the sync.
            previous: its status before; None if it had none.
            new: its status now.
        """
        if record.sync is not None:
            failures = previous.failures if previous else ()
            name = record.sync.destination_name
            self._copy_events.failing(record.key, name, failures, new.failures)
        before, after = _ready(previous.conditions if previous else ()), _ready(new.conditions)
        reason_before, message_before = (before.reason, before.message) if before else (None, None)
        if after is None or (reason_before, message_before) == (after.reason, after.message):
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
            self._events.emit(reference, "Warning", after.reason, after.message)
        elif reason_before != after.reason and self._budget.take(record.namespace):
            self._events.emit(reference, "Normal", after.reason, after.message)


def _ready(conditions: Iterable[Condition]) -> Condition | None:
    return next((condition for condition in conditions if condition.type == "Ready"), None)
