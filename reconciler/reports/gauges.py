"""What every scrape reads of the reconciler as it stands: states, where `metrics.py` counts events."""

from prometheus_client import CollectorRegistry, Gauge
from prometheus_client.metrics_core import GaugeMetricFamily

from configmapsync.names import NamespacedName
from kube.workqueue import WorkQueue
from reconciler.controller import Controller
from reconciler.reports.metrics import CONTROLLER
from reconciler.reports.sync_stats import SyncStats
from reconciler.writes.applier import Applier
from runtime.metrics import Read, Snapshot


def observe(
    registry: CollectorRegistry,
    queue: WorkQueue[NamespacedName],
    controller: Controller,
    applier: Applier,
    sync_stats: SyncStats,
) -> None:
    """Register all of them.

    Args:
        registry: of the process.
        queue: what is worked on now.
        controller: the syncs that could not be reconciled.
        applier: the destinations that are held back.
        sync_stats: the numbers of all syncs.
    """
    _observe_queue(registry, queue)
    _observe_retries(registry, controller, applier)
    _observe_sync_stats(registry, sync_stats)


def _observe_queue(registry: CollectorRegistry, queue: WorkQueue[NamespacedName]) -> None:
    unfinished = Gauge(
        "workqueue_unfinished_work_seconds",
        "Time that the syncs in hand, reconciled or waiting to be reported, have taken together.",
        ["name"],
        registry=registry,
    )
    longest = Gauge(
        "workqueue_longest_running_processor_seconds",
        "Time that the sync which is in hand for longest has taken.",
        ["name"],
        registry=registry,
    )
    unfinished.labels(CONTROLLER).set_function(lambda: sum(queue.working_for()))
    longest.labels(CONTROLLER).set_function(lambda: max(queue.working_for(), default=0.0))


def _observe_retries(registry: CollectorRegistry, controller: Controller, applier: Applier) -> None:
    held = Gauge(
        "configmapsync_retries_held",
        "Syncs that could not be reconciled, and destinations that could not be written, waiting for their next try.",
        ["what"],
        registry=registry,
    )
    held.labels("sync").set_function(controller.failing)
    held.labels("destination").set_function(applier.held)


def _observe_sync_stats(registry: CollectorRegistry, sync_stats: SyncStats) -> None:
    def by(label: str, name: str, text: str, read: Read) -> None:
        registry.register(Snapshot(GaugeMetricFamily, name, text, label, read))

    by(
        "reason",
        "configmapsync_syncs",
        "Syncs by the reason of their Ready condition, as last reconciled.",
        sync_stats.syncs,
    )
    by(
        "state",
        "configmapsync_copies",
        "Wanted copies by state (synced, progressing, failed), as last reconciled.",
        sync_stats.copies,
    )
    by(
        "reason",
        "configmapsync_failures",
        "What fails, by reason: each destination, and once each sync that fails as a whole.",
        sync_stats.failures,
    )
    Gauge(
        "configmapsync_propagation_lag_seconds",
        "Age of the oldest edit of a source that has not reached every copy; 0 where there is none.",
        registry=registry,
    ).set_function(sync_stats.lag)
