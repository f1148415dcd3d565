"""Connect this process to leader election, if it is configured.

`app.py` runs everything that writes inside `Elector.leadership()`, over a connection
whose fence is `Elector.check`. The protocol is in `kube/leader_election.py`.
"""

import random
import socket
import time
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import datetime

from kube.connection import Connection, ConnectionSettings, RequestMetrics
from kube.leader_election import Elector
from kube.lease_record import LeaseRecord
from reconciler.settings import ReconcilerSettings

# A renewal, and a second request after a timeout.
CONCURRENT_REQUESTS = 2


@asynccontextmanager
async def candidacy(
    settings: ReconcilerSettings,
    connection: ConnectionSettings,
    metrics: RequestMetrics,
    clock: Callable[[], datetime],
    rng: random.Random,
) -> AsyncIterator[Elector | None]:
    """Yield the elector of this process; None if it is the only replica.

    The elector has a connection of its own, so that other requests cannot delay a renewal.

    Args:
        settings: whether to elect a leader, and by which Lease.
        connection: how to connect.
        metrics: counts the requests.
        clock: the time of day, for the timestamps in the Lease.
        rng: for jitter.

    Raises:
        ConfigurationError: the settings name no API server.
    """
    if not settings.leader_elect:
        yield None
        return
    own = replace(
        connection,
        write_limit=CONCURRENT_REQUESTS,
        user_agent=f"{connection.user_agent}/leader-election",
    )
    async with Connection.open(own, metrics) as opened:
        record = LeaseRecord(opened, settings.lease_namespace(), settings.leader_election_name)
        # The host name is the name of the pod. Two containers of a pod have the same one.
        identity = f"{socket.gethostname()}_{uuid.uuid4()}"
        yield Elector(
            record, identity, settings.lease_timing(), now=_boot_clock, clock=clock, rng=rng
        )


def _boot_clock() -> float:
    """Return seconds on a clock that also runs while the process is stopped or the host sleeps."""
    if hasattr(time, "CLOCK_BOOTTIME"):
        return time.clock_gettime(time.CLOCK_BOOTTIME)
    return time.monotonic()
