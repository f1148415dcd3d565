"""A request on a resource, and its answer.

`server.py` makes calls, and `resources.py` answers them.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from devcluster.access.users import User
from devcluster.http.negotiation import Accepted
from devcluster.http.routes import Route
from devcluster.storage.target import Target


@dataclass(frozen=True, slots=True)
class Call:
    """A request on a resource, with its body read and its user known."""

    route: Route
    method: str
    query: Mapping[str, str]
    content_type: str
    body: bytes
    accepted: Accepted
    user: User
    user_agent: str
    warn: Callable[[str], None]

    @property
    def target(self) -> Target:
        """What it is about."""
        route = self.route
        return Target(route.kind, route.home, route.name, self.user, self.warn, route.subresource)


@dataclass(frozen=True, slots=True)
class Answer:
    """A status and a body."""

    status: int
    body: bytes
    yaml: bool = False
