"""Write the used amounts into the status of each ResourceQuota.

`storage/quotas.py` refuses what exceeds a quota.
"""

from collections.abc import Iterable

from devcluster.controllers.actor import Actor
from devcluster.storage import quotas
from devcluster.storage.store import Event

KEY = ("", "resourcequotas")


class Quotas:
    """Works on names of namespaces that have quotas."""

    def __init__(self, actor: Actor) -> None:
        self._actor = actor

    def begin(self) -> Iterable[str]:
        """Every namespace that has one."""
        return {revision.place[0] for revision in self._actor.store.items(KEY)}

    def wakes(self, event: Event) -> Iterable[str]:
        """Something came or went, or the quota changed."""
        namespace = event.new.place[0]
        counts = event.key == KEY or event.kind != "MODIFIED"
        return (
            [namespace] if counts and namespace and self._actor.store.items(KEY, namespace) else []
        )

    async def settle(self, item: object) -> None:
        """Write the status where it is not right."""
        used = self._used(str(item))
        for kind, revision in self._actor.served(KEY, str(item)):
            quota = revision.object
            hard = quotas.limits(quota)
            status = {"hard": hard, "used": {name: str(used.get(name, 0)) for name in hard}}
            if quota.get("status") != status:
                await self._actor.update(kind, quota, {**quota, "status": status}, "status")

    def _used(self, namespace: str) -> dict[str, int]:
        store = self._actor.store
        kinds = store.keys()
        counts = {key: len(store.items(key, namespace)) for key in kinds}
        return {name: count for key, count in counts.items() for name in quotas.counted_as(*key)}
