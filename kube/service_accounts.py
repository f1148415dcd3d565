"""Look whether a service account exists: the API server answers what a name may do, whether or not anything has that name."""

from collections.abc import Callable

from kube.api_server import ApiServer
from kube.errors import NotFound
from kube.rbac import Rule
from kube.wire import decode_partial, decoding

RULES = (Rule("serviceaccounts", ("get",), why="an account that was deleted has no rights"),)
METADATA = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1,application/json"
ANSWERED_WITHIN_SECONDS = 3.0
REMEMBERED_AT_MOST = 10_000


class ServiceAccounts:
    """Reads service accounts, each once within some seconds.

    Args:
        connection: the connection to the API server.
        now: the event loop's clock.
        remembered_for: seconds for which an account that existed is believed to exist. That one is missing is never remembered.
    """

    def __init__(
        self, connection: ApiServer, now: Callable[[], float], remembered_for: float
    ) -> None:
        self._connection = connection
        self._now = now
        self._remembered_for = remembered_for
        self._existed: dict[tuple[str, str], float] = {}

    async def exists(self, namespace: str, name: str) -> bool:
        """Return whether the account exists and is not being deleted: the API server accepts no token of it otherwise.

        Raises:
            ApiError: the API server refused to answer, or did not in time.
        """
        if self._existed.get((namespace, name), 0.0) > self._now():
            return True
        path = f"/api/v1/namespaces/{namespace}/serviceaccounts/{name}"
        try:
            answer = await self._connection.request(
                "GET", path, accept=METADATA, timeout=ANSWERED_WITHIN_SECONDS
            )
        except NotFound:
            return False
        with decoding(path):
            metadata = decode_partial(answer).metadata
        if metadata.deletion_timestamp is not None:
            return False
        if len(self._existed) >= REMEMBERED_AT_MOST:
            self._existed.clear()  # what is read again is only slower
        self._existed[namespace, name] = self._now() + self._remembered_for
        return True
