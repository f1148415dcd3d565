"""Look whether a service account exists: the API server answers what a name may do, whether or not anything has that name."""

from collections.abc import Callable

from kube.client import SERVICE_ACCOUNTS, Client
from kube.errors import NotFound
from kube.rbac import Rule
from kube.wire import decode_partial, decoding

RULES = (Rule("serviceaccounts", ("get",), why="an account that was deleted has no rights"),)
ANSWERED_WITHIN_SECONDS = 3.0
REMEMBERED_AT_MOST = 10_000


class ServiceAccounts:
    """Reads service accounts, each once within some seconds.

    Args:
        client: of the API server.
        now: the event loop's clock.
        remembered_for: seconds for which an account that existed is believed to exist. That one is missing is never remembered.
    """

    def __init__(self, client: Client, now: Callable[[], float], remembered_for: float) -> None:
        self._client = client
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
        try:
            answer = await self._client.get(
                SERVICE_ACCOUNTS,
                namespace,
                name,
                metadata_only=True,
                timeout_seconds=ANSWERED_WITHIN_SECONDS,
            )
        except NotFound:
            return False
        with decoding("the ServiceAccount"):
            metadata = decode_partial(answer).metadata
        if metadata.deletion_timestamp is not None:
            return False
        if len(self._existed) >= REMEMBERED_AT_MOST:
            self._existed.clear()  # what is read again is only slower
        self._existed[namespace, name] = self._now() + self._remembered_for
        return True
