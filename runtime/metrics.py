"""Define the metrics of every process: build, requests, watches and loop lag.

`health.py` serves the registry of a process. Label values are words of this project or
of HTTP, never a name that a user chooses, so the number of series does not grow with
the cluster. `docs/metrics.md` lists every metric.
"""

import asyncio
import importlib.metadata
import platform
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from operator import attrgetter
from typing import Protocol

from prometheus_client import (
    CollectorRegistry,
    Counter,
    GCCollector,
    Histogram,
    Info,
    ProcessCollector,
    disable_created_metrics,
)
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

DISTRIBUTION = "configmapsync"
UNKNOWN_VERSION = "unknown"  # run from a folder that was never installed
LAG_INTERVAL_SECONDS = 0.25
LAG_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
REQUEST_SECONDS = (*LAG_SECONDS, 30.0)

Family = type[GaugeMetricFamily] | type[CounterMetricFamily]
Read = Callable[[], Mapping[str, float]]


def new_registry() -> CollectorRegistry:
    """Return a registry with `process_*`, `python_gc_*` and `configmapsync_build_info`."""
    disable_created_metrics()  # type: ignore[no-untyped-call]  # `_created` would double every series, and the library has one switch
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    GCCollector(registry=registry)
    build = Info(
        "configmapsync_build", "What runs: its version and that of Python.", registry=registry
    )
    build.info({"version": version(), "python_version": platform.python_version()})
    return registry


def version() -> str:
    """Return the installed version."""
    try:
        return importlib.metadata.version(DISTRIBUTION)
    except importlib.metadata.PackageNotFoundError:
        return UNKNOWN_VERSION


class RequestMetrics:
    """The requests of `kube/connection.py`, in client-go's names."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._requests = Counter(
            "rest_client_requests",
            "Requests to the API server by status code (<error>: no answer), method and host.",
            ["code", "method", "host"],
            registry=registry,
        )
        self._seconds = Histogram(
            "rest_client_request_duration_seconds",
            "Time until the answer to a request began, by method and host.",
            ["verb", "host"],
            buckets=REQUEST_SECONDS,
            registry=registry,
        )
        # Finding the series of a few labels costs more than counting.
        self._series = cache(self._labelled)

    def answered(self, method: str, host: str, code: str, seconds: float) -> None:
        """Count one request."""
        requests, durations = self._series(method, host, code)
        requests.inc()
        durations.observe(seconds)

    def _labelled(self, method: str, host: str, code: str) -> tuple[Counter, Histogram]:
        return self._requests.labels(code, method, host), self._seconds.labels(method, host)


@dataclass(frozen=True, eq=False)
class Snapshot(Collector):
    """A metric that is read at each scrape, once it is registered.

    Attributes:
        family: whether it is a gauge or a counter.
        name: of the metric.
        text: of its help line.
        label: the name of its label.
        read: returns the number for each value of the label.
    """

    family: Family
    name: str
    text: str
    label: str
    read: Read

    def collect(self) -> Iterable[GaugeMetricFamily | CounterMetricFamily]:
        """Yield the metric for one scrape of Prometheus' client."""
        family = self.family(self.name, self.text, labels=[self.label])
        for value, number in self.read().items():
            family.add_metric([value], number)
        yield family


class WatchState(Protocol):
    """What a list and watch did so far. Times are on the event loop's clock.

    Attributes:
        last_heard: when the API server was last heard.
        lists: how often the whole collection was read.
        watches: how often a watch was opened.
    """

    last_heard: float
    lists: int
    watches: int

    @property
    def problem(self) -> Exception | None:
        """Why the last attempt failed; None if it did not."""

    @property
    def last_active(self) -> float:
        """When it last heard something, or failed and tried again."""


class Watch(Protocol):
    """A watched collection, such as an `Informer`."""

    synced: asyncio.Event

    @property
    def state(self) -> WatchState:
        """The state of its list and watch."""


def observe_watches(
    registry: CollectorRegistry, watches: Mapping[str, Watch], now: Callable[[], float]
) -> None:
    """Register metrics of watches, by name."""

    def values(read: Callable[[WatchState], float]) -> Read:
        return lambda: {name: read(watch.state) for name, watch in watches.items()}

    for snapshot in (
        Snapshot(
            GaugeMetricFamily,
            "configmapsync_watch_age_seconds",
            "Seconds since a watch last heard anything; bookmarks come every minute.",
            "name",
            values(lambda state: now() - state.last_heard),
        ),
        Snapshot(
            CounterMetricFamily,
            "reflector_lists",
            "How often a whole collection was read: "
            "at the start, and when a watch could not be resumed.",
            "name",
            values(attrgetter("lists")),
        ),
        Snapshot(
            CounterMetricFamily,
            "reflector_watches",
            "How often a watch was opened; a healthy one is renewed every five to ten minutes.",
            "name",
            values(attrgetter("watches")),
        ),
    ):
        registry.register(snapshot)


class LoopLag:
    """A timer that observes its own delay: a long step on the event loop makes every task wait."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._seconds = Histogram(
            "configmapsync_event_loop_lag_seconds",
            "How late a timer fires that is due four times a second: "
            "for so long, one step held the event loop.",
            buckets=LAG_SECONDS,
            registry=registry,
        )

    async def run(self) -> None:
        """Measure until cancelled."""
        while True:
            # The loop's own clock stands still during a step.
            due = time.monotonic() + LAG_INTERVAL_SECONDS
            await asyncio.sleep(LAG_INTERVAL_SECONDS)
            self._seconds.observe(max(0.0, time.monotonic() - due))
