"""Observe the cluster for one sync: step two of a reconcile.

`reconcile.py` calls it to plan and write, `dryrun/` to print the plan. Both use this
module, so a dry run shows what the reconciler would do. Nothing here may write.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from cluster.syncs import SyncRecord
from configmapsync import reason_messages
from configmapsync.conditions import known_digest
from configmapsync.content import Content, SourceObject
from configmapsync.names import NamespacedName
from configmapsync.plans import (
    ContestedCopy,
    Observation,
    Observed,
    ObservedInvalid,
    ObservedMissing,
)
from configmapsync.resource import ConfigMapSync
from configmapsync.selection import Selector
from kube.errors import Forbidden
from reconciler.known.caches import UNREAD, Caches
from reconciler.known.claims import Decider
from reconciler.known.orphans import Orphans
from reconciler.known.service_accounts import Authorization
from reconciler.known.sources import Sources


class _Read(NamedTuple):
    """The source, and the rights that reading and writing need.

    Attributes:
        source: the source or its outline; None if it does not exist or was not read.
        denied: what the service account of the sync lacks; None if it lacks nothing.
        unreadable: why the source cannot be read; None if it was read or does not exist.
        recheck_seconds: until the rights must be checked again; None if the plan depends on none.
    """

    source: SourceObject | None = None
    denied: str | None = None
    unreadable: str | None = None
    recheck_seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Observer:
    """Reads the caches, and from the API server what the caches do not hold.

    Attributes:
        caches: of the watches.
        sources: the content of sources.
        authorization: checks the rights of named service accounts.
        decider: decides which claims of a sync are granted.
        orphans: measures for how long a sync has been missing; None in a dry run.
        served: the only namespaces that may be written to; None if every namespace may.
    """

    caches: Caches
    sources: Sources
    authorization: Authorization
    decider: Decider
    orphans: Orphans | None = None
    served: frozenset[str] | None = None

    async def observe(
        self,
        key: NamespacedName,
        record: SyncRecord | None,
        contested: Mapping[NamespacedName, ContestedCopy],
        *,
        trust_status: bool = False,
    ) -> Observation:
        """Return everything that the plan of one sync depends on.

        Args:
            key: the sync.
            record: the sync as it is cached; None if it does not exist.
            contested: its copies that something keeps rewriting; none in a dry run.
            trust_status: whether a source that the status describes may be left unread. Its content
                is missing then, and the plan says whether that is needed.

        Raises:
            ApiError: the API server did not answer about the sync, its source, or the rights of its
                service account.
            RuntimeError: a defect stopped the decision on its claims.
        """
        if record is None:
            return await self._observe_missing(key, contested)
        if record.sync is None or record.selector is None:
            return ObservedInvalid(
                uid=record.metadata.uid,
                deleting=record.deleting,
                errors=record.errors,
                copies=self.caches.copies_naming(record),
                namespaces=self.caches.namespaces_by_name,
                served=self.served,
            )
        outline = self._outline(record, record.sync) if trust_status else None
        read = await self._read(record.sync, record.selector, outline)
        await self.decider.decided(key)
        return Observed(  # no await from here on: the caches show one moment
            sync=record.sync,
            selector=record.selector,
            source=read.source,
            copies=self.caches.copies_naming(record),
            copy_at=self.caches.copy_at,
            namespaces=self.caches.namespaces_by_name,
            is_living=self.caches.is_living,
            blocker_at=self.caches.blockers.at,
            denied=read.denied,
            refused=self.caches.decisions.refusals(key),
            must_release=self.caches.must_release,
            served=self.served,
            source_unreadable=read.unreadable,
            contested=contested,
            recheck_seconds=read.recheck_seconds,
        )

    async def _observe_missing(
        self, sync: NamespacedName, contested: Mapping[NamespacedName, ContestedCopy]
    ) -> ObservedMissing:
        """Return the copies of a missing sync: its finalizer was removed, or a backup restored."""
        grace_seconds = await self.orphans.wait(sync) if self.orphans else 0.0
        return ObservedMissing(
            orphans=self.caches.orphans_of(sync),
            namespaces=self.caches.namespaces_by_name,
            served=self.served,
            grace_seconds=grace_seconds,
            contested=contested,
        )

    async def _read(
        self, sync: ConfigMapSync, selector: Selector, outline: SourceObject | None
    ) -> _Read:
        """Return the source and the rights of the sync, if the plan depends on them.

        An outline is used in place of the source. RBAC changes emit no events, so a sync that
        depends on a right is requeued to check it again.
        """
        if sync.deleting or sync.spec.suspend:
            return _Read()
        recheck_seconds = self.authorization.ask_again_after
        try:
            denied = await self.authorization.denial(sync, selector)
            source = None if denied else outline or await self.sources.read(sync.source)
        except Forbidden as error:
            unreadable = reason_messages.source_unreadable(sync.source, error)
            return _Read(unreadable=unreadable, recheck_seconds=recheck_seconds)
        depends = sync.spec.service_account_name is not None
        return _Read(source, denied, None, recheck_seconds if depends else None)

    def _outline(self, record: SyncRecord, sync: ConfigMapSync) -> SourceObject | None:
        """Return the source without a read: as it is cached, or without its content; else None.

        After a restart the copies of most syncs are up to date, and the digest in the status is
        enough to see that. The status has neither the keys nor the metadata of the source, so a
        sync that selects some of them reads its source.
        """
        spec, caches = sync.spec, self.caches
        selective = spec.keys or spec.copy_metadata.labels or spec.copy_metadata.annotations
        version = caches.version_of(sync.source)
        if selective or version is None or caches.was_restored or version == UNREAD:
            return None
        if (kept := self.sources.kept(sync.source)) is not None:
            return kept
        digest = known_digest(record.status, record.metadata.generation, version)
        if digest is None:
            return None
        return SourceObject(
            key=sync.source,
            resource_version=version,
            content=Content({}, {}),
            labels={},
            annotations={},
            known_digest=digest,
        )
