"""Start the webhook: `python -m webhook`.

Reads the settings, connects to the API server and runs `app.py`.
"""

import asyncio
import sys
from collections.abc import Sequence

import structlog

from kube.configuration import ConfigurationError
from kube.connection import Connection, ConnectionSettings
from runtime import lifecycle
from runtime.metrics import RequestMetrics, new_registry
from webhook.app import Webhook
from webhook.settings import Settings

PROGRAM = "configmapsync-webhook"
EXIT_CANNOT_START = 2

# Each user has at most eight access reviews in flight (`webhook/review_slots.py`), so slow ones
# of a dozen users leave connections for others.
MAX_CONCURRENT_REQUESTS = 128


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the webhook and return its exit code."""
    return lifecycle.run(Settings, PROGRAM, _run, arguments)


async def _run(settings: Settings, stop: asyncio.Event) -> int:
    """Log an error that an administrator can correct as one line, without a traceback."""
    connecting = ConnectionSettings(
        kubeconfig=settings.kubeconfig,
        context=settings.context,
        disable_strict_tls=settings.relaxed_tls,
        user_agent=PROGRAM,
        write_limit=MAX_CONCURRENT_REQUESTS,
        watch_idle_seconds=settings.watch_idle_timeout,
    )
    registry, code = new_registry(), 0
    try:
        async with Connection.open(connecting, RequestMetrics(registry).answered) as connection:
            await Webhook(settings, connection, registry).run(stop)
    except* (ConfigurationError, OSError) as failed:
        structlog.get_logger("webhook").error("cannot start", error=str(failed.exceptions[0]))
        code = EXIT_CANNOT_START
    return code


if __name__ == "__main__":
    sys.exit(main())
