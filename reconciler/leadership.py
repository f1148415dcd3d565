"""Which of several replicas works: makes this process a candidate for the Lease, where it is told to be one.

`kube/leader_election.py` has the rules. Everything that writes runs inside `leadership()`, and over a connection whose fence is `check`.
"""

import random
import socket
import time
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from dataclasses import replace
from datetime import datetime
from typing import Protocol

from kube.client import Client
from kube.connection import Connection, ConnectionSettings, RequestMetrics
from kube.errors import ApiError
from kube.leader_election import Elector
from kube.lease_record import LeaseRecord
from reconciler.settings import ReconcilerSettings

PARALLEL = 2  # a renewal, and one more


class Leadership(Protocol):
    """The right to work."""

    @property
    def problem(self) -> ApiError | None:
        """Why it cannot be asked for now."""

    def check(self) -> None:
        """Raise where nothing may be written now."""

    def leadership(self) -> AbstractAsyncContextManager[None]:
        """Wait for it, and have it for the length of a block."""


class Alone:
    """The only replica: it may always work."""

    problem: ApiError | None = None

    def check(self) -> None:
        """Nobody else writes."""

    def leadership(self) -> AbstractAsyncContextManager[None]:
        """It is there."""
        return nullcontext()


@asynccontextmanager
async def candidacy(
    settings: ReconcilerSettings,
    connection: ConnectionSettings,
    metrics: RequestMetrics,
    clock: Callable[[], datetime],
    rng: random.Random,
) -> AsyncIterator[Leadership]:
    """The way of this process to leadership, with a connection of its own.

    Args:
        settings: whether there is an election, and for which Lease.
        connection: how to connect.
        metrics: are told of every request.
        clock: the time of day.
        rng: for jitter.

    Raises:
        ConfigurationError: the API server cannot be found.
    """
    if not settings.leader_elect:
        yield Alone()
        return
    own = replace(
        connection, write_limit=PARALLEL, user_agent=f"{connection.user_agent}/leader-election"
    )
    async with await Connection.open(own, metrics) as opened:
        record = LeaseRecord(
            Client(opened), settings.lease_namespace(), settings.leader_election_name
        )
        identity = f"{socket.gethostname()}_{uuid.uuid4()}"  # of a pod, its name; two containers may have the same
        yield Elector(
            record, identity, settings.lease_timing(), now=_running_clock, clock=clock, rng=rng
        )


def _running_clock() -> float:
    """Seconds by a clock that also runs while the process is stopped and while its machine sleeps."""
    return (
        time.clock_gettime(time.CLOCK_BOOTTIME)
        if hasattr(time, "CLOCK_BOOTTIME")
        else time.monotonic()
    )
