"""Read from an API server's audit log which rights a user has used.

Both kinds of cluster write the same format.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ALLOWED = "allow"


class Used(NamedTuple):
    """A right, as a rule of a role grants it."""

    group: str
    resource: str
    verb: str


READING = frozenset({"get", "list", "watch"})


def rights_used(log: Path, user: str) -> set[Used]:
    """Return the rights that `user` has used so far."""
    return set(_allowed(log, user))


def writes(log: Path, user: str) -> list[Used]:
    """Return every request of `user` so far that may have changed an object."""
    return [used for used in _allowed(log, user) if used.verb not in READING]


def _allowed(log: Path, user: str) -> Iterator[Used]:
    # The server may still be writing the last line.
    whole_lines = log.read_text().rpartition("\n")[0]
    for line in whole_lines.splitlines():
        event = json.loads(line)
        reference = event.get("objectRef")
        # A request with an invalid token has no user.
        if reference is None or event["user"].get("username") != user:
            continue
        if event.get("annotations", {}).get("authorization.k8s.io/decision") == ALLOWED:
            resource = "/".join(
                part for part in (reference["resource"], reference.get("subresource")) if part
            )
            yield Used(reference.get("apiGroup", ""), resource, event["verb"])
