"""The process: what it is made of, and in which order that starts and stops.

Health first, then the caches and the certificate, then the two paths: nothing is judged before everything is known. At the end the other
way round: not ready first, so that the API servers stop coming, then the requests in flight, then out. `__main__.py` starts it.
"""

import asyncio
import random
from collections.abc import Coroutine
from datetime import UTC, datetime
from functools import partial
from typing import Any

import structlog
from prometheus_client import CollectorRegistry

from kube.connection import Connection
from kube.informer import Informer
from runtime.garbage import keep_collections_short
from runtime.health import HealthServer
from runtime.loop_lag import LoopLag
from runtime.metrics import observe_watches
from runtime.settings import Address
from webhook.admission import Admission
from webhook.authorization import Authorizer
from webhook.certwatcher import CertWatcher, ServedPair
from webhook.clients import ClientNames
from webhook.cluster_state import ClusterState
from webhook.metrics import Metrics
from webhook.paths import ServedPaths
from webhook.server import Decisions, WebhookServer
from webhook.settings import AuthorizationMode, Settings

log = structlog.stdlib.get_logger()

EXIT_BROKEN = 1

# Bookmarks come every minute and a dead watch is noticed within two: longer silence without a known cause is a fault of ours.
DEAF_AFTER_SECONDS = 300.0


class Webhook:
    """The process: what it is made of, and in which order that starts and stops."""

    def __init__(
        self, settings: Settings, connection: Connection, registry: CollectorRegistry
    ) -> None:
        self._settings = settings
        self._loop = asyncio.get_running_loop()
        self._listening = False
        self._draining = False
        self._metrics = Metrics(registry)
        self._loop_lag = LoopLag(registry)
        self._health = HealthServer(Address.parse(settings.health_address), registry)
        self._watcher = CertWatcher(
            settings.certificate_dir,
            self._served,
            self._metrics.certificate_unusable,
            settings.client_ca_file,
        )
        self._paths = ServedPaths(settings.certificate_dir, self._loop.time)
        rng = random.Random()  # noqa: S311 - jitter for the informers, built here once
        self._state = ClusterState(connection, settings.protected(), rng)
        authorizer = Authorizer(connection, self._loop.time, self._metrics.access_review_answered)
        admission = Admission(self._state, authorizer, settings.authorization)
        self._server = WebhookServer(
            Address.parse(settings.listen),
            self._watcher,
            self._paths,
            Decisions(mutate=admission.mutate, validate=admission.validate),
            self._metrics,
            client_names=ClientNames(frozenset(settings.client_name)),
        )
        observe_watches(registry, self._state.informers, self._loop.time)
        self._add_checks()

    async def run(self, stop: asyncio.Event) -> int:
        """Serve until `stop` is set; returns the exit code."""
        if self._settings.authorization is not AuthorizationMode.ENFORCE:
            log.warning(
                "rights of users are not enforced", authorization=self._settings.authorization
            )
        health = await self._health.start()
        log.info("started", health_address=str(health))
        try:
            return await self._serve_beside(stop)
        finally:
            await self._health.close()

    async def _serve_beside(self, stop: asyncio.Event) -> int:
        """Serve while the caches and the certificate are kept fresh; those end only by a fault, and then the process does."""
        keeping = [informer.run() for informer in self._state.informers.values()]
        own = (
            self._watcher.run(),
            self._paths.run(),
            self._loop_lag.run(),
            self._collect_garbage(),
        )
        keepers = [asyncio.ensure_future(keeper) for keeper in (*keeping, *own)]
        serving = asyncio.ensure_future(self._serve(stop))
        try:
            done, _ = await asyncio.wait((serving, *keepers), return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
            return 0 if serving in done else EXIT_BROKEN
        finally:
            await _end(serving, *keepers)

    async def _serve(self, stop: asyncio.Event) -> None:
        """Listen once there is something to judge with and to serve; close once nobody comes any more."""
        if not await _before(stop, self._prepared()):
            return
        address = await self._server.start()
        self._listening = True
        log.info("serving", address=str(address))
        await stop.wait()
        log.info("stopping", drain_seconds=self._settings.drain_seconds)
        self._draining = True
        self._server.drain()
        await asyncio.sleep(self._settings.drain_seconds)
        await self._server.close()
        log.info("stopped")

    async def _prepared(self) -> None:
        await self._synced()
        await self._watcher.wait_for_first()

    async def _synced(self) -> None:
        for informer in self._state.informers.values():
            await informer.synced.wait()

    async def _collect_garbage(self) -> None:
        await self._synced()
        await keep_collections_short()

    def _add_checks(self) -> None:
        self._health.ready_when(
            "stopping", lambda: "no new requests, please" if self._draining else None
        )
        self._health.ready_when(
            "listener", lambda: None if self._listening else "not listening yet"
        )
        self._health.ready_when("certificate", lambda: self._watcher.problem(_utc_now()))
        self._health.ready_when("paths", self._paths.problem)
        for name, informer in self._state.informers.items():
            self._health.ready_when(name, partial(_unsynced, informer))
            self._health.alive_when(name, partial(self._deaf, informer))

    def _deaf(self, informer: Informer[Any]) -> str | None:
        """A cluster that is away is no reason to restart: the informer knows, and tries again by itself."""
        silence = self._loop.time() - informer.last_heard
        if informer.problem is None and silence > DEAF_AFTER_SECONDS:
            return f"heard nothing for {silence:.0f} s"
        return None

    def _served(self, pair: ServedPair) -> None:
        self._metrics.certificate_served(pair.serial, pair.expires)


def _utc_now() -> datetime:
    return datetime.now(UTC)  # noqa: TID251 - certificates expire by the real clock


def _unsynced(informer: Informer[Any]) -> str | None:
    if informer.synced.is_set():
        return None
    return f"cannot be listed: {informer.problem}" if informer.problem else "not listed yet"


async def _before(stop: asyncio.Event, prepared: Coroutine[Any, Any, None]) -> bool:
    """Wait for `prepared`; returns whether it was done before `stop` was set."""
    preparing, stopping = asyncio.ensure_future(prepared), asyncio.ensure_future(stop.wait())
    await asyncio.wait((preparing, stopping), return_when=asyncio.FIRST_COMPLETED)
    done = preparing.done()
    await _end(preparing, stopping)
    return done


async def _end(*tasks: asyncio.Future[Any]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
