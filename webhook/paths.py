"""Which URL paths are served: the two plain ones, or the same below an unguessable prefix.

The certificate tool writes a token next to the serving pair, and into the path of both webhook configurations. So only the API servers
know the path, and a request from anywhere else in the pod network ends with a 404. `server.py` asks for each request; the token must
never reach a log, a metric or an answer.
"""

import asyncio
import hmac
import re
from collections.abc import Callable
from pathlib import Path

import structlog

from webhook.certwatcher import LOOKED_AT_EVERY_SECONDS, generation_of

log = structlog.stdlib.get_logger()

MUTATE_PATH = "/mutate-apps-nishaf-info-v1-configmapsync"
VALIDATE_PATH = "/validate-apps-nishaf-info-v1-configmapsync"
PATHS = (MUTATE_PATH, VALIDATE_PATH)

TOKEN_FILE = "path-token"  # noqa: S105 - the name of the file
PREVIOUS_TOKEN_FILE = "previous-path-token"  # noqa: S105 - the name of the file; empty for the plain paths
TOKEN = re.compile(r"[A-Za-z0-9_-]{32,128}")
PLAIN = ""

# The tool changes the webhook configurations after the Secret, and a kubelet may take a minute and a half to mount a changed Secret.
FORMER_SERVED_SECONDS = 600.0
FORMER_SERVED_AT_MOST = 4


class ServedPaths:
    """Follows the token in a directory.

    Without a token the plain paths are served. With one only the paths below it are. While a change reaches all processes, the former
    paths are served as well, so that no admission fails: for as long as a previous token lies in the directory, or for some minutes where
    the token changes without one.

    Args:
        directory: with the token beside the serving pair.
        now: the event loop's clock.
    """

    def __init__(self, directory: Path, now: Callable[[], float]) -> None:
        self._directory = directory
        self._now = now
        self._prefix: str | None = None  # None: nothing was read yet, or nothing that can be served
        self._previous: str | None = None  # None: there is no previous token
        self._former: list[tuple[str, float]] = []
        self._problem: str | None = "the path token was not looked for yet"

    def problem(self) -> str | None:
        """Return why no path is served, or None."""
        return self._problem if self._prefix is None else None

    async def run(self) -> None:
        """Look for a changed token until cancelled."""
        while True:
            self.look()
            await asyncio.sleep(LOOKED_AT_EVERY_SECONDS)

    def look(self) -> None:
        """Read the token. One that cannot be used leaves the former paths in service."""
        try:
            generation = generation_of(self._directory)
            prefix = _read(generation / TOKEN_FILE) or PLAIN
            previous = _read(generation / PREVIOUS_TOKEN_FILE)
        except (OSError, ValueError) as error:
            self._report(str(error))
            return
        if generation_of(self._directory) != generation:
            return  # the directory was switched meanwhile: a file that is missing may be there in the new generation
        self._problem = None
        if (prefix, previous) == (self._prefix, self._previous):
            return
        if previous is not None or self._previous is not None:
            self._former.clear()  # the tool says itself for how long the former paths count
        elif self._prefix is not None:
            self._former.append((self._prefix, self._now() + FORMER_SERVED_SECONDS))
            del self._former[:-FORMER_SERVED_AT_MOST]
        self._prefix, self._previous = prefix, previous
        log.info("paths served", unguessable=prefix != PLAIN, previous_served=previous is not None)

    def plain(self, path: str) -> str | None:
        """Return the plain path that a requested one stands for, or None if it is not served."""
        found = None
        for prefix in self._served():
            for each in PATHS:
                if hmac.compare_digest(path.encode(), f"{prefix}{each}".encode()):
                    found = each
        return found

    def _served(self) -> list[str]:
        if self._former:
            self._former = [
                (prefix, until) for prefix, until in self._former if until > self._now()
            ]
        served = (self._prefix, self._previous, *(prefix for prefix, _ in self._former))
        return [prefix for prefix in served if prefix is not None]

    def _report(self, problem: str) -> None:
        """Log a problem once, not at every look."""
        if problem != self._problem:
            log.warning("path token not loaded", error=problem)
        self._problem = problem


def _read(file: Path) -> str | None:
    """Return the prefix that a token file stands for, or None without the file."""
    try:
        text = file.read_text(encoding="ascii", errors="replace").strip()
    except FileNotFoundError:
        return None
    if not text and file.name == PREVIOUS_TOKEN_FILE:
        return PLAIN
    if not TOKEN.fullmatch(text):
        raise ValueError(f"{file.name} is not a token of 32 to 128 letters, digits, - and _")
    return f"/{text}"
