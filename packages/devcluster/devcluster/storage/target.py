"""What a request is about: the kind, the place, and the user.

`http/resources.py` makes it for each request; the registry and its checks read it.
"""

from collections.abc import Callable
from dataclasses import dataclass

from devcluster.access.users import User
from devcluster.schema.kinds import Kind


@dataclass(frozen=True, slots=True)
class Target:
    """What a request is about, on whose behalf, and how.

    Attributes:
        kind: of the object.
        namespace: empty for cluster-scoped kinds.
        name: empty where the server is to make one.
        user: the requesting user.
        warn: takes what the user should know although the request is served.
        subresource: such as `status`.
    """

    kind: Kind
    namespace: str
    name: str
    user: User
    warn: Callable[[str], None]
    subresource: str = ""
