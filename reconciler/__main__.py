"""Start the reconciler, or the `plan` command: `python -m reconciler`.

Reads the settings, opens one connection for the reconciler and one for the Lease, and
runs `app.py`. Only this module may read the time of day or make a random generator;
other modules get them as arguments.
"""

import asyncio
import random
import socket
import sys
import time
import uuid
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import replace
from datetime import UTC, datetime

import structlog

from kube.configuration import ConfigurationError
from kube.connection import Connection, ConnectionSettings
from kube.leader_election import Elector, LeaseLostError
from kube.lease_record import LeaseRecord
from reconciler.app import App
from reconciler.settings import ReconcilerSettings
from runtime import lifecycle
from runtime.metrics import RequestMetrics, new_registry

PROGRAM = "configmapsync-reconciler"
EXIT_OK, EXIT_FAILURE = 0, 1
# A renewal, and a second request after a timeout.
CONCURRENT_REQUESTS = 2


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the reconciler until SIGTERM, or print a plan, and return the exit code."""
    given = sys.argv[1:] if arguments is None else arguments
    if given[:1] == ["plan"]:
        # The reconciler never needs it, and it is half a mebibyte.
        from dryrun import command  # noqa: PLC0415

        return command.main(given[1:])
    return lifecycle.run(ReconcilerSettings, PROGRAM, _run, given)


async def _run(settings: ReconcilerSettings, stop: asyncio.Event) -> int:
    """Connect and run until `stop` is set.

    An error that an administrator can correct is one log line without a traceback.
    """
    registry = new_registry()
    on_answer = RequestMetrics(registry).answered
    connecting = ConnectionSettings(
        kubeconfig=settings.kubeconfig,
        context=settings.context,
        disable_strict_tls=settings.relaxed_tls,
        user_agent=PROGRAM,
        write_limit=settings.parallel_writes + settings.workers,
        watch_idle_seconds=settings.watch_idle_timeout,
    )
    rng = random.Random()  # noqa: S311 - for jitter
    async with AsyncExitStack() as stack:
        try:
            elector = None
            if settings.leader_elect:
                # A connection of its own, so that other requests cannot delay a renewal.
                agent = f"{PROGRAM}/leader-election"
                own = replace(connecting, write_limit=CONCURRENT_REQUESTS, user_agent=agent)
                opened = await stack.enter_async_context(Connection.open(own, on_answer))
                elector = _elector(settings, opened, rng)
            connection = await stack.enter_async_context(
                Connection.open(connecting, on_answer, elector.check if elector else None)
            )
        except ConfigurationError as error:
            structlog.get_logger("app").error("cannot connect to the API server", error=str(error))
            return EXIT_FAILURE
        app = App(settings, connection, elector, registry, _clock, rng)
        return await _serve(app, settings, stop)


async def _serve(app: App, settings: ReconcilerSettings, stop: asyncio.Event) -> int:
    log = structlog.get_logger("app")
    code = EXIT_OK
    try:
        if not await _listen(app, settings):
            return EXIT_FAILURE
        await app.run(stop)
    except* LeaseLostError:
        code = EXIT_FAILURE
    finally:
        await app.health.close()
        if app.page is not None:
            await app.page.close()
    log.info("stopped")
    return code


async def _listen(app: App, settings: ReconcilerSettings) -> bool:
    """Start the servers of the process; return False if an address cannot be used."""
    log = structlog.get_logger("app")
    address = settings.health_address
    try:
        health_address = await app.health.start()
        log.info("started", health_address=str(health_address))
        if app.page is not None:
            address = settings.page_address
            log.info("page served", page_address=str(await app.page.start()))
    except OSError as error:
        log.error("cannot listen", address=address, error=str(error))  # noqa: TRY400 - no traceback
        return False
    return True


def _elector(settings: ReconcilerSettings, connection: Connection, rng: random.Random) -> Elector:
    record = LeaseRecord(connection, settings.lease_namespace(), settings.leader_election_name)
    # The host name is the name of the pod. Two containers of a pod have the same one.
    identity = f"{socket.gethostname()}_{uuid.uuid4()}"
    timing = settings.lease_timing()
    return Elector(record, identity, timing, now=_boot_clock, clock=_clock, rng=rng)


def _boot_clock() -> float:
    """Return seconds on a clock that also runs while the process is stopped or the host sleeps."""
    if hasattr(time, "CLOCK_BOOTTIME"):
        return time.clock_gettime(time.CLOCK_BOOTTIME)
    return time.monotonic()


def _clock() -> datetime:
    return datetime.now(UTC)  # noqa: TID251 - the one clock of the process


if __name__ == "__main__":
    sys.exit(main())
