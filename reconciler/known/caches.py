"""Cache what the reconciler needs of the cluster, from four watches.

- `syncs`: every ConfigMapSync, parsed once for each change of its spec;
- `copies`: every ConfigMap with the managed-by label, reduced to a record;
- `namespaces`: metadata only;
- `versions`: metadata of all ConfigMaps, of which only sources and blockers are kept.

Memory follows what is managed, not what the cluster holds. `triggers.py` turns changes
into work. Nothing here may write.
"""

import asyncio
import random
from collections.abc import Collection, Iterable, Mapping

import msgspec

from cluster import namespaces, syncs
from cluster.namespaces import NamespaceRecord, namespace_informer, namespaces_by_name
from cluster.syncs import SYNCS_PATH, SyncRecord, read_sync
from configmapsync.contention import Owner
from configmapsync.copies import CopyRecord
from configmapsync.graph.decisions import Decisions
from configmapsync.names import MANAGED_BY_LABEL, MANAGED_BY_VALUE, NamespacedName
from kube.client import METADATA, ApiServer
from kube.informer import Informer
from kube.rbac import Rule
from reconciler.known.configmaps import ConfigMapVersion, read_copy, read_version
from reconciler.known.written_content import WrittenContent

CONFIGMAPS_PATH = "/api/v1/configmaps"

RULES = (*syncs.RULES, *namespaces.RULES, Rule("configmaps", ("list", "watch")))

BY_SYNC_NAME = "sync name"
BY_SYNC_UID = "sync uid"
BY_SOURCE = "source"
BY_NAMESPACE = "destination namespace"
ANY_NAMESPACE = "*"


class Caches:
    """The four informers, and the views of them that the planner needs."""

    def __init__(
        self, connection: ApiServer, protected: frozenset[str], rng: random.Random
    ) -> None:
        self.protected = protected
        self.blockers = Blockers()
        self.syncs: Informer[SyncRecord] = Informer(
            connection,
            SYNCS_PATH,
            decode=lambda raw: read_sync(raw, protected, lambda key: self.syncs.get(*key)),
            confirms=lambda _record, _raw: True,
            indexes={
                BY_SOURCE: _sources,
                BY_NAMESPACE: _destination_namespaces,
                BY_SYNC_UID: lambda sync: (sync.metadata.uid,),
            },
            rng=rng,
        )
        self.copies: Informer[CopyRecord] = Informer(
            connection,
            CONFIGMAPS_PATH,
            decode=read_copy,
            confirms=WrittenContent().confirms,
            params={"labelSelector": f"{MANAGED_BY_LABEL}={MANAGED_BY_VALUE}"},
            indexes={BY_SYNC_NAME: _sync_names, BY_SYNC_UID: _sync_uids},
            rng=rng,
        )
        self.namespaces = namespace_informer(connection, rng)
        self.namespaces_by_name = namespaces_by_name(self.namespaces)
        self.versions: Informer[ConfigMapVersion] = Informer(
            connection,
            CONFIGMAPS_PATH,
            decode=self._read_wanted_version,
            accept=METADATA,
            rng=rng,
        )
        self.decisions = Decisions(protected)
        self.syncs.on_change(self._keep_decisions)
        self.namespaces.on_change(self._keep_namespace)

    @property
    def all(
        self,
    ) -> Mapping[
        str,
        Informer[SyncRecord]
        | Informer[CopyRecord]
        | Informer[NamespaceRecord]
        | Informer[ConfigMapVersion],
    ]:
        """Return the informers by their names in logs, metrics and health checks."""
        return {
            "configmapsyncs": self.syncs,
            "copies": self.copies,
            "namespaces": self.namespaces,
            "configmaps": self.versions,
        }

    async def synced(self) -> None:
        """Wait for every list.

        A plan from an incomplete cache would delete what the cache does not show.
        """
        await asyncio.gather(*(informer.synced.wait() for informer in self.all.values()))

    @property
    def healthy(self) -> bool:
        """Return whether every cache has synced and no watch reports a problem."""
        return all(
            informer.synced.is_set() and informer.problem is None for informer in self.all.values()
        )

    def copies_naming(self, sync: SyncRecord) -> tuple[CopyRecord, ...]:
        """Return every copy that names `sync` by UID or by name."""
        by_uid = self.copies.by_index(BY_SYNC_UID, sync.metadata.uid)
        by_name = self.copies.by_index(BY_SYNC_NAME, str(sync.key))
        return tuple({copy.key: copy for copy in (*by_uid, *by_name)}.values())

    def orphans_of(self, sync: NamespacedName) -> tuple[CopyRecord, ...]:
        """Return every copy that names `sync` and whose UID label belongs to no existing sync."""
        naming = self.copies.by_index(BY_SYNC_NAME, str(sync))
        return tuple(
            copy
            for copy in naming
            if copy.managed and not copy.cloned and not self.is_living(copy.sync_uid)
        )

    def copy_at(self, key: NamespacedName) -> CopyRecord | None:
        """Return the copy of any sync at `key`; None if no copy is cached."""
        return self.copies.get(key.namespace, key.name)

    def owner_of(self, sync: NamespacedName, key: NamespacedName) -> Owner:
        """Return the identities of a sync and of the namespace of its copy at `key`."""
        record, namespace = self.syncs.get(*sync), self.namespaces_by_name.get(key.namespace)
        return Owner(
            sync_uid=record.metadata.uid if record else "",
            deleting=record is not None and record.deleting,
            namespace_uid=namespace.uid if namespace else "",
        )

    def configmap_at(self, key: NamespacedName) -> CopyRecord | None:
        """Return the copy or the blocker at `key`; None if neither is cached."""
        return self.copy_at(key) or self.blockers.at(key)

    def syncs_of_source(self, key: NamespacedName) -> tuple[SyncRecord, ...]:
        """Return the syncs whose source is `key`."""
        return self.syncs.by_index(BY_SOURCE, str(key))

    def syncs_that_may_serve(self, namespace: str) -> tuple[SyncRecord, ...]:
        """Return the syncs that name a namespace, and those that may select it by glob or label."""
        return self.syncs.by_index(BY_NAMESPACE, namespace) + self.syncs.by_index(
            BY_NAMESPACE, ANY_NAMESPACE
        )

    def is_living(self, uid: str) -> bool:
        """Return whether a sync with that UID exists."""
        return bool(self.syncs.by_index(BY_SYNC_UID, uid))

    def _read_wanted_version(self, raw: msgspec.Raw) -> ConfigMapVersion | None:
        version = read_version(raw)
        key = NamespacedName(version.namespace, version.name)
        return version if key in self.blockers or self.syncs_of_source(key) else None

    def must_release(self, copy: CopyRecord) -> bool:
        """Return whether the sync that owns `copy` must give it up."""
        owners = self.syncs.by_index(BY_SYNC_UID, copy.sync_uid)
        return any(self.decisions.must_release(owner.key, copy.key) for owner in owners)

    def _keep_decisions(self, old: SyncRecord | None, new: SyncRecord | None) -> None:
        if new is not None and new.sync is not None:
            self.decisions.put(new.sync)
        elif (gone := new or old) is not None:
            self.decisions.remove(gone.key)

    def _keep_namespace(self, old: NamespaceRecord | None, new: NamespaceRecord | None) -> None:
        if new is not None:
            self.decisions.put_namespace(new.view)
        elif old is not None:
            self.decisions.remove_namespace(old.name)


