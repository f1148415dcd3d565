"""One reconciler process, whole and unchanged, over a door instead of a connection; it can be killed at any await."""

import asyncio
import functools
import random
from collections.abc import Callable
from datetime import datetime
from typing import cast

from prometheus_client import CollectorRegistry

from kube.connection import Connection
from reconciler.app import App
from reconciler.leadership import Alone
from reconciler.settings import ReconcilerSettings
from tests.randomized.fake_connection import FakeConnection


class Replica:
    """A reconciler that runs in the background of this event loop."""

    def __init__(self, door: FakeConnection, clock: Callable[[], datetime]) -> None:
        """Start it.

        Args:
            door: its way to the cluster; it must be closed through `kill`, and by nobody else.
            clock: the time of day.
        """
        self.door = door
        rng = random.Random(1)  # noqa: S311 - jitter
        app = App(_settings(), cast("Connection", door), Alone(), CollectorRegistry(), clock, rng)
        self._running = asyncio.create_task(app.run(asyncio.Event()))

    @property
    def problem(self) -> str | None:
        """Why it ended by itself; None while it runs."""
        return (
            f"the reconciler ended: {self._running.exception()!r}" if self._running.done() else None
        )

    async def kill(self, spared: set[asyncio.Task[None]]) -> None:
        """End it as a power failure does: nothing that it would still say reaches anybody.

        Args:
            spared: tasks that are not part of it.
        """
        self.door.slam()
        victims = (
            asyncio.all_tasks() - spared - {cast("asyncio.Task[None]", asyncio.current_task())}
        )
        for victim in victims:
            victim.cancel()
        await asyncio.gather(*victims, return_exceptions=True)


@functools.cache
def _settings() -> ReconcilerSettings:
    return ReconcilerSettings(health_address="127.0.0.1:0")
