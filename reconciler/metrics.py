"""What is counted, in Prometheus' conventions; names of controller-runtime where it has the same thing.

Labels are verbs, results, reasons and names of watches: sets that never grow with the cluster.
"""

from collections.abc import Callable, Iterable, Mapping

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

CONTROLLER = "configmapsync"
SECONDS = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)


class Metrics:
    """The metrics of one reconciler, in one registry."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._registry = registry
        self._reconciles = Counter(
            "controller_runtime_reconcile", "Reconciles by result", ["controller", "result"], registry=registry
        )
        self._reconcile_seconds = Histogram(
            "controller_runtime_reconcile_time_seconds",
            "Time of a reconcile",
            ["controller"],
            buckets=SECONDS,
            registry=registry,
        )
        self._writes = Counter(
            "configmapsync_writes",
            "Writes to copies by verb and result (done, failed)",
            ["verb", "result"],
            registry=registry,
        )
        self._status_writes = Counter(
            "configmapsync_status_writes", "Writes of a status that changed", registry=registry
        )

    def reconciled(self, result: str, seconds: float) -> None:
        """Count one reconcile: `success`, `requeue` or `error`."""
        self._reconciles.labels(CONTROLLER, result).inc()
        self._reconcile_seconds.labels(CONTROLLER).observe(seconds)

    def wrote(self, verb: str, result: str) -> None:
        """Count one write of a copy."""
        self._writes.labels(verb, result).inc()

    def wrote_status(self) -> None:
        """Count one write of a status."""
        self._status_writes.inc()

    def observe_syncs(self, by_reason: Callable[[], Mapping[str, int]]) -> None:
        """Have every scrape ask how many syncs stand at which reason of Ready."""
        self._registry.register(
            _Snapshot("configmapsync_syncs", "Syncs by the reason of their Ready condition", "reason", by_reason)
        )

    def observe_watches(self, ages: Callable[[], Mapping[str, float]]) -> None:
        """Have every scrape ask how long each watch has heard nothing."""
        self._registry.register(
            _Snapshot("configmapsync_watch_age_seconds", "Seconds since a watch last heard", "watch", ages)
        )


class _Snapshot(Collector):
    """A gauge with one label that is read when it is asked for: no copy of the state can go stale."""

    def __init__(self, name: str, text: str, label: str, read: Callable[[], Mapping[str, float]]) -> None:
        self._name = name
        self._text = text
        self._label = label
        self._read = read

    def collect(self) -> Iterable[GaugeMetricFamily]:
        family = GaugeMetricFamily(self._name, self._text, labels=[self._label])
        for value, number in self._read().items():
            family.add_metric([value], number)
        yield family


class WorkQueueMetrics:
    """What controller-runtime tells of its work queues."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._depth = Gauge("workqueue_depth", "Items that wait", ["name"], registry=registry).labels(CONTROLLER)
        self._adds = Counter("workqueue_adds", "Items added", ["name"], registry=registry).labels(CONTROLLER)
        self._retries = Counter("workqueue_retries", "Items added for later", ["name"], registry=registry).labels(
            CONTROLLER
        )
        self._waited = Histogram(
            "workqueue_queue_duration_seconds", "How long items waited", ["name"], buckets=SECONDS, registry=registry
        ).labels(CONTROLLER)
        self._worked = Histogram(
            "workqueue_work_duration_seconds",
            "How long items were worked on",
            ["name"],
            buckets=SECONDS,
            registry=registry,
        ).labels(CONTROLLER)

    def added(self, depth: int) -> None:
        """An item was added that was not waiting already."""
        self._adds.inc()
        self._depth.set(depth)

    def got(self, depth: int, waited: float) -> None:
        """A worker took an item."""
        self._depth.set(depth)
        self._waited.observe(waited)

    def done(self, worked: float) -> None:
        """A worker is through with an item."""
        self._worked.observe(worked)

    def retried(self) -> None:
        """An item was added for later."""
        self._retries.inc()
