"""Builds the reconciler once, from the settings, and runs it until it is told to stop.

The order of the start: the health server first, so that probes tell what is waited for; then the watches; and work only when every cache
is whole and, of several replicas, this one leads. The order of the stop: no new work, writes in flight finished, then the Lease, then the
connections. A Lease that is lost is another end: nothing more is written, and the process ends at once.
"""

import asyncio
import random
from collections.abc import Callable
from contextlib import AsyncExitStack, suppress
from datetime import datetime
from functools import partial
from operator import attrgetter

import structlog
from prometheus_client import CollectorRegistry

from configmapsync.names import MANAGED_BY_VALUE, NamespacedName
from kube.backoff import Backoff
from kube.client import Client
from kube.connection import ConfigurationError, Connection, ConnectionSettings
from kube.events import EventRecorder
from kube.leader_election import LeaseLost
from kube.workqueue import WorkQueue
from reconciler.controller import Controller
from reconciler.known.caches import Caches
from reconciler.known.claims import Decider
from reconciler.known.orphans import Orphans
from reconciler.known.service_accounts import Authorization
from reconciler.known.sources import Sources
from reconciler.leadership import Leadership, candidacy
from reconciler.observe import Observer
from reconciler.reconcile import Reconciler
from reconciler.reports.copy_events import CopyEvents
from reconciler.reports.gauges import observe
from reconciler.reports.metrics import Metrics, WorkQueueMetrics
from reconciler.reports.status import Reporter
from reconciler.reports.sync_stats import SyncStats
from reconciler.settings import ReconcilerSettings
from reconciler.triggers import Triggers
from reconciler.writes.applier import Applier
from reconciler.writes.contention import Contention
from reconciler.writes.writer import MANAGER, Writer
from runtime.garbage import keep_collections_short
from runtime.health import HealthServer
from runtime.loop_lag import LoopLag
from runtime.metrics import RequestMetrics, new_registry, observe_watches
from runtime.settings import Address

EXIT_OK = 0
EXIT_FAILURE = 1
DEAF_LIMIT = 900.0  # seconds; a watch is renewed at least every 600, so one that heard nothing for longer is broken
DRAIN_LIMIT = 10.0  # seconds that a stop waits for writes in flight
EVENTS_LIMIT = 2.0  # seconds of them for events
MEBIBYTE = 1 << 20
USER_AGENT = "configmapsync-reconciler"

Clock = Callable[[], datetime]


async def run(
    settings: ReconcilerSettings, clock: Clock, rng: random.Random, stop: asyncio.Event
) -> int:
    """Run the reconciler until `stop` is set; returns the exit code."""
    log = structlog.get_logger("app")
    registry = new_registry()
    metrics = RequestMetrics(registry)
    async with AsyncExitStack() as connections:
        connecting = _connection_settings(settings)
        try:
            leadership = await connections.enter_async_context(
                candidacy(settings, connecting, metrics, clock, rng)
            )
            connection = await connections.enter_async_context(
                await Connection.open(connecting, metrics, leadership.check)
            )
        except ConfigurationError as error:
            log.error("no way to the API server", error=str(error))  # noqa: TRY400 - one line for people, no traceback
            return EXIT_FAILURE
        app = App(settings, connection, leadership, registry, clock, rng)
        try:
            address = await app.health.start()
        except OSError as error:
            log.error(  # noqa: TRY400 - one line for people, no traceback
                "the health server cannot listen", address=settings.health_address, error=str(error)
            )
            return EXIT_FAILURE
        log.info("started", health_address=str(address))
        code = EXIT_OK
        try:
            await app.run(stop)
        except* LeaseLost:
            code = EXIT_FAILURE
        finally:
            await app.health.close()
    log.info("stopped")
    return code


def _connection_settings(settings: ReconcilerSettings) -> ConnectionSettings:
    return ConnectionSettings(
        kubeconfig=settings.kubeconfig,
        context=settings.context,
        disable_strict_tls=settings.relaxed_tls,
        user_agent=USER_AGENT,
        write_limit=settings.parallel_writes + settings.workers,
    )


