"""What an API server's audit log tells of one user: every right that was used. Both kinds of cluster write the same form."""

import json
from pathlib import Path
from typing import NamedTuple

ALLOWED = "allow"


class Used(NamedTuple):
    """A right, as a rule of a role would give it."""

    group: str
    resource: str
    verb: str


def rights_used(log: Path, user: str) -> set[Used]:
    """The rights that `user` has used so far."""
    used: set[Used] = set()
    for line in log.read_text().splitlines():
        event = json.loads(line)
        reference = event.get("objectRef")
        if reference is None or event["user"]["username"] != user:
            continue
        if event.get("annotations", {}).get("authorization.k8s.io/decision") == ALLOWED:
            resource = "/".join(part for part in (reference["resource"], reference.get("subresource")) if part)
            used.add(Used(reference.get("apiGroup", ""), resource, event["verb"]))
    return used
