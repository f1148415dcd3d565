"""`python -m reconciler`: settings, logs, and the loop. Everything else is `app.py`'s, or, for `plan`, `preview/command.py`'s."""

import random
import sys
from datetime import UTC, datetime

from dryrun import command
from reconciler.app import run
from reconciler.settings import ReconcilerSettings
from runtime import lifecycle, logs
from runtime.settings import load


def main() -> None:
    """Run the reconciler until SIGTERM, or tell a plan; ends the process with its exit code."""
    if sys.argv[1:2] == ["plan"]:
        sys.exit(command.main(sys.argv[2:]))
    settings = load(ReconcilerSettings, "configmapsync-reconciler")
    verbosity = logs.configure(settings.log_format, settings.log_level)
    rng = random.Random()  # noqa: S311 - jitter, made here once
    sys.exit(lifecycle.run(lambda stop: run(settings, _clock, rng, stop), verbosity))


def _clock() -> datetime:
    return datetime.now(UTC)  # noqa: TID251 - the one clock of the process


if __name__ == "__main__":
    main()
