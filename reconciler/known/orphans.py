"""Decide when the copies of a missing sync may be deleted or released.

`observe.py` calls it. A restore from a backup may bring copies back before their
sync. So the sync must be missing for the grace period, with healthy watches, and
missing in a live read at its end. What happens to the copies is decided in
`configmapsync/planning.py`; a restart begins a new period.
"""

from collections.abc import Callable

import structlog

from cluster.syncs import CONFIGMAPSYNCS, SyncRecord
from configmapsync.names import GROUP, PLURAL, NamespacedName
from kube.client import Client
from kube.errors import NotFound
from kube.rbac import Rule
from reconciler.known.caches import Caches

RULES = (
    Rule(PLURAL, ("get",), group=GROUP, why="confirms that a sync whose copies remain is gone"),
)
# During the grace period, to notice a watch that does not work.
CHECKS = 10


class Orphans:
    """Measures for how long the syncs of orphaned copies have been missing."""

    def __init__(
        self, client: Client, caches: Caches, now: Callable[[], float], grace: float
    ) -> None:
        """Create the measurement.

        Args:
            client: of the API server.
            caches: their watches must be healthy during the grace period.
            now: the event loop's clock, in seconds.
            grace: seconds that a sync must be missing.
        """
        self._client = client
        self._caches = caches
        self._now = now
        self._grace = grace
        self._since: dict[NamespacedName, float] = {}
        self._log = structlog.get_logger("orphans")
        caches.syncs.on_change(self._forget_existing)

    async def wait(self, sync: NamespacedName) -> float:
        """Return the seconds until the next check; 0 if the copies may be handled now.

        Args:
            sync: a sync that is not in the cache.

        Raises:
            ApiError: the sync could not be read.
        """
        if not self._caches.orphans_of(sync):
            self._since.pop(sync, None)
            return 0.0
        if sync not in self._since:
            self._log.info("copies without a sync", sync=str(sync), grace_seconds=self._grace)
        if not self._caches.healthy:
            self._since.pop(sync, None)
        missing_for = self._now() - self._since.setdefault(sync, self._now())
        if missing_for < self._grace:
            return min(self._grace - missing_for, self._grace / CHECKS)
        try:
            await self._client.get(CONFIGMAPSYNCS, *sync, metadata_only=True)
        except NotFound:
            return 0.0
        self._since[sync] = self._now()  # it exists, and its event is on the way
        return self._grace / CHECKS

    def _forget_existing(self, _old: SyncRecord | None, new: SyncRecord | None) -> None:
        if new is not None:
            self._since.pop(new.key, None)
