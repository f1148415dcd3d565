"""Build all parts of the reconciler, run them, and stop them in order.

`__main__.py` calls it. Work starts once every cache has synced and, with several
replicas, this one leads. A stop ends new work, finishes writes in flight, then releases
the Lease. If the Lease is lost, the process writes nothing more and ends at once.
"""

import asyncio
import random
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, nullcontext, suppress
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
from reconciler.reports.status import Reporter
from reconciler.reports.sync_stats import SyncStats
from reconciler.settings import ReconcilerSettings
from reconciler.triggers import Triggers
from reconciler.writes.applier import Applier
from reconciler.writes.contention import Contention
from reconciler.writes.retries import Retries
from reconciler.writes.writer import MANAGER, Writer
from runtime.garbage import keep_collections_short
from runtime.health import HealthServer
from runtime.metrics import LoopLag, observe_watches
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
    """All parts of one reconciler process."""

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
            connection: to the API server; `elector` must be able to stop its writes.
            elector: None if this is the only replica.
            registry: of the process's metrics.
            clock: the time of day.
            rng: for jitter.
        """
        self._now = asyncio.get_running_loop().time
        self._elector = elector
        self._lease = settings.leader_election_name if elector else None
        self._working = False
        self._stopping = False
        self._log = structlog.get_logger("app")
        self._client = Client(connection, field_manager=MANAGER)
        self._metrics = Metrics(registry)
        self._set_leading(leads=False)
        self._sync_stats = SyncStats(registry, self._now)
        queue_metrics = WorkQueueMetrics(registry)
        self._queue: WorkQueue[NamespacedName] = WorkQueue(
            queue_metrics, group_of=attrgetter("namespace")
        )
        queue_metrics.observe(self._queue)
        content_bytes = settings.source_cache_mebibytes * MEBIBYTE
        self._caches = Caches(connection, settings.protected(), rng, content_bytes)
        self._decider = Decider(self._caches.decisions, self._queue.add)
        self._sources = Sources(self._client, self._caches)
        self._recorder = EventRecorder(
            self._client, component=MANAGED_BY_VALUE, instance=EVENT_SOURCE, clock=clock
        )
        self._events = Events(self._recorder, self._caches, self._now)
        self._contention = Contention(
            self._client, self._caches, self._metrics, self._now, settings.contested_interval
        )
        self._retries = Retries(Backoff(rng))
        self._applier = self._build_applier(settings)
        self._reporter = self._build_reporter(clock, Backoff(rng))
        reconciler = self._build_reconciler(settings)
        self._controller = Controller(
            self._queue, reconciler, Backoff(rng), self._metrics, settings.workers
        )
        self._loop_lag = LoopLag(registry)
        self.health = HealthServer(Address.parse(settings.health_address), registry)
        self.page = self._build_page(settings)
        states = {name: informer.state for name, informer in self._caches.all.items()}
        observe_watches(registry, states, self._now)
        self._connect()

    def _build_applier(self, settings: ReconcilerSettings) -> Applier:
        return Applier(
            Writer(self._client, self._caches),
            self._retries,
            self._metrics,
            queue=self._queue,
            contention=self._contention,
            events=self._events,
            caches=self._caches,
            parallel=settings.parallel_writes,
        )

    def _build_reporter(self, clock: Clock, backoff: Backoff[NamespacedName]) -> Reporter:
        return Reporter(
            self._client,
            self._caches.syncs,
            self._queue,
            backoff=backoff,
            events=self._events,
            metrics=self._metrics,
            sync_stats=self._sync_stats,
            clock=clock,
        )

    def _build_reconciler(self, settings: ReconcilerSettings) -> Reconciler:
        authorization = Authorization(self._client, self._now, settings.authorization_interval)
        observer = Observer(
            self._caches,
            self._sources,
            authorization,
            self._decider,
            orphans=Orphans(self._client, self._caches, self._now, settings.orphan_grace),
            served=settings.served(),
        )
        return Reconciler(
            caches=self._caches,
            observer=observer,
            contention=self._contention,
            applier=self._applier,
            reporter=self._reporter,
        )

    def _build_page(self, settings: ReconcilerSettings) -> "PageServer | None":
        if not settings.page_address:
            return None
        # Without the flag no process needs the page.
        from reconciler.page.server import PageServer  # noqa: PLC0415

        address = Address.parse(settings.page_address)
        return PageServer(address, self._caches, self._elector, self._recorder)

    def _connect(self) -> None:
        """Connect the caches to the queue and the probes to the parts."""
        Triggers(
            self._caches, self._queue, self._retries, self._sync_stats, self._decider
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
        async with asyncio.TaskGroup() as background:
            tasks = [
                background.create_task(self._caches.run(name), name=name)
                for name in self._caches.all
            ]
            tasks.append(background.create_task(self._recorder.run(), name="events"))
            tasks.append(background.create_task(self._loop_lag.run(), name="event loop lag"))
            tasks.append(background.create_task(self._decide(), name="decider"))
            tasks.append(background.create_task(self._collect_garbage(), name="garbage"))
            work = background.create_task(self._work(), name="work")
            await stop.wait()
            self._stopping = True
            self._queue.shutdown()
            if self._working:
                await self._finish(work)
            for task in (work, *tasks):
                task.cancel()

    async def _decide(self) -> None:
        """Decide on claims once all namespaces are known.

        A namespace that comes later would be compared with every sync.
        """
        await self._caches.synced()
        await self._decider.run()

    async def _collect_garbage(self) -> None:
        await self._caches.synced()
        await keep_collections_short()

    async def _work(self) -> None:
        await self._caches.synced()
        counts = {name: len(informer) for name, informer in self._caches.all.items()}
        self._log.info("caches synced", **counts)
        async with self._leadership():  # everything that writes is in this block
            self._working = True
            self._set_leading(leads=True)
            self._sync_stats.begin()
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

    async def _finish(self, work: asyncio.Task[None]) -> None:
        """Wait for writes in flight."""
        _, unfinished = await asyncio.wait({work}, timeout=DRAIN_SECONDS)
        if unfinished:
            self._log.warning("writes in flight abandoned", seconds=DRAIN_SECONDS)

    def _leadership(self) -> AbstractAsyncContextManager[None]:
        return self._elector.leadership() if self._elector else nullcontext()

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

    def _set_leading(self, *, leads: bool) -> None:
        if self._lease is not None:
            self._metrics.leading.labels(self._lease).set(leads)

    def _lease_problem(self) -> str | None:
        """Return a problem if this replica could not lead, for example without a right.

        While the API server is away no replica can lead, so that makes none unready.
        """
        problem = self._elector.problem if self._elector else None
        if problem is None or problem.retry is Retry.TRANSIENT:
            return None
        return f"cannot read or write the Lease: {problem}"
