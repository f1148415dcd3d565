"""Build all parts of the reconciler, run them, and stop them in order.

`__main__.py` calls it. Work starts once every cache has synced and, with several
replicas, this one leads. A stop ends new work, finishes writes in flight, then releases
the Lease. If the Lease is lost, the process writes nothing more and ends at once.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable
from contextlib import nullcontext, suppress
from datetime import datetime
from operator import attrgetter
from typing import TYPE_CHECKING

import structlog
from prometheus_client import CollectorRegistry

from configmapsync.names import MANAGED_BY_VALUE, NamespacedName
from kube.backoff import Backoff
from kube.client import Client
from kube.connection import Connection
from kube.errors import Retry
from kube.events import EventRecorder
from kube.leader_election import Elector
from kube.workqueue import WorkQueue
from reconciler.controller import Controller
from reconciler.known.caches import Caches
from reconciler.known.claims import Decider
from reconciler.known.orphans import Orphans
from reconciler.known.service_accounts import Authorization
from reconciler.known.sources import Sources
from reconciler.observe import Observer
from reconciler.reconcile import Reconciler
from reconciler.reports.events import Events
from reconciler.reports.metrics import Metrics, WorkQueueMetrics
from reconciler.reports.state_metrics import StateMetrics
from reconciler.reports.status import Reporter
from reconciler.settings import ReconcilerSettings
from reconciler.triggers import Triggers
from reconciler.writes.applier import Applier
from reconciler.writes.contention import Contention
from reconciler.writes.retries import Retries
from reconciler.writes.writer import MANAGER, Writer
from runtime.garbage import keep_collections_short
from runtime.health import HealthServer
from runtime.metrics import LoopLag
from runtime.settings import Address

if TYPE_CHECKING:
    from reconciler.page.server import PageServer

# A stop waits this long for writes in flight, and of this the last part for events.
DRAIN_SECONDS = 10.0
EVENTS_DRAIN_SECONDS = 2.0
MEBIBYTE = 1 << 20
EVENT_SOURCE = "configmapsync-reconciler"

Clock = Callable[[], datetime]


class App:
    """All parts of one reconciler process.

    Attributes:
        health: the server of probes and metrics; `__main__.py` starts and closes it.
        page: the server of the page, started and closed likewise; None without the flag.
    """

    def __init__(
        self,
        settings: ReconcilerSettings,
        connection: Connection,
        elector: Elector | None,
        registry: CollectorRegistry,
        clock: Clock,
        rng: random.Random,
    ) -> None:
        """Build the parts; nothing runs yet.

        Args:
            settings: of the process.
            connection: to the API server, with `elector.check` as its fence.
            elector: None if this is the only replica.
            registry: of the process's metrics.
            clock: the time of day.
            rng: for jitter.
        """
        self._now = asyncio.get_running_loop().time
        self._settings = settings
        self._elector = elector
        self._working = False
        self._stopping = False
        self._log = structlog.get_logger("app")
        self._client = Client(connection, field_manager=MANAGER)
        self._metrics = Metrics(registry)
        if elector is not None:
            leading = self._metrics.leading.labels(settings.leader_election_name)
            leading.set_function(lambda: elector.leading)
        self._state_metrics = StateMetrics(registry, self._now)
        queue_metrics = WorkQueueMetrics(registry)
        self._queue: WorkQueue[NamespacedName] = WorkQueue(
            queue_metrics, group_of=attrgetter("namespace")
        )
        queue_metrics.observe(self._queue)
        content_bytes = settings.source_cache_mebibytes * MEBIBYTE
        self._caches = Caches(connection, settings.protected(), rng, content_bytes)
        self._decider = Decider(self._caches.decisions, self._queue.add)
        self._recorder = EventRecorder(
            self._client, component=MANAGED_BY_VALUE, instance=EVENT_SOURCE, clock=clock
        )
        self._retries = Retries(rng)
        self._build_reconciler(clock, rng)
        self._loop_lag = LoopLag(registry)
        self.health = HealthServer(Address.parse(settings.health_address), registry)
        self.page = self._build_page()
        self._connect()

    def _build_reconciler(self, clock: Clock, rng: random.Random) -> None:
        """Build the steps of a reconcile, and the controller that calls them."""
        client, caches, now, settings = self._client, self._caches, self._now, self._settings
        observer = Observer(
            caches,
            Sources(client, caches),
            Authorization(client, now, settings.authorization_interval),
            self._decider,
            orphans=Orphans(client, caches, now, settings.orphan_grace),
            served=settings.served(),
        )
        events = Events(self._recorder, caches, now)
        contention = Contention(client, caches, self._metrics, now, settings.contested_interval)
        self._applier = Applier(
            Writer(client, caches),
            self._retries,
            self._metrics,
            queue=self._queue,
            contention=contention,
            events=events,
            caches=caches,
            parallel=settings.parallel_writes,
        )
        self._reporter = Reporter(
            client,
            caches.syncs,
            self._queue,
            backoff=Backoff(rng),
            events=events,
            metrics=self._metrics,
            state_metrics=self._state_metrics,
            clock=clock,
        )
        reconciler = Reconciler(caches, observer, contention, self._applier, self._reporter)
        self._controller = Controller(
            self._queue, reconciler, Backoff(rng), self._metrics, settings.workers
        )

    def _build_page(self) -> "PageServer | None":
        if not self._settings.page_address:
            return None
        # Without the flag no process needs the page.
        from reconciler.page.server import PageServer  # noqa: PLC0415

        address = Address.parse(self._settings.page_address)
        return PageServer(address, self._caches, self._elector, self._recorder)

    def _connect(self) -> None:
        """Connect the caches to the queue and the probes to the parts."""
        Triggers(
            self._caches, self._queue, self._retries, self._state_metrics, self._decider
        ).connect()
        for informer in self._caches.all.values():
            informer.on_reset(self._reset)
            informer.on_recovery(self._retry_failures)
        self.health.ready_when(
            "stopping", lambda: "the process is stopping" if self._stopping else None
        )
        self.health.add_watches(self._caches.all)
        self.health.ready_when("lease", self._lease_problem)

    async def run(self, stop: asyncio.Event) -> None:
        """Watch and work until `stop` is set.

        Raises:
            ExceptionGroup: a part failed; it holds `LeaseLostError` if the Lease was lost.
        """
        parts = {name: self._caches.run(name) for name in self._caches.all}
        parts["events"] = self._recorder.run()
        parts["event loop lag"] = self._loop_lag.run()
        # A namespace that comes after a decision would be compared with every sync.
        parts["decider"] = self._run_synced(self._decider.run)
        parts["garbage"] = self._run_synced(keep_collections_short)
        parts["work"] = self._run_synced(self._work)
        async with asyncio.TaskGroup() as group:
            tasks = {name: group.create_task(part, name=name) for name, part in parts.items()}
            await stop.wait()
            self._stopping = True
            self._queue.shutdown()
            if self._working:
                _, unfinished = await asyncio.wait({tasks["work"]}, timeout=DRAIN_SECONDS)
                if unfinished:
                    self._log.warning("writes in flight abandoned", seconds=DRAIN_SECONDS)
            for task in tasks.values():
                task.cancel()

    async def _run_synced(self, run: Callable[[], Awaitable[None]]) -> None:
        """Run a part once every cache has synced."""
        await self._caches.synced()
        await run()

    async def _work(self) -> None:
        counts = {name: len(informer) for name, informer in self._caches.all.items()}
        self._log.info("caches synced", **counts)
        leadership = self._elector.leadership() if self._elector else nullcontext()
        async with leadership:  # everything that writes is in this block
            self._working = True
            self._state_metrics.begin()
            self._queue.begin()
            async with asyncio.TaskGroup() as group:
                reporting = group.create_task(self._reporter.run(), name="reporter")
                await self._controller.run()
                await self._applier.drain()
                await self._reporter.drain()
                reporting.cancel()
            with suppress(TimeoutError):
                async with asyncio.timeout(EVENTS_DRAIN_SECONDS):
                    await self._recorder.drain()

    def _reset(self) -> None:
        """Enqueue every sync: the cluster was restored."""
        for sync in self._caches.syncs.values():
            self._queue.add(sync.key)

    def _retry_failures(self) -> None:
        """Retry at once what failed while the API server was away.

        The backoff of an outage of some minutes would otherwise delay it for minutes more.
        """
        failed = {*self._controller.failing(), *self._reporter.failing()}
        for sync in failed | self._retries.release_transient():
            self._queue.add(sync)

    def _lease_problem(self) -> str | None:
        """Return a problem if this replica could not lead, for example without a right.

        While the API server is away no replica can lead, so that makes none unready.
        """
        problem = self._elector.problem if self._elector else None
        if problem is None or problem.retry is Retry.TRANSIENT:
            return None
        return f"cannot read or write the Lease: {problem}"
