"""Which syncs an event wakes: the map of every watch to the work it makes.

A handler gets the object before and after, and adds names to the queue; it never looks at what has to be done. A change wakes exactly the
syncs whose plan may depend on it, or the cluster's noise would become our load.
"""

import structlog

from cluster.namespaces import NamespaceRecord
from cluster.syncs import SyncRecord
from configmapsync.copies import CopyRecord
from configmapsync.names import SYNC_DISABLED_LABEL, NamespacedName
from configmapsync.selection import Namespace
from kube.workqueue import WorkQueue
from reconciler.known.caches import BY_SYNC_UID, Caches
from reconciler.known.claims import Decider
from reconciler.known.configmaps import ConfigMapVersion
from reconciler.reports.sync_stats import SyncStats
from reconciler.writes.applier import Applier


class Triggers:
    """Connects the caches to the queue."""

    def __init__(
        self,
        caches: Caches,
        queue: WorkQueue[NamespacedName],
        applier: Applier,
        sync_stats: SyncStats,
        decider: Decider,
    ) -> None:
        self._caches = caches
        self._queue = queue
        self._applier = applier
        self._sync_stats = sync_stats
        self._decider = decider
        self._log = structlog.get_logger("triggers").bind()

    def connect(self) -> None:
        """From now on, changes become work."""
        self._caches.syncs.on_change(self.sync_changed)
        self._caches.copies.on_change(self.copy_changed)
        self._caches.namespaces.on_change(self.namespace_changed)
        self._caches.versions.on_change(self.version_changed)

    def sync_changed(self, old: SyncRecord | None, new: SyncRecord | None) -> None:
        """A sync was created, edited, deleted, or its status was touched by someone else."""
        record = new or old
        if record is None:
            return
        self._wake(record.key, "sync", record.key)
        if old is None or new is None or _intent(old) != _intent(new):
            self._applier.release(record.key)  # an edit is a person's wish to see it tried now
            self._decider.changed()

    def copy_changed(self, old: CopyRecord | None, new: CopyRecord | None) -> None:
        """A copy was edited, deleted, un-marked or made: its sync by name and by UID, and whoever wants its place."""
        for copy in (old, new):
            if copy is None:
                continue
            if copy.synced_by is not None:
                self._wake_for(copy.synced_by, "copy", copy.key)
            for sync in self._caches.syncs.by_index(BY_SYNC_UID, copy.sync_uid or ""):
                self._wake_for(sync.key, "copy", copy.key)
            for waiting in self._caches.blockers.waiting(copy.key):
                self._wake_for(waiting, "obstacle", copy.key)

    def version_changed(self, old: ConfigMapVersion | None, new: ConfigMapVersion | None) -> None:
        """A source was created, edited, deleted or recreated; or something that stood in the way went."""
        version = new or old
        if version is None:
            return
        key = NamespacedName(version.namespace, version.name)
        for sync in self._caches.syncs_of_source(key):
            self._sync_stats.edited(sync.key)
            self._wake(sync.key, "source", key)
        if new is None:
            for waiting in self._caches.blockers.gone(key):
                self._wake_for(waiting, "obstacle", key)

    def namespace_changed(self, old: NamespaceRecord | None, new: NamespaceRecord | None) -> None:
        """A namespace came, went or was relabelled: every sync that selects it before or after, if that makes a difference."""
        before, after = old.view if old else None, new.view if new else None
        namespace = after or before
        if namespace is None:
            return
        for sync in self._caches.syncs_that_may_serve(namespace.name):
            if _makes_a_difference(sync, before, after):
                self._wake_namespace(sync, namespace)
        self._decider.changed()

    def _wake_namespace(self, sync: SyncRecord, namespace: Namespace) -> None:
        if sync.sync is not None:
            self._wake_for(
                sync.key, "namespace", NamespacedName(namespace.name, sync.sync.destination_name)
            )

    def _wake_for(self, sync: NamespacedName, trigger: str, destination: NamespacedName) -> None:
        """Wake a sync because of one destination: whatever held it back may be over."""
        self._applier.release(sync, destination)
        self._wake(sync, trigger, destination)

    def _wake(self, sync: NamespacedName, trigger: str, changed: NamespacedName) -> None:
        self._log.debug(
            "woken", sync=str(sync), trigger=trigger, namespace=changed.namespace, name=changed.name
        )
        self._queue.add(sync)


def _intent(sync: SyncRecord) -> tuple[int | None, bool]:
    """What changes when a person changes a sync, and not when somebody touches its status or labels."""
    return sync.metadata.generation, sync.deleting


def _makes_a_difference(
    sync: SyncRecord, before: Namespace | None, after: Namespace | None
) -> bool:
    return _as_seen_by(sync, before) != _as_seen_by(sync, after)


def _as_seen_by(
    sync: SyncRecord, namespace: Namespace | None
) -> tuple[str, bool, str | None] | None:
    """What a sync's plan can see of a namespace; None where it has nothing to do with it."""
    selector = sync.selector
    if namespace is None or selector is None:
        return None
    if not selector.matches(namespace) and namespace.name not in selector.exact_names:
        return None
    return (namespace.uid, namespace.terminating, namespace.labels.get(SYNC_DISABLED_LABEL))
