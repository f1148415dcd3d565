"""Run the certificate tool: `python -m certs ensure|revoke|inspect`.

Builds the parts and runs the command. Expected failures become one log line and exit
code 1.
"""

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import NamedTuple

import structlog

from certs import inspection
from certs.directory import DirectoryStore
from certs.ensure import Ensurer, UnsettledError
from certs.material import ForeignObjectError, Store
from certs.pods import ServicePods
from certs.secret_store import SecretStore
from certs.settings import Settings
from certs.trust import Trust
from kube.client import Client
from kube.configuration import ConfigurationError
from kube.connection import Connection, ConnectionSettings
from kube.errors import ApiError
from runtime import lifecycle

PROGRAM = "configmapsync-certs"


class Parts(NamedTuple):
    """The parts of one run.

    Attributes:
        store: keeps the material.
        trust: the webhook configurations that must trust it; None to leave them alone.
        pods: the pods that serve it; None if they cannot be asked.
    """

    store: Store
    trust: Trust | None
    pods: ServicePods | None


def clock() -> datetime:
    """Return the current time in UTC."""
    return datetime.now(UTC)  # noqa: TID251 - built here, an argument everywhere else


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the tool and return its exit code."""
    return lifecycle.run(Settings, PROGRAM, _run, arguments)


async def _run(settings: Settings, stop: asyncio.Event) -> int:
    """Run the command until it ends, or until the first SIGTERM or SIGINT.

    Every write is atomic, so the next run continues after an interrupted one.
    """
    code = await lifecycle.until_stopped(stop, _run_command(settings))
    if code is None:
        structlog.get_logger("certs").error(
            "stopped by a signal before the end, run the command again", command=settings.command
        )
        return 1
    return code


async def _run_command(settings: Settings) -> int:
    """Log an error that an administrator can correct as one line, without a traceback."""
    try:
        async with _parts(settings) as parts:
            await (_inspect if settings.command == "inspect" else _ensure)(settings, parts)
    except (ApiError, ConfigurationError, ForeignObjectError, UnsettledError, OSError) as error:
        structlog.get_logger("certs").error(
            "command failed", command=settings.command, error=str(error)
        )
        return 1
    return 0


async def _ensure(settings: Settings, parts: Parts) -> None:
    ensurer = Ensurer(
        *parts,
        order=settings.order,
        clock=clock,
        settling=settings.settling,
        patience=settings.patience,
        renewal=settings.renewal,
    )
    await ensurer.ensure()


async def _inspect(settings: Settings, parts: Parts) -> None:
    stored = await parts.store.load()
    clients = await parts.trust.read() if parts.trust else {}
    found = inspection.findings(
        parts.store.location, stored.material, clients, settings.order, clock()
    )
    text = (
        inspection.as_text(found)
        if settings.output == "text"
        else json.dumps(inspection.as_document(found), indent=2)
    )
    sys.stdout.write(text + "\n")


@asynccontextmanager
async def _parts(settings: Settings) -> AsyncIterator[Parts]:
    """Yield the parts. Connect to a cluster only if one of them needs it."""
    configurations = settings.configurations
    if settings.dir and not configurations:
        yield Parts(DirectoryStore(settings.dir), None, None)
        return
    connecting = ConnectionSettings(
        kubeconfig=settings.kubeconfig,
        context=settings.context,
        disable_strict_tls=settings.relaxed_tls,
        user_agent=PROGRAM,
    )
    async with Connection.open(connecting) as connection:
        client = Client(connection)
        trust = Trust(client, configurations) if configurations else None
        if settings.dir:
            yield Parts(DirectoryStore(settings.dir), trust, None)
        else:
            store = SecretStore(client, settings.namespace, settings.secret, settings.ca_secret)
            yield Parts(store, trust, ServicePods(client, settings.namespace, settings.service))


if __name__ == "__main__":
    sys.exit(main())
