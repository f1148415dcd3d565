"""Build the parts of the webhook process, and start and stop them in order.

`__main__.py` runs it. The health server starts first, then the caches and the
certificate, then the two webhook paths, so no review is checked against an incomplete
cache. To stop, the process becomes unready so that the API servers stop calling, then
finishes the requests in flight.
"""

import asyncio
import random
from datetime import UTC, datetime

import structlog
from prometheus_client import CollectorRegistry

from kube.client import Client
from kube.connection import Connection
from runtime.garbage import keep_collections_short
from runtime.health import HealthServer
from runtime.lifecycle import until_stopped
from runtime.metrics import LoopLag
from runtime.settings import Address
from webhook.admission import Admission
from webhook.authorization import Authorizer
from webhook.certwatcher import CertWatcher, follow
from webhook.cluster_state import ClusterState
from webhook.metrics import Metrics
from webhook.paths import ServedPaths
from webhook.server import WebhookServer
from webhook.settings import AuthorizationMode, Settings


class Webhook:
    """The webhook process."""

    def __init__(
        self, settings: Settings, connection: Connection, registry: CollectorRegistry
    ) -> None:
        self._log = structlog.get_logger("app")
        self._settings = settings
        now = asyncio.get_running_loop().time
        self._unready: str | None = "not listening yet"
        self._metrics = Metrics(registry)
        self._loop_lag = LoopLag(registry)
        self._health = HealthServer(Address.parse(settings.health_address), registry)
        self._watcher = CertWatcher(
            settings.certificate_dir, self._metrics, settings.client_ca_file
        )
        self._paths = ServedPaths(settings.certificate_dir, now)
        rng = random.Random()  # noqa: S311 - jitter for the informers, built here once
        self._state = ClusterState(connection, settings.protected(), rng)
        authorizer = Authorizer(
            Client(connection), now, self._metrics.access_review_answered, settings.authorization
        )
        self._server = WebhookServer(
            Address.parse(settings.listen),
            self._watcher,
            self._paths,
            Admission(self._state, authorizer),
            self._metrics,
            client_names=frozenset(settings.client_name),
        )
        self._add_checks()

    async def run(self, stop: asyncio.Event) -> None:
        """Serve until `stop` is set.

        Raises:
            OSError: the process cannot listen at the address of its health server.
            ExceptionGroup: a part failed; it holds an `OSError` if the webhook cannot listen.
        """
        if self._settings.authorization is not AuthorizationMode.ENFORCE:
            self._log.warning(
                "rights of users are not enforced", authorization=self._settings.authorization
            )
        health = await self._health.start()
        self._log.info("started", health_address=str(health))
        try:
            async with asyncio.TaskGroup() as background:
                keepers = [
                    background.create_task(work)
                    for work in (
                        *(informer.run() for informer in self._state.informers.values()),
                        follow(self._watcher.look, self._paths.look),
                        self._loop_lag.run(),
                    )
                ]
                if await until_stopped(stop, self._prepared()):
                    keepers.append(background.create_task(keep_collections_short()))
                    await self._serve(stop)
                for keeper in keepers:
                    keeper.cancel()
        finally:
            await self._health.close()

    async def _serve(self, stop: asyncio.Event) -> None:
        """Listen until `stop` is set, and close after the drain time."""
        address = await self._server.start()
        self._unready = None
        self._log.info("serving", address=str(address))
        await stop.wait()
        self._log.info("stopping", drain_seconds=self._settings.drain_seconds)
        self._unready = "the process is stopping"
        self._server.drain()
        await asyncio.sleep(self._settings.drain_seconds)
        await self._server.close()
        self._log.info("stopped")

    async def _prepared(self) -> bool:
        """Wait for the caches and the certificate, and return True."""
        for informer in self._state.informers.values():
            await informer.synced.wait()
        return await self._watcher.loaded.wait()

    def _add_checks(self) -> None:
        self._health.ready_when("listener", lambda: self._unready)
        self._health.ready_when(
            "certificate",
            lambda: self._watcher.problem(datetime.now(UTC)),  # noqa: TID251 - of the handshakes
        )
        self._health.ready_when("paths", self._paths.problem)
        self._health.add_watches(self._state.informers)