class Blockers:
    """Unmanaged ConfigMaps in the way of copies, and the syncs that wait for their deletion."""

    def __init__(self) -> None:
        self._found: dict[NamespacedName, CopyRecord | None] = {}
        self._waiting: dict[NamespacedName, set[NamespacedName]] = {}  # syncs, by destination
        self._destinations: dict[NamespacedName, set[NamespacedName]] = {}  # by sync

    def __contains__(self, key: NamespacedName) -> bool:
        return key in self._found

    def __len__(self) -> int:
        return len(self._found)

    def expect(self, key: NamespacedName, sync: NamespacedName) -> None:
        """Keep the version of `key` from now on, so that its deletion enqueues `sync`.

        Called before the blocker is read, so that a deletion during the read is not missed.
        """
        self._found.setdefault(key, None)
        self._waiting.setdefault(key, set()).add(sync)
        self._destinations.setdefault(sync, set()).add(key)

    def found(self, record: CopyRecord) -> None:
        """Record a blocker that was read."""
        if record.key in self._found:
            self._found[record.key] = record

    def at(self, key: NamespacedName) -> CopyRecord | None:
        """Return the blocker at `key`; None if none is known."""
        return self._found.get(key)

    def cleared(self, key: NamespacedName) -> None:
        """Record that no blocker is at `key`; syncs that wait for `key` keep waiting."""
        if key in self._waiting:
            self._found[key] = None
        else:
            self._found.pop(key, None)

    def gone(self, key: NamespacedName) -> frozenset[NamespacedName]:
        """Forget a deleted blocker; return the syncs that waited for its deletion."""
        syncs = frozenset(self._waiting.get(key, ()))
        for sync in syncs:
            self.stop_waiting(key, sync)
        self._found.pop(key, None)
        return syncs

    def retain(self, sync: NamespacedName, wanted: Collection[NamespacedName]) -> None:
        """Let a sync wait for no other destinations than `wanted`."""
        for key in [key for key in self._destinations.get(sync, ()) if key not in wanted]:
            self.stop_waiting(key, sync)

    def waiting(self, key: NamespacedName) -> frozenset[NamespacedName]:
        """Return the syncs that wait for the deletion of a blocker at `key`."""
        return frozenset(self._waiting.get(key, ()))

    def stop_waiting(self, key: NamespacedName, sync: NamespacedName) -> None:
        """Record that a sync has its copy at `key`, or needs none there.

        A blocker that no sync waits for is forgotten.
        """
        if key not in self._destinations.get(sync, ()):
            return
        self._destinations[sync].discard(key)
        if not self._destinations[sync]:
            del self._destinations[sync]
        self._waiting[key].discard(sync)
        if not self._waiting[key]:
            del self._waiting[key]
            self._found.pop(key, None)


def _sources(sync: SyncRecord) -> Iterable[str]:
    return (str(sync.sync.source),) if sync.sync else ()


def _destination_namespaces(sync: SyncRecord) -> Iterable[str]:
    """Yield the namespaces that a sync names, or `ANY_NAMESPACE` for a glob or label selector.

    A sync with a glob or label selector is indexed once, so that a lookup finds it once.
    """
    if sync.selector is None:
        return ()
    return (ANY_NAMESPACE,) if sync.selector.open_ended else sync.selector.exact_names


def _sync_names(copy: CopyRecord) -> Iterable[str]:
    return (str(copy.synced_by),) if copy.synced_by else ()


def _sync_uids(copy: CopyRecord) -> Iterable[str]:
    return (copy.sync_uid,) if copy.sync_uid else ()
