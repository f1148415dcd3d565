"""Ask the API server whether a service account exists; no access review says so.

The webhook and the reconciler use it beside `access.py`. An account that exists is
cached for some seconds.
"""

from collections.abc import Callable

from kube.access import ANSWER_SECONDS, CACHE_LIMIT
from kube.client import SERVICE_ACCOUNTS, Client
from kube.errors import NotFound
from kube.wire import decode_partial, decoding


class ServiceAccounts:
    """Reads whether service accounts exist, because a review does not say so."""

    def __init__(self, client: Client, now: Callable[[], float], cache_seconds: float) -> None:
        """Create it with an empty cache.

        Args:
            client: of the API server.
            now: the event loop's clock.
            cache_seconds: for which an account counts as existing; a missing one is not cached.
        """
        self._client = client
        self._now = now
        self._cache_seconds = cache_seconds
        self._exists_until: dict[tuple[str, str], float] = {}

    async def exists(self, namespace: str, name: str) -> bool:
        """Return whether the account exists and is not being deleted; then its tokens are valid.

        Raises:
            ApiError: the API server did not answer.
        """
        if self._exists_until.get((namespace, name), 0.0) > self._now():
            return True
        try:
            answer = await self._client.get(
                SERVICE_ACCOUNTS,
                namespace,
                name,
                metadata_only=True,
                timeout_seconds=ANSWER_SECONDS,
            )
        except NotFound:
            return False
        with decoding("the ServiceAccount"):
            metadata = decode_partial(answer).metadata
        if metadata.deletion_timestamp is not None:
            return False
        if len(self._exists_until) >= CACHE_LIMIT:
            self._exists_until.clear()
        self._exists_until[namespace, name] = self._now() + self._cache_seconds
        return True
