"""Enqueue the syncs that an event can affect: the map from each watch to its work.

`app.py` connects it to the caches. A handler gets the object before and after a change,
adds names to the queue, and ends the backoff of destinations that the change may have
healed. It must not decide what has to be done, nor enqueue a sync whose plan cannot
depend on the change.
"""

import structlog

from cluster.namespaces import NamespaceRecord
from cluster.syncs import SyncRecord
from configmapsync.copies import CopyRecord
from configmapsync.names import NamespacedName
from configmapsync.selection import Namespace
from kube.workqueue import WorkQueue
from reconciler.known.caches import BY_SYNC_UID, Caches
from reconciler.known.claims import Decider
from reconciler.known.configmaps import ConfigMapVersion
from reconciler.reports.state_metrics import StateMetrics
from reconciler.writes.retries import Retries


class Triggers:
    """Connects the caches to the queue."""

    def __init__(
        self,
        caches: Caches,
        queue: WorkQueue[NamespacedName],
        retries: Retries,
        state_metrics: StateMetrics,
        decider: Decider,
    ) -> None:
        self._caches = caches
        self._queue = queue
        self._retries = retries
        self._state_metrics = state_metrics
        self._decider = decider
        self._log = structlog.get_logger("triggers")

    def connect(self) -> None:
        """Handle every change from now on."""
        self._caches.syncs.on_change(self.sync_changed)
        self._caches.copies.on_change(self.copy_changed)
        self._caches.namespaces.on_change(self.namespace_changed)
        self._caches.versions.on_change(self.version_changed)

    def sync_changed(self, old: SyncRecord | None, new: SyncRecord | None) -> None:
        """Enqueue a sync that was created, deleted, or changed by another client.

        After an edit every destination may be tried at once, and claims are decided again.
        """
        record = new or old
        if record is None:
            return
        self._enqueue(record.key, "sync", record.key)
        if old is None or new is None or _intent(old) != _intent(new):
            self._retries.release(record.key)  # after an edit every destination is tried at once
            self._decider.changed()

    def copy_changed(self, old: CopyRecord | None, new: CopyRecord | None) -> None:
        """Enqueue the syncs that a copy names, by name and by UID, and those that it blocks.

        A copy can be the source of further syncs.
        """
        if (changed := new or old) is not None:
            self._source_changed(changed.key)
        for copy in (old, new):
            if copy is None:
                continue
            if copy.synced_by is not None:
                self._enqueue_for(copy.synced_by, "copy", copy.key)
            for sync in self._caches.syncs.by_index(BY_SYNC_UID, copy.sync_uid):
                self._enqueue_for(sync.key, "copy", copy.key)
            for waiting in self._caches.blockers.waiting(copy.key):
                self._enqueue_for(waiting, "blocker", copy.key)

    def version_changed(self, old: ConfigMapVersion | None, new: ConfigMapVersion | None) -> None:
        """Enqueue the syncs of a source, or those that waited for a blocker that is gone."""
        version = new or old
        if version is None:
            return
        key = NamespacedName(version.namespace, version.name)
        self._source_changed(key)
        if new is None:
            for waiting in self._caches.blockers.gone(key):
                self._enqueue_for(waiting, "blocker", key)

    def _source_changed(self, key: NamespacedName) -> None:
        for sync in self._caches.syncs_of_source(key):
            self._state_metrics.edited(sync.key)
            self._enqueue(sync.key, "source", key)

    def namespace_changed(self, old: NamespaceRecord | None, new: NamespaceRecord | None) -> None:
        """Enqueue the syncs whose plan depends on the change, and decide claims again."""
        before, after = old.view if old else None, new.view if new else None
        namespace = after or before
        if namespace is None:
            return
        for sync in self._caches.syncs_that_may_serve(*(each for each in (before, after) if each)):
            if sync.sync and _as_seen_by(sync, before) != _as_seen_by(sync, after):
                destination = NamespacedName(namespace.name, sync.sync.destination_name)
                self._enqueue_for(sync.key, "namespace", destination)
        self._decider.changed()

    def _enqueue_for(self, sync: NamespacedName, trigger: str, destination: NamespacedName) -> None:
        """Enqueue a sync because of one destination, and end the backoff of that destination."""
        self._retries.release(sync, destination)
        self._enqueue(sync, trigger, destination)

    def _enqueue(self, sync: NamespacedName, trigger: str, changed: NamespacedName) -> None:
        self._log.debug("enqueued", sync=str(sync), trigger=trigger, **changed._asdict())
        self._queue.add(sync)


def _intent(sync: SyncRecord) -> tuple[int | None, bool]:
    """Return what changes with the spec or a deletion, and not with status or labels."""
    return sync.metadata.generation, sync.deleting


def _as_seen_by(sync: SyncRecord, namespace: Namespace | None) -> tuple[str, bool, bool] | None:
    """Return what the plan of a sync can see of a namespace; None if it does not select it."""
    selector = sync.selector
    if namespace is None or selector is None:
        return None
    if not selector.matches(namespace) and namespace.name not in selector.exact_names:
        return None
    return (namespace.uid, namespace.terminating, namespace.disabled)
