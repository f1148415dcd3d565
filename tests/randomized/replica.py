"""Run one unchanged reconciler on a fake connection, and kill it at any await."""

import asyncio
import functools
import random
from collections.abc import Callable
from datetime import datetime
from typing import cast

from prometheus_client import CollectorRegistry

from kube.connection import Connection
from reconciler.app import App
from reconciler.settings import ReconcilerSettings
from tests.randomized.fake_connection import FakeConnection


class Replica:
    """A reconciler that runs in the background of this event loop."""

    def __init__(self, connection: FakeConnection, clock: Callable[[], datetime]) -> None:
        """Start the reconciler.

        Args:
            connection: its connection to the cluster; only `kill` may close it.
            clock: the time of day.
        """
        self.connection = connection
        rng = random.Random(1)  # noqa: S311 - jitter
        app = App(
            _settings(), cast("Connection", connection), None, CollectorRegistry(), clock, rng
        )
        self._running = asyncio.create_task(app.run(asyncio.Event()))

    @property
    def problem(self) -> str | None:
        """Return why the reconciler ended by itself; None while it runs."""
        return (
            f"the reconciler ended: {self._running.exception()!r}" if self._running.done() else None
        )

    async def kill(self, spared: set[asyncio.Task[None]]) -> None:
        """Cancel every task at once, as a power failure does; no later request is carried out.

        Args:
            spared: tasks that do not belong to the reconciler.
        """
        self.connection.close()
        victims = (
            asyncio.all_tasks() - spared - {cast("asyncio.Task[None]", asyncio.current_task())}
        )
        for victim in victims:
            victim.cancel()
        await asyncio.gather(*victims, return_exceptions=True)


@functools.cache
def _settings() -> ReconcilerSettings:
    return ReconcilerSettings(health_address="127.0.0.1:0")
