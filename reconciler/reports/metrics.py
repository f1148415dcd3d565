"""Count what the reconciler does: reconciles, writes, retries and its work queue.

The controller, the applier, the reporter and `contention.py` count here. Metrics that
controller-runtime or client-go also have carry their names. No label may grow with the
cluster; `state_metrics.py` has the gauges of syncs and copies.
"""

from itertools import product
from typing import Any, TypeVar

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from configmapsync.names import NamespacedName
from configmapsync.plans import Verb
from kube.workqueue import WorkQueue

Metric = TypeVar("Metric", Counter, Gauge, Histogram)

CONTROLLER = "configmapsync"
# fmt: off
BUCKETS_SECONDS = (
    0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0,
)
# fmt: on
RESULTS = ("success", "requeue", "requeue_after", "error")
# A write is stale if another client changed the object first; the sync is planned again.
DONE, STALE, FAILED = WRITE_RESULTS = ("done", "stale", "failed")


class _OneLabel:
    """Makes metrics that have one label with one value, as those of controller-runtime have."""

    def __init__(self, registry: CollectorRegistry, label: str) -> None:
        self._options: dict[str, Any] = {"registry": registry, "labelnames": (label,)}

    def __call__(self, kind: type[Metric], name: str, text: str, **options: Any) -> Metric:
        return kind(name, text, **self._options, **options).labels(CONTROLLER)


class Metrics:
    """The metrics of one reconciler process, each counted where it happens.

    Every combination of fixed labels exists from the start with the value 0, so that the first
    failure is an increase.

    Attributes:
        panics: unexpected exceptions.
        max_workers: the most syncs that are reconciled at the same time.
        active_workers: syncs that are being reconciled.
        writes: of copies, by `Verb` and one of `WRITE_RESULTS`.
        status_writes: writes of statuses.
        contested: copies that became contested.
        retries_held: what waits for a retry, by `sync` or `destination`.
        leading: whether this process holds the Lease, by the name of the Lease.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        self._register_reconciles(registry)
        self.writes = Counter(
            "configmapsync_writes",
            "Writes of copies by verb and result; stale: another client changed the copy first.",
            ["verb", "result"],
            registry=registry,
        )
        self.status_writes = Counter(
            "configmapsync_status_writes", "Writes of changed statuses.", registry=registry
        )
        self.contested = Counter(
            "configmapsync_contested", "Copies that became contested.", registry=registry
        )
        for labels in product(Verb, WRITE_RESULTS):
            self.writes.labels(*labels)
        self.retries_held = Gauge(
            "configmapsync_retries_held",
            "Syncs and destinations that failed and wait for their next attempt.",
            ["what"],
            registry=registry,
        )
        self.leading = Gauge(
            "leader_election_master_status",
            "1 if this process is the leader, else 0, by the name of the Lease.",
            ["name"],
            registry=registry,
        )

    def _register_reconciles(self, registry: CollectorRegistry) -> None:
        self._reconciles = Counter(
            "controller_runtime_reconcile",
            "Reconciles by result.",
            ["controller", "result"],
            registry=registry,
        )
        make = _OneLabel(registry, "controller")
        self._errors = make(
            Counter, "controller_runtime_reconcile_errors", "Reconciles that failed."
        )
        self.panics = make(
            Counter,
            "controller_runtime_reconcile_panics",
            "Reconciles that failed with an unexpected exception; the log has its traceback.",
        )
        self._reconcile_seconds = make(
            Histogram,
            "controller_runtime_reconcile_time_seconds",
            "Duration of a reconcile.",
            buckets=BUCKETS_SECONDS,
        )
        self.max_workers = make(
            Gauge,
            "controller_runtime_max_concurrent_reconciles",
            "Most syncs that are reconciled at the same time.",
        )
        self.active_workers = make(
            Gauge, "controller_runtime_active_workers", "Syncs that are being reconciled."
        )
        for result in RESULTS:
            self._reconciles.labels(CONTROLLER, result)

    def reconciled(self, result: str, seconds: float) -> None:
        """Count one reconcile.

        Args:
            result: `success`, `requeue`, `requeue_after` or `error`.
            seconds: its duration.
        """
        self._reconciles.labels(CONTROLLER, result).inc()
        self._reconcile_seconds.observe(seconds)
        if result == "error":
            self._errors.inc()


class WorkQueueMetrics:
    """The metrics of the work queue, named as in client-go."""

    def __init__(self, registry: CollectorRegistry) -> None:
        make = _OneLabel(registry, "name")
        self._depth = make(Gauge, "workqueue_depth", "Syncs that wait.")
        self._adds = make(Counter, "workqueue_adds", "Syncs added.")
        self._retries = make(Counter, "workqueue_retries", "Syncs added with a delay.")
        self._waited = make(
            Histogram,
            "workqueue_queue_duration_seconds",
            "Time that a sync waited.",
            buckets=BUCKETS_SECONDS,
        )
        self._worked = make(
            Histogram,
            "workqueue_work_duration_seconds",
            "Time that a worker spent on a sync.",
            buckets=BUCKETS_SECONDS,
        )
        self._unfinished = make(
            Gauge,
            "workqueue_unfinished_work_seconds",
            "Time that all workers have spent on their current syncs, in total.",
        )
        self._longest = make(
            Gauge,
            "workqueue_longest_running_processor_seconds",
            "Longest time that a worker has spent on its current sync.",
        )

    def observe(self, queue: WorkQueue[NamespacedName]) -> None:
        """Read at every scrape how long the workers of `queue` have been busy."""
        self._unfinished.set_function(lambda: sum(queue.working_for()))
        self._longest.set_function(lambda: max(queue.working_for(), default=0.0))

    def added(self, depth: int) -> None:
        """Count an item that was added and was not waiting already."""
        self._adds.inc()
        self._depth.set(depth)

    def got(self, depth: int, waited: float) -> None:
        """Count an item that a worker took after `waited` seconds."""
        self._depth.set(depth)
        self._waited.observe(waited)

    def done(self, worked: float) -> None:
        """Count an item that a worker finished after `worked` seconds."""
        self._worked.observe(worked)

    def retried(self) -> None:
        """Count an item that was added with a delay."""
        self._retries.inc()
