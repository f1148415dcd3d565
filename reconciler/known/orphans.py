"""Copies whose sync is not there: its finalizer was removed by force. When they may be handled, and no sooner.

A restore in progress must not look like a deletion: copies may be back before their sync is. So a sync has to be missing for long, with every
watch at work all the while, and in the end the API server itself is asked. Nothing is remembered over a restart: the time begins again.
What becomes of the copies is `planning.abandon`'s to say, by the mark each of them carries.
"""

from collections.abc import Callable

import structlog

from cluster.syncs import CONFIGMAPSYNCS
from configmapsync.names import GROUP, PLURAL, NamespacedName
from kube.client import Client
from kube.errors import NotFound
from kube.rbac import Rule
from reconciler.known.caches import Caches

RULES = (Rule(PLURAL, ("get",), group=GROUP, why="is a sync whose copies are left really gone?"),)
LOOKS = 10  # while the time runs, to notice a watch that does not work


class Orphans:
    """Since when each sync is missing whose copies are there."""

    def __init__(
        self, client: Client, caches: Caches, now: Callable[[], float], grace: float
    ) -> None:
        """Begin without a memory.

        Args:
            client: of the API server.
            caches: their watches have to work while the time runs.
            now: the event loop's clock.
            grace: seconds that a sync has to be missing.
        """
        self._client = client
        self._caches = caches
        self._now = now
        self._grace = grace
        self._since: dict[NamespacedName, float] = {}
        self._log = structlog.get_logger("orphans")

    async def wait(self, sync: NamespacedName) -> float:
        """Seconds until the next look at the copies of a sync that is not there; 0 when they may be handled now.

        Raises:
            ApiError: the API server did not say whether the sync is there.
        """
        if sync not in self._since:
            self._log.info("copies without their sync", sync=str(sync), handled_after=self._grace)
        if not self._caches.whole:
            self._since.pop(sync, None)
        missing_for = self._now() - self._since.setdefault(sync, self._now())
        if missing_for < self._grace:
            return min(self._grace - missing_for, self._grace / LOOKS)
        if await self._exists(sync):
            self._since[sync] = self._now()  # its event is on the way
            return self._grace / LOOKS
        return 0.0

    def forget(self, sync: NamespacedName) -> None:
        """The sync is there, or nothing is left of it."""
        self._since.pop(sync, None)

    async def _exists(self, sync: NamespacedName) -> bool:
        try:
            await self._client.get(CONFIGMAPSYNCS, *sync, metadata_only=True)
        except NotFound:
            return False
        return True