class App:
    """All parts of one reconciler, each built here and nowhere else."""

    def __init__(
        self,
        settings: ReconcilerSettings,
        connection: Connection,
        leadership: Leadership,
        registry: CollectorRegistry,
        clock: Clock,
        rng: random.Random,
    ) -> None:
        self._now = asyncio.get_running_loop().time
        self._leadership = leadership
        self._working = False
        self.metrics = Metrics(registry)
        self._lease = settings.leader_election_name if settings.leader_elect else None
        self._tell_leading(leads=False)
        self.sync_stats = SyncStats(self._now, self.metrics.propagated)
        self.queue: WorkQueue[NamespacedName] = WorkQueue(
            WorkQueueMetrics(registry), group_of=attrgetter("namespace")
        )
        self.caches = Caches(connection, settings.protected(), rng)
        client = Client(connection, field_manager=MANAGER)
        self.decider = Decider(self.caches.decisions, self.queue.add)
        self.events = EventRecorder(
            client, component=MANAGED_BY_VALUE, instance=USER_AGENT, clock=clock
        )
        self.copy_events = CopyEvents(self.events, self.caches.configmap_at, self._now)
        self.contention = Contention(
            client,
            self.caches.copy_at,
            self.caches.owner_of,
            self.metrics,
            self._now,
            settings.contested_interval,
        )
        writer = Writer(client, self.caches)
        self.applier = Applier(
            writer,
            Backoff(rng),
            self.metrics,
            queue=self.queue,
            contention=self.contention,
            copy_events=self.copy_events,
            blockers=self.caches.blockers,
            parallel=settings.parallel_writes,
        )
        self._sources = Sources(
            client, self.caches.versions, settings.source_cache_mebibytes * MEBIBYTE
        )
        self.reporter = Reporter(
            client,
            self.caches.syncs,
            self.queue,
            applier=self.applier,
            backoff=Backoff(rng),
            events=self.events,
            copy_events=self.copy_events,
            metrics=self.metrics,
            sync_stats=self.sync_stats,
            clock=clock,
        )
        authorization = Authorization(
            client, self._now, settings.protected(), settings.authorization_interval
        )
        orphans = Orphans(client, self.caches, self._now, settings.orphan_grace)
        reconciler = Reconciler(
            caches=self.caches,
            observer=Observer(
                self.caches,
                self._sources,
                authorization,
                decided=self.decider.decided,
                contested=self.contention.observe,
                served=settings.served(),
            ),
            authorization=authorization,
            contention=self.contention,
            orphans=orphans,
            applier=self.applier,
            reporter=self.reporter,
        )
        self.controller = Controller(
            self.queue, reconciler, Backoff(rng), self.metrics, settings.workers
        )
        self._loop_lag = LoopLag(registry)
        self.health = HealthServer(Address.parse(settings.health_address), registry)
        self._connect(registry)

    def _connect(self, registry: CollectorRegistry) -> None:
        Triggers(self.caches, self.queue, self.applier, self.sync_stats, self.decider).connect()
        observe_watches(registry, self.caches.all, self._now)
        observe(registry, self.queue, self.controller, self.applier, self.sync_stats)
        for informer in self.caches.all.values():
            informer.on_reset(self._begin_anew)
        for name in self.caches.all:
            self.health.ready_when(name, partial(self._unready, name))
            self.health.alive_when(name, partial(self._deaf, name))
        self.health.ready_when("lease", self._unelectable)

    async def run(self, stop: asyncio.Event) -> None:
        """Watch and work until `stop`."""
        async with asyncio.TaskGroup() as background:
            tasks = [
                background.create_task(informer.run(), name=name)
                for name, informer in self.caches.all.items()
            ]
            tasks.append(background.create_task(self.events.run(), name="events"))
            tasks.append(background.create_task(self._loop_lag.run(), name="event loop lag"))
            tasks.append(background.create_task(self._decide(), name="decider"))
            tasks.append(background.create_task(self._collect_garbage(), name="garbage"))
            work = background.create_task(self._work(), name="work")
            await stop.wait()
            self.queue.shutdown()
            if self._working:
                await self._finish(work)
            for task in (work, *tasks):
                task.cancel()

    async def _decide(self) -> None:
        """Decide which claims count, once all namespaces are known: each that came later would be compared with every sync."""
        await self.caches.synced()
        await self.decider.run()

    async def _collect_garbage(self) -> None:
        await self.caches.synced()
        await keep_collections_short()

    async def _work(self) -> None:
        await self.caches.synced()
        structlog.get_logger("app").info(
            "caches are in sync",
            **{name: len(informer) for name, informer in self.caches.all.items()},
        )
        async with self._leadership.leadership():  # everything that writes is in this block
            self._working = True
            self._tell_leading(leads=True)
            self.sync_stats.begin()
            self.queue.begin()
            async with asyncio.TaskGroup() as group:
                reporting = group.create_task(self.reporter.run(), name="reporter")
                await self.controller.run()
                await self.applier.drain()
                await self.reporter.drain()
                reporting.cancel()
            with suppress(TimeoutError):
                async with asyncio.timeout(EVENTS_LIMIT):
                    await self.events.drain()

    async def _finish(self, work: asyncio.Task[None]) -> None:
        """Let what is begun be finished."""
        _, unfinished = await asyncio.wait({work}, timeout=DRAIN_LIMIT)
        if unfinished:
            structlog.get_logger("app").warning(
                "writes in flight were given up", seconds=DRAIN_LIMIT
            )

    def _begin_anew(self) -> None:
        """The storage of the cluster was restored: forget what is keyed by a version, and look at every sync again."""
        self._sources.clear()
        for sync in self.caches.syncs.values():
            self.queue.add(sync.key)

    def _tell_leading(self, *, leads: bool) -> None:
        if self._lease is not None:
            self.metrics.leading(self._lease, leads)

    def _unelectable(self) -> str | None:
        problem = self._leadership.problem
        return None if problem is None else f"cannot read or write the Lease: {problem}"

    def _unready(self, name: str) -> str | None:
        informer = self.caches.all[name]
        if informer.synced.is_set():
            return None
        return f"waiting for the list of {name}" + (
            f": {informer.problem}" if informer.problem else ""
        )

    def _deaf(self, name: str) -> str | None:
        age = self._watch_ages()[name]
        return (
            f"the watch of {name} has heard nothing for {age:.0f} s" if age > DEAF_LIMIT else None
        )

    def _watch_ages(self) -> dict[str, float]:
        return {
            name: self._now() - informer.last_heard for name, informer in self.caches.all.items()
        }
