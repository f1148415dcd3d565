"""Builds the reconciler once, from the settings, and runs it until it is told to stop.

The order of the start: the health server first, so that probes tell what is waited for; then the watches; and work only when every cache
is whole. The order of the stop: no new work, writes in flight finished, then the connections.
"""

import asyncio
import gc
import random
from collections.abc import Callable
from datetime import datetime
from functools import partial

import structlog
from prometheus_client import CollectorRegistry

from configmapsync.names import MANAGED_BY_VALUE, NamespacedName
from configmapsync.planning import Write
from kube.backoff import Backoff
from kube.connection import ConfigurationError, Connection, ConnectionSettings
from kube.events import EventRecorder
from kube.workqueue import WorkQueue
from reconciler.applier import Applier
from reconciler.authorization import Authorization
from reconciler.caches import Caches
from reconciler.controller import Controller
from reconciler.fights import Fights
from reconciler.metrics import Metrics, WorkQueueMetrics
from reconciler.orphans import Orphans
from reconciler.reconcile import Reconciler
from reconciler.reporter import Reporter
from reconciler.settings import ReconcilerSettings
from reconciler.snapshots import observe
from reconciler.sources import Sources
from reconciler.standing import Standing
from reconciler.triggers import Triggers
from reconciler.writer import Writer
from runtime.health import HealthServer
from runtime.metrics import RequestMetrics, new_registry, observe_watches
from runtime.settings import Address

EXIT_OK = 0
EXIT_FAILURE = 1
DEAF_LIMIT = 900.0  # seconds; a watch is renewed at least every 600, so one that heard nothing for longer is broken
DRAIN_LIMIT = 10.0  # seconds that a stop waits for writes in flight
MEBIBYTE = 1 << 20
USER_AGENT = "configmapsync-reconciler"

Clock = Callable[[], datetime]


async def run(settings: ReconcilerSettings, clock: Clock, chance: random.Random, stop: asyncio.Event) -> int:
    """Run the reconciler until `stop` is set; returns the exit code."""
    log = structlog.get_logger("app")
    registry = new_registry()
    try:
        connection = await Connection.open(_connection_settings(settings), RequestMetrics(registry))
    except ConfigurationError as error:
        log.error("no way to the API server", error=str(error))  # noqa: TRY400 - one line for people, no traceback
        return EXIT_FAILURE
    async with connection:
        app = App(settings, connection, registry, clock, chance)
        try:
            address = await app.health.start()
        except OSError as error:
            log.error("the health server cannot listen", address=settings.health_address, error=str(error))  # noqa: TRY400
            return EXIT_FAILURE
        log.info("started", health_address=str(address))
        try:
            await app.run(stop)
        finally:
            await app.health.close()
    log.info("stopped")
    return EXIT_OK


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
        registry: CollectorRegistry,
        clock: Clock,
        chance: random.Random,
    ) -> None:
        self._now = asyncio.get_running_loop().time
        self.metrics = Metrics(registry)
        self.standing = Standing(self._now, self.metrics.propagated)
        self.queue: WorkQueue[NamespacedName] = WorkQueue(metrics=WorkQueueMetrics(registry))
        self.caches = Caches(connection, settings.protected(), chance)
        self.events = EventRecorder(connection, component=MANAGED_BY_VALUE, instance=USER_AGENT, clock=clock)
        self.fights = Fights(connection, self.caches.copy_at, self.metrics, self._now, settings.contested_interval)
        writer = Writer(connection, self.caches)
        self.applier = Applier(
            writer,
            Backoff(chance),
            self.metrics,
            wake=self.queue.add,
            wrote=self._wrote,
            waiting=self.caches.obstacles.waiting,
            parallel=settings.parallel_writes,
        )
        sources = Sources(connection, self.caches.versions, settings.source_cache_mebibytes * MEBIBYTE)
        reporter = Reporter(connection, self.caches.syncs, self.events, self.metrics, self.standing, clock)
        authorization = Authorization(connection, self._now, settings.protected(), settings.authorization_interval)
        orphans = Orphans(connection, self.caches, self._now, settings.orphan_grace)
        reconciler = Reconciler(
            caches=self.caches,
            sources=sources,
            authorization=authorization,
            fights=self.fights,
            orphans=orphans,
            applier=self.applier,
            reporter=reporter,
        )
        self.controller = Controller(self.queue, reconciler, Backoff(chance), self.metrics, settings.workers)
        self.health = HealthServer(Address.parse(settings.health_address), registry)
        self._connect(registry)

    def _connect(self, registry: CollectorRegistry) -> None:
        Triggers(self.caches, self.queue, self.applier, self.standing).connect()
        observe_watches(registry, self.caches.all, self._now)
        observe(registry, self.queue, self.controller, self.applier, self.standing)
        for name in self.caches.all:
            self.health.ready_when(name, partial(self._unready, name))
            self.health.alive_when(name, partial(self._deaf, name))

    def _wrote(self, sync: NamespacedName, write: Write) -> None:
        self.fights.wrote(sync, write)

    async def run(self, stop: asyncio.Event) -> None:
        """Watch and work until `stop`."""
        async with asyncio.TaskGroup() as background:
            tasks = [background.create_task(informer.run(), name=name) for name, informer in self.caches.all.items()]
            tasks.append(background.create_task(self.events.run(), name="events"))
            tasks.append(background.create_task(self._work(), name="work"))
            await stop.wait()
            self.queue.shutdown()
            await self._drain()
            for task in tasks:
                task.cancel()

    async def _work(self) -> None:
        await self.caches.synced()
        gc.freeze()  # what is cached now lives long; the collector need not walk it again
        structlog.get_logger("app").info(
            "caches are in sync", **{name: len(informer) for name, informer in self.caches.all.items()}
        )
        self.standing.begin()
        await self.controller.run()

    async def _drain(self) -> None:
        try:
            async with asyncio.timeout(DRAIN_LIMIT):
                await self.applier.drain()
                await self.events.drain()
        except TimeoutError:
            structlog.get_logger("app").warning("writes in flight were given up", seconds=DRAIN_LIMIT)

    def _unready(self, name: str) -> str | None:
        informer = self.caches.all[name]
        if informer.synced.is_set():
            return None
        return f"waiting for the list of {name}" + (f": {informer.problem}" if informer.problem else "")

    def _deaf(self, name: str) -> str | None:
        age = self._watch_ages()[name]
        return f"the watch of {name} has heard nothing for {age:.0f} s" if age > DEAF_LIMIT else None

    def _watch_ages(self) -> dict[str, float]:
        return {name: self._now() - informer.last_heard for name, informer in self.caches.all.items()}
