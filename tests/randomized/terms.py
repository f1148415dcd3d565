"""Check that one replica writes in each term, and with a precondition."""

from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from tests.randomized.fake_connection import BeforeWrite
from tests.randomized.replica import Replica, current_replica


class TermChecker:
    """Looks at each write before it is carried out."""

    def __init__(self, replicas: Callable[[], Sequence[Replica]], then: BeforeWrite) -> None:
        """Prepare.

        Args:
            replicas: returns the running replicas.
            then: looks at the write as well.
        """
        self._replicas = replicas
        self._then = then
        self.writers: list[str] = []  # each replica that wrote, in the order of the terms
        self.late = 0  # writes that were carried out after their replica stopped waiting
        self.violations: list[str] = []

    def before_write(self, method: str, path: str, body: bytes | None) -> Callable[[], None]:
        """Check a write; a late one needs no term, because its precondition bounds it."""
        what = f"{method} {path}"
        writer = current_replica()
        if writer is None:
            self.late += 1
        else:
            self._check_term(writer, what)
        if "/events" not in path and not _has_precondition(method, body):
            self.violations.append(f"{what} has no precondition")
        return self._then(method, path, body)

    def _check_term(self, writer: Replica, what: str) -> None:
        leaders = [each.identity for each in self._replicas() if each.leads]
        if leaders != [writer.identity]:
            self.violations.append(f"{what} by {writer.identity} while {leaders} lead")
        name = str(writer.identity)
        if not self.writers or self.writers[-1] != name:
            self.writers.append(name)


def _has_precondition(method: str, body: bytes | None) -> bool:
    document: dict[str, Any] = msgspec.json.decode(body) if body else {}
    if method == "DELETE":
        return {"uid", "resourceVersion"} <= document.get("preconditions", {}).keys()
    # A create has one by nature: the name must be free.
    return method == "POST" or "resourceVersion" in document.get("metadata", {})
