"""`python -m certs ensure|inspect`: build everything once, run, and turn failures into one line and an exit code."""

import json
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import structlog

from certs import inspection
from certs.cluster import MUTATING, VALIDATING, Configuration, SecretStore, Trust
from certs.directory import DirectoryStore
from certs.ensure import Ensurer, NobodyToTell, UnsettledError
from certs.material import NotOursError, Store
from certs.settings import Settings
from kube.connection import ConfigurationError, Connection, ConnectionSettings
from kube.errors import ApiError
from runtime import logs
from runtime import settings as runtime_settings
from runtime.lifecycle import run

log = structlog.stdlib.get_logger()

PROGRAM = "configmapsync-certs"
NOTHING_TO_WAIT_FOR = timedelta(0)


def clock() -> datetime:
    """The one clock of this process."""
    return datetime.now(UTC)  # noqa: TID251 - built here, an argument everywhere else


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the tool; returns its exit code."""
    settings = runtime_settings.load(Settings, PROGRAM, arguments)
    verbosity = logs.configure(settings.log_format, settings.log_level)
    return run(lambda _stop: _guarded(settings), verbosity)


async def _guarded(settings: Settings) -> int:
    """Failures that people can do something about are one line, not a traceback."""
    try:
        await (_inspect if settings.command == "inspect" else _ensure)(settings)
    except (ApiError, ConfigurationError, NotOursError, UnsettledError, OSError) as error:
        log.error("not done", command=settings.command, error=str(error))  # noqa: TRY400 - the traceback says nothing more
        return 1
    return 0


async def _ensure(settings: Settings) -> None:
    async with _parts(settings) as (store, trust):
        publisher, settling = (trust, settings.settling) if trust else (NobodyToTell(), NOTHING_TO_WAIT_FOR)
        await Ensurer(store, publisher, settings.order, clock, settling, settings.renew).ensure()


async def _inspect(settings: Settings) -> None:
    async with _parts(settings) as (store, trust):
        stored = await store.load()
        bundles = await trust.read() if trust else {}
    found = inspection.findings(store.place, stored.material, bundles, settings.order, clock())
    text = (
        inspection.as_text(found) if settings.output == "text" else json.dumps(inspection.as_document(found), indent=2)
    )
    sys.stdout.write(text + "\n")


@asynccontextmanager
async def _parts(settings: Settings) -> AsyncIterator[tuple[Store, Trust | None]]:
    """Yield the store and who must trust; a cluster is spoken to only where one of them needs it."""
    if settings.dir is not None and not settings.injects:
        yield DirectoryStore(settings.dir), None
        return
    connecting = ConnectionSettings(
        kubeconfig=settings.kubeconfig,
        context=settings.context,
        disable_strict_tls=settings.relaxed_tls,
        user_agent=PROGRAM,
    )
    async with await Connection.open(connecting) as connection:
        store = (
            DirectoryStore(settings.dir)
            if settings.dir
            else SecretStore(connection, settings.namespace, settings.secret)
        )
        yield store, Trust(connection, _configurations(settings)) if settings.injects else None


def _configurations(settings: Settings) -> tuple[Configuration, ...]:
    wanted = (
        Configuration(MUTATING, settings.mutating_configuration),
        Configuration(VALIDATING, settings.validating_configuration),
    )
    return tuple(configuration for configuration in wanted if configuration.name)


if __name__ == "__main__":
    sys.exit(main())
