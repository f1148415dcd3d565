"""`python -m webhook`: read the settings, find the cluster, run the process."""

import asyncio
import sys
from collections.abc import Sequence

import structlog

from kube.connection import ConfigurationError, Connection, ConnectionSettings
from runtime import logs
from runtime import settings as runtime_settings
from runtime.lifecycle import run
from runtime.metrics import RequestMetrics, new_registry
from webhook.app import Webhook
from webhook.settings import Settings

log = structlog.stdlib.get_logger()

PROGRAM = "configmapsync-webhook"
EXIT_CANNOT_START = 2

# Each user has eight questions under way at most (`webhook/limits.py`): slow ones of a dozen users leave connections for the others.
REQUESTS_AT_ONCE = 128


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the webhook; returns its exit code."""
    settings = runtime_settings.load(Settings, PROGRAM, arguments)
    verbosity = logs.configure(settings.log_format, settings.log_level)
    return run(lambda stop: _run(settings, stop), verbosity)


async def _run(settings: Settings, stop: asyncio.Event) -> int:
    """What people can mend is one line, not a traceback: a kubeconfig that cannot be read, a port that is taken."""
    connecting = ConnectionSettings(
        kubeconfig=settings.kubeconfig,
        context=settings.context,
        disable_strict_tls=settings.relaxed_tls,
        user_agent=PROGRAM,
        write_limit=REQUESTS_AT_ONCE,
    )
    registry = new_registry()
    try:
        async with await Connection.open(connecting, RequestMetrics(registry)) as connection:
            return await Webhook(settings, connection, registry).run(stop)
    except (ConfigurationError, OSError) as error:
        log.error("cannot start", error=str(error))  # noqa: TRY400 - the traceback says nothing more
        return EXIT_CANNOT_START


if __name__ == "__main__":
    sys.exit(main())
