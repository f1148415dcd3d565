"""Write an audit log with a line for each request, as kube-apiserver does.

Each line has the user, the verb, the object and the decision of the authorizer.
Bodies are never logged.
"""

import json
from pathlib import Path
from typing import Any

from devcluster.access.rbac import Attributes

DECISION = "authorization.k8s.io/decision"


class AuditLog:
    """Appends to a file, or to none."""

    def __init__(self, path: Path | None) -> None:
        self._file = path.open("a", buffering=1) if path is not None else None

    def close(self) -> None:
        """Write nothing more."""
        if self._file is not None:
            self._file.close()

    def note(self, user: str, attributes: Attributes, *, allowed: bool) -> None:
        """Write one line."""
        if self._file is not None:
            self._file.write(
                json.dumps(_event(user, attributes, "allow" if allowed else "forbid")) + "\n"
            )


def _event(user: str, attributes: Attributes, decision: str) -> dict[str, Any]:
    event: dict[str, Any] = {
        "kind": "Event",
        "apiVersion": "audit.k8s.io/v1",
        "level": "Metadata",
        "verb": attributes.verb,
        "user": {"username": user},
        "annotations": {DECISION: decision},
    }
    if attributes.path:
        return event | {"requestURI": attributes.path}
    reference = {
        "apiGroup": attributes.group,
        "apiVersion": attributes.version,
        "resource": attributes.resource,
        "subresource": attributes.subresource,
        "namespace": attributes.namespace,
        "name": attributes.name,
    }
    return event | {"objectRef": {key: value for key, value in reference.items() if value}}
