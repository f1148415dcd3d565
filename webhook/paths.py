"""Decide which URL paths are served: plain paths, or the same below a secret prefix.

The certificate tool writes a path token next to the serving pair, and into the path of
both webhook configurations. Only the API servers know the path then; any other request
ends with a 404. `app.py` calls `look` periodically, and `server.py` asks for each
request. The token must not appear in a log, metric or answer.
"""

import hmac
import re
from collections.abc import Callable
from itertools import product
from pathlib import Path

import structlog

from webhook.certwatcher import generation_of

MUTATE_PATH = "/mutate-apps-nishaf-info-v1-configmapsync"
VALIDATE_PATH = "/validate-apps-nishaf-info-v1-configmapsync"
PATHS = (MUTATE_PATH, VALIDATE_PATH)

TOKEN_FILE = "path-token"  # noqa: S105 - the name of the file
# Empty if the previous paths were the plain ones.
PREVIOUS_TOKEN_FILE = "previous-path-token"  # noqa: S105 - the name of the file
TOKEN = re.compile(r"[A-Za-z0-9_-]{32,128}")
PLAIN = ""

# The tool changes the webhook configurations after the Secret, and a kubelet may take 90 s to
# mount a changed Secret.
FORMER_SERVED_SECONDS = 600.0
MAX_FORMER_SERVED = 4


class ServedPaths:
    """Knows the served paths from the path token of a directory, as of the last `look`.

    Without a token, the plain paths are served; with one, only the paths below it. While a
    changed token reaches all processes, the previous paths are served as well, so that no
    admission fails: as long as the directory holds a previous token, or for
    `FORMER_SERVED_SECONDS` if the token changes without one.
    """

    def __init__(self, directory: Path, now: Callable[[], float]) -> None:
        """Prepare; nothing is read before `look`.

        Args:
            directory: with the token beside the serving pair.
            now: returns the time in seconds, on the event loop's clock.
        """
        self._log = structlog.get_logger("paths")
        self._directory = directory
        self._now = now
        # None until a token was read that can be served.
        self._prefix: str | None = None
        # None if there is no previous token.
        self._previous: str | None = None
        self._former: list[tuple[str, float]] = []
        self._problem: str | None = "the path token was not read yet"

    def problem(self) -> str | None:
        """Return why no path is served, or None."""
        return self._problem if self._prefix is None else None

    def look(self) -> None:
        """Read the token. If it is unusable, the previous paths stay in service."""
        try:
            generation = generation_of(self._directory)
            prefix = _read(generation / TOKEN_FILE) or PLAIN
            previous = _read(generation / PREVIOUS_TOKEN_FILE)
        except (OSError, ValueError) as error:
            if str(error) != self._problem:  # logged once, not at every read
                self._log.warning("path token not loaded", error=str(error))
            self._problem = str(error)
            return
        if generation_of(self._directory) != generation:
            # The directory was switched meanwhile: a missing file may exist in the new
            # generation.
            return
        self._problem = None
        if (prefix, previous) == (self._prefix, self._previous):
            return
        if previous is not None or self._previous is not None:
            # The tool removes the previous token itself.
            self._former.clear()
        elif self._prefix is not None:
            self._former.append((self._prefix, self._now() + FORMER_SERVED_SECONDS))
            del self._former[:-MAX_FORMER_SERVED]
        self._prefix, self._previous = prefix, previous
        self._log.info(
            "paths served", unguessable=prefix != PLAIN, previous_served=previous is not None
        )

    def plain(self, path: str) -> str | None:
        """Return the plain path that a requested path stands for, or None if it is not served."""
        served = [self._prefix, self._previous]
        served += [prefix for prefix, until in self._former if until > self._now()]
        found = None
        for prefix, plain in product(served, PATHS):
            if prefix is not None and hmac.compare_digest(
                path.encode(), f"{prefix}{plain}".encode()
            ):
                found = plain
        return found


def _read(file: Path) -> str | None:
    """Return the prefix for a token file, or None if the file does not exist."""
    try:
        text = file.read_text(encoding="ascii", errors="replace").strip()
    except FileNotFoundError:
        return None
    if not text and file.name == PREVIOUS_TOKEN_FILE:
        return PLAIN
    if not TOKEN.fullmatch(text):
        raise ValueError(f"{file.name} is not a token of 32 to 128 letters, digits, - and _")
    return f"/{text}"
