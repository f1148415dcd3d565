"""What an API server's audit log tells of one user: every right that was used, and how often. Both kinds of cluster write the same form."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ALLOWED = "allow"


class Used(NamedTuple):
    """A right, as a rule of a role would give it."""

    group: str
    resource: str
    verb: str


READING = frozenset({"get", "list", "watch"})


def rights_used(log: Path, user: str) -> set[Used]:
    """The rights that `user` has used so far."""
    return set(_allowed(log, user))


def writes(log: Path, user: str) -> list[Used]:
    """Every request of `user` so far that may have changed something."""
    return [used for used in _allowed(log, user) if used.verb not in READING]


def _allowed(log: Path, user: str) -> Iterator[Used]:
    whole_lines = log.read_text().rpartition("\n")[0]  # the last one may just be being written
    for line in whole_lines.splitlines():
        event = json.loads(line)
        reference = event.get("objectRef")
        if (
            reference is None or event["user"].get("username") != user
        ):  # nobody is known by a token that is refused
            continue
        if event.get("annotations", {}).get("authorization.k8s.io/decision") == ALLOWED:
            resource = "/".join(
                part for part in (reference["resource"], reference.get("subresource")) if part
            )
            yield Used(reference.get("apiGroup", ""), resource, event["verb"])
