"""Keep aggregated ClusterRoles (`admin`, `edit`, `view`, ...) complete.

`access/aggregation.py` computes their rules.
"""

from collections.abc import Iterable

from devcluster.access.aggregation import aggregated
from devcluster.controllers.actor import Actor
from devcluster.storage.store import Event

CLUSTER_ROLES = ("rbac.authorization.k8s.io", "clusterroles")
ALL = "all"  # one piece of work: any role may be part of any other


class ClusterRoles:
    """Works on all of them at once."""

    def __init__(self, actor: Actor) -> None:
        self._actor = actor

    def begin(self) -> Iterable[str]:
        """The roles as they were stored."""
        return [ALL]

    def wakes(self, event: Event) -> Iterable[str]:
        """A role came, changed or went."""
        return [ALL] if event.key == CLUSTER_ROLES else []

    async def settle(self, item: object) -> None:  # noqa: ARG002 - there is but one
        """Write every role that lacks rules, or has too many."""
        kind = self._actor.catalog.by_key(CLUSTER_ROLES)
        roles = [revision.object for revision in self._actor.store.items(CLUSTER_ROLES)]
        for role in aggregated(roles):
            found = self._actor.store.get(CLUSTER_ROLES, "", role["metadata"]["name"])
            if kind is not None and found is not None:
                await self._actor.update(
                    kind, found.object, {**found.object, "rules": role["rules"]}
                )
