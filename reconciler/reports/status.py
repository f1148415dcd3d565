"""Says what happened: the status of a sync, written only when it changed, and an event when it means something new.

The words are those of `configmapsync/conditions.py`; this module only compares, writes and remembers what it wrote.
"""

from collections.abc import Callable, Iterable
from datetime import datetime

import msgspec
import structlog

from cluster.syncs import SyncRecord, read_sync
from configmapsync.conditions import Report, status
from configmapsync.names import API_VERSION, FINALIZER, GROUP, KIND, PLURAL, NamespacedName
from configmapsync.reasons import Reason, State
from configmapsync.resource import Condition, ConfigMapSyncStatus
from kube.connection import MERGE_PATCH, Connection
from kube.errors import NotFound
from kube.events import EventRecorder, ObjectReference
from kube.informer import Informer
from kube.rbac import Rule
from reconciler.reports.copy_events import CopyEvents
from reconciler.reports.metrics import Metrics
from reconciler.reports.sync_stats import SyncStats

RULES = (
    Rule(PLURAL, ("patch",), group=GROUP, why="our finalizer"),
    Rule(f"{PLURAL}/status", ("patch",), group=GROUP),
)
FIELD_MANAGER = {"fieldManager": "configmapsync"}


class Reporter:
    """Writes statuses, events and our finalizer: everything that is said on the ConfigMapSync itself."""

    def __init__(
        self,
        connection: Connection,
        syncs: Informer[SyncRecord],
        *,
        events: EventRecorder,
        copy_events: CopyEvents,
        metrics: Metrics,
        standing: SyncStats,
        clock: Callable[[], datetime],
    ) -> None:
        self._connection = connection
        self._syncs = syncs
        self._events = events
        self._copy_events = copy_events
        self._metrics = metrics
        self._standing = standing
        self._clock = clock
        self._log = structlog.get_logger("reporter")

    def compose(self, record: SyncRecord, report: Report) -> ConfigMapSyncStatus:
        """Put what is to be said into a status, and count it: what the metrics tell need not wait for the writing."""
        new = status(report, self._clock())
        self._standing.note(record.key, report, new)
        return new

    async def report(self, record: SyncRecord, new: ConfigMapSyncStatus) -> None:
        """Write a status, and tell what is new in it.

        Raises:
            Conflict: someone else changed the object; look again.
            ApiError: the status could not be written.
        """
        await self._write_status(record, new)
        self._tell(record, record.status, new)

    def forget(self, sync: NamespacedName) -> None:
        """There is nothing to say of a sync that is gone."""
        self._standing.forget(sync)
        self._copy_events.forget(sync)

    async def set_finalizer(self, record: SyncRecord, *, present: bool) -> SyncRecord | None:
        """Put our finalizer on, or take it off; nobody else's is touched.

        Returns:
            The record as it is now; None where the object went with its last finalizer.

        Raises:
            Conflict: someone else changed the object; look again.
        """
        others = [finalizer for finalizer in record.metadata.finalizers if finalizer != FINALIZER]
        metadata = {
            **_precondition(record),
            "finalizers": [*others, FINALIZER] if present else others,
        }
        try:
            answer = await self._patch(record.key, "", {"metadata": metadata})
        except NotFound:
            return None
        return self._remember(answer, record)

    async def _write_status(self, record: SyncRecord, new: ConfigMapSyncStatus) -> None:
        document = new.model_dump(
            mode="json", by_alias=True
        )  # with nulls: a merge patch removes what is null
        try:
            answer = await self._patch(
                record.key, "/status", {"metadata": _precondition(record), "status": document}
            )
        except NotFound:
            return  # it went while we worked; there is nobody to tell
        self._metrics.wrote_status()
        self._remember(answer, record)

    async def _patch(
        self, key: NamespacedName, subresource: str, patch: dict[str, object]
    ) -> bytes:
        path = f"/apis/{API_VERSION}/namespaces/{key.namespace}/{PLURAL}/{key.name}{subresource}"
        return await self._connection.request(
            "PATCH",
            path,
            params=FIELD_MANAGER,
            body=msgspec.json.encode(patch),
            content_type=MERGE_PATCH,
        )

    def _remember(self, answer: bytes, previous: SyncRecord) -> SyncRecord:
        """Our own write is no news: the cache has it before the watch brings it."""
        record = read_sync(answer, previous.protected, lambda _key: previous)
        self._syncs.record(record)
        return record

    def _tell(
        self, record: SyncRecord, previous: ConfigMapSyncStatus | None, new: ConfigMapSyncStatus
    ) -> None:
        """Log and send an event where the readiness changed or copies were written, and one on each copy that fails anew."""
        if record.sync is not None:
            failures = previous.failures if previous else ()
            self._copy_events.failing(
                record.key, record.sync.destination_name, failures, new.failures
            )
        before = _ready(previous.conditions if previous else ())
        after = _ready(new.conditions)
        if after is None:
            return
        changed = before is None or (before.status, before.reason, before.message) != (
            after.status,
            after.reason,
            after.message,
        )
        written = new.last_sync_time != (previous.last_sync_time if previous else None)
        if not changed and not written:
            return
        reason = Reason.parse(after.reason)
        self._log.info(
            "reported",
            sync=str(record.key),
            ready=after.status,
            reason=after.reason,
            message=after.message,
        )
        self._events.emit(
            ObjectReference(
                api_version=API_VERSION,
                kind=KIND,
                namespace=record.namespace,
                name=record.name,
                uid=record.metadata.uid,
            ),
            "Warning" if reason is not None and reason.state is State.FAILED else "Normal",
            after.reason,
            after.message,
        )


def _precondition(record: SyncRecord) -> dict[str, str]:
    """Write only to the object that was seen: what somebody else did in between must reach us as an event, not inside our own answer."""
    return {"uid": record.metadata.uid, "resourceVersion": record.resource_version}


def _ready(conditions: Iterable[Condition]) -> Condition | None:
    return next((condition for condition in conditions if condition.type == "Ready"), None)
