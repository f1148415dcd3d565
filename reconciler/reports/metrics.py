"""What the reconciler counts, in Prometheus' conventions; names of controller-runtime and client-go where they have the same thing.

Labels are verbs, results, reasons and names of watches: sets that never grow with the cluster, and whose members are there from the
start, at 0, so that the first failure is an increase. What is a state and no event is in `snapshots.py`, what every process counts in
`runtime/metrics.py`; `docs/metrics.md` lists all.
"""

from contextlib import AbstractContextManager

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from configmapsync.plans import Verb

CONTROLLER = "configmapsync"
SECONDS = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
RESULTS = ("success", "requeue", "requeue_after", "error")
DONE, STALE, FAILED = WRITE_RESULTS = (
    "done",
    "stale",  # somebody else was faster; the world is looked at again
    "failed",
)


class Metrics:
    """The metrics of one reconciler, in one registry."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._reconciles = Counter(
            "controller_runtime_reconcile",
            "Reconciles by result.",
            ["controller", "result"],
            registry=registry,
        )
        self._errors = Counter(
            "controller_runtime_reconcile_errors",
            "Reconciles that failed.",
            ["controller"],
            registry=registry,
        ).labels(CONTROLLER)
        self._panics = Counter(
            "controller_runtime_reconcile_panics",
            "Reconciles that failed by a mistake of the program; the log has its traceback.",
            ["controller"],
            registry=registry,
        ).labels(CONTROLLER)
        self._reconcile_seconds = Histogram(
            "controller_runtime_reconcile_time_seconds",
            "Time of a reconcile.",
            ["controller"],
            buckets=SECONDS,
            registry=registry,
        ).labels(CONTROLLER)
        self._workers = Gauge(
            "controller_runtime_max_concurrent_reconciles",
            "Syncs that may be reconciled at the same time.",
            ["controller"],
            registry=registry,
        ).labels(CONTROLLER)
        self._active = Gauge(
            "controller_runtime_active_workers",
            "Syncs that are reconciled now.",
            ["controller"],
            registry=registry,
        ).labels(CONTROLLER)
        self._propagation = Histogram(
            "configmapsync_propagation_seconds",
            "From the event of an edited source to its last copy written.",
            buckets=SECONDS,
            registry=registry,
        )
        self._writes = Counter(
            "configmapsync_writes",
            "Writes to copies by verb and result; stale: somebody else was faster, and it is planned again.",
            ["verb", "result"],
            registry=registry,
        )
        self._status_writes = Counter(
            "configmapsync_status_writes", "Writes of a status that changed.", registry=registry
        )
        self._contested = Counter(
            "configmapsync_contested",
            "Times that a copy was found to be fought over.",
            registry=registry,
        )
        self._leading = Gauge(
            "leader_election_master_status",
            "1 while this process is the leader, else 0; by the name of the Lease.",
            ["name"],
            registry=registry,
        )
        for result in RESULTS:
            self._reconciles.labels(CONTROLLER, result)
        for verb in Verb:
            for result in WRITE_RESULTS:
                self._writes.labels(verb, result)

    def working(self, workers: int) -> None:
        """Tell how many syncs may be reconciled at the same time."""
        self._workers.set(workers)

    def worker_active(self) -> AbstractContextManager[object]:
        """Count a worker that is at work, to the end of the block."""
        return self._active.track_inprogress()

    def reconciled(self, result: str, seconds: float) -> None:
        """Count one reconcile: `success`, `requeue`, `requeue_after` or `error`."""
        self._reconciles.labels(CONTROLLER, result).inc()
        self._reconcile_seconds.observe(seconds)
        if result == "error":
            self._errors.inc()

    def panicked(self) -> None:
        """Count a reconcile that failed by a mistake of ours."""
        self._panics.inc()

    def propagated(self, seconds: float) -> None:
        """Every copy of a source has followed an edit that was heard of so many seconds ago."""
        self._propagation.observe(seconds)

    def wrote(self, verb: str, result: str) -> None:
        """Count one write of a copy."""
        self._writes.labels(verb, result).inc()

    def wrote_status(self) -> None:
        """Count one write of a status."""
        self._status_writes.inc()

    def contested(self) -> None:
        """Count a copy that is found to be fought over."""
        self._contested.inc()

    def leading(self, lease: str, leads: bool) -> None:
        """Tell whether this process holds the Lease of that name."""
        self._leading.labels(lease).set(leads)


class WorkQueueMetrics:
    """What a work queue tells of itself, as client-go has it."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._depth = Gauge(
            "workqueue_depth", "Syncs that wait.", ["name"], registry=registry
        ).labels(CONTROLLER)
        self._adds = Counter("workqueue_adds", "Syncs added.", ["name"], registry=registry).labels(
            CONTROLLER
        )
        self._retries = Counter(
            "workqueue_retries", "Syncs added for later.", ["name"], registry=registry
        ).labels(CONTROLLER)
        self._waited = Histogram(
            "workqueue_queue_duration_seconds",
            "How long syncs waited.",
            ["name"],
            buckets=SECONDS,
            registry=registry,
        ).labels(CONTROLLER)
        self._worked = Histogram(
            "workqueue_work_duration_seconds",
            "How long syncs were worked on.",
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
