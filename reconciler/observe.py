"""Observe the cluster for one sync: step two of a reconcile.

`reconcile.py` calls it to plan and write, `dryrun/` to print the plan. Both use this
module, so a dry run shows what the reconciler would do. Nothing here may write.
"""

from collections.abc import Mapping

from cluster.syncs import SyncRecord
from configmapsync.content import SourceObject
from configmapsync.names import NamespacedName
from configmapsync.planning import plan_orphans
from configmapsync.plans import ContestedCopy, Observed, ObservedInvalid, Plan
from configmapsync.resource import ConfigMapSync
from kube.errors import Forbidden
from reconciler.known.caches import Caches
from reconciler.known.claims import Decider
from reconciler.known.service_accounts import Authorization
from reconciler.known.sources import Sources


class Observer:
    """Reads the caches, and from the API server what the caches do not hold."""

    def __init__(
        self,
        caches: Caches,
        sources: Sources,
        authorization: Authorization,
        decider: Decider,
        *,
        served: frozenset[str] | None = None,
    ) -> None:
        """Create an observer.

        Args:
            caches: of the watches.
            sources: the content of sources.
            authorization: checks the rights of named service accounts.
            decider: decides which claims of a sync are granted.
            served: the only namespaces that may be written to; None if every namespace may.
        """
        self._caches = caches
        self._sources = sources
        self._authorization = authorization
        self._decider = decider
        self._served = served

    async def observe(
        self, record: SyncRecord, contested: Mapping[NamespacedName, ContestedCopy]
    ) -> Observed | ObservedInvalid:
        """Return everything that the plan of one sync depends on.

        Args:
            record: the sync.
            contested: its copies that something keeps rewriting; none in a dry run.

        Raises:
            ApiError: the API server did not answer about the source, or about the account's rights.
        """
        if record.sync is None:
            return self._observe_invalid(record)
        denied, source, unreadable = await self._read(record.sync)
        await self._decider.decided(record.key)
        return Observed(  # no await from here on: the caches show one moment
            sync=record.sync,
            source=source,
            copies=self._caches.copies_naming(record),
            copy_at=self._caches.copy_at,
            namespaces=self._caches.namespaces_by_name,
            is_living=self._caches.is_living,
            blocker_at=self._caches.blockers.at,
            denied=denied,
            refused=self._caches.decisions.refusals(record.key),
            must_release=self._caches.must_release,
            protected=self._caches.protected,
            served=self._served,
            source_unreadable=unreadable,
            contested=contested,
        )

    def plan_orphans(self, sync: NamespacedName) -> Plan:
        """Plan what happens to the copies of a sync that does not exist."""
        orphans = self._caches.orphans_of(sync)
        namespaces = self._caches.namespaces_by_name
        return Plan(removals=plan_orphans(orphans, namespaces, "its sync is gone", self._served))

    async def _read(
        self, sync: ConfigMapSync
    ) -> tuple[str | None, SourceObject | None, str | None]:
        """Return what the account lacks, the source, and why the source is unreadable.

        Each is read only if the plan depends on it.
        """
        if sync.deleting or sync.spec.suspend:
            return None, None, None
        try:
            denied = await self._authorization.denial(sync)
            source = None if denied else await self._sources.read(sync.source)
        except Forbidden as error:
            what = f'source ConfigMap "{sync.source}" or the right to it may not be read'
            return None, None, f"{what}: {error}"
        return denied, source, None

    def _observe_invalid(self, record: SyncRecord) -> ObservedInvalid:
        return ObservedInvalid(
            uid=record.metadata.uid,
            deleting=record.deleting,
            errors=record.errors,
            copies=self._caches.copies_naming(record),
            namespaces=self._caches.namespaces_by_name,
            served=self._served,
        )
