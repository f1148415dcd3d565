"""What the reconciler knows of the cluster: four watches, kept slim.

- `syncs`: every ConfigMapSync, parsed once when it changed;
- `copies`: every ConfigMap with our label, reduced to a record with the digest of its real content;
- `namespaces`: metadata only;
- `versions`: metadata of all ConfigMaps, of which only sources and known obstacles are kept, so that memory follows what is
  managed and not what the cluster holds.

`triggers.py` turns their changes into work; `sources.py` reads the content behind a version. Nothing here writes.
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

CONFIGMAPS_PATH = "/api/v1/configmaps"

RULES = (*syncs.RULES, *namespaces.RULES, Rule("configmaps", ("list", "watch")))

BY_SYNC_NAME = "sync name"
BY_SYNC_UID = "sync uid"
BY_SOURCE = "source"
BY_NAMESPACE = "namespace that may be served"
ANY_NAMESPACE = "*"


class Caches:
    """The four informers and the views the planner asks for."""

    def __init__(
        self, connection: ApiServer, protected: frozenset[str], rng: random.Random
    ) -> None:
        self.protected = protected
        self.blockers = Blockers()
        self.syncs: Informer[SyncRecord] = Informer(
            connection,
            SYNCS_PATH,
            decode=lambda raw: read_sync(raw, protected, lambda key: self.syncs.get(*key)),
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
        """Every informer by the name it has in logs, metrics and health checks."""
        return {
            "configmapsyncs": self.syncs,
            "copies": self.copies,
            "namespaces": self.namespaces,
            "configmaps": self.versions,
        }

    async def synced(self) -> None:
        """Wait until every list has arrived: a plan made from half a picture would delete what it cannot see."""
        await asyncio.gather(*(informer.synced.wait() for informer in self.all.values()))

    @property
    def whole(self) -> bool:
        """Whether every list has arrived and every watch works, as far as we know."""
        return all(
            informer.synced.is_set() and informer.problem is None for informer in self.all.values()
        )

    def copies_naming(self, sync: SyncRecord) -> tuple[CopyRecord, ...]:
        """Every copy whose marks carry the UID or the name of `sync`."""
        by_uid = self.copies.by_index(BY_SYNC_UID, sync.metadata.uid)
        by_name = self.copies.by_index(BY_SYNC_NAME, str(sync.key))
        return tuple({copy.key: copy for copy in (*by_uid, *by_name)}.values())

    def orphans_of(self, sync: NamespacedName) -> tuple[CopyRecord, ...]:
        """Every copy that names `sync` and was written by no sync that is there."""
        naming = self.copies.by_index(BY_SYNC_NAME, str(sync))
        return tuple(
            copy
            for copy in naming
            if copy.managed and not copy.cloned and not self.is_living(copy.sync_uid)
        )

    def copy_at(self, key: NamespacedName) -> CopyRecord | None:
        """The copy at a place, whoever's it is."""
        return self.copies.get(key.namespace, key.name)

    def owner_of(self, sync: NamespacedName, place: NamespacedName) -> Owner:
        """The sync and the namespace that a history of writes belongs to."""
        record, namespace = self.syncs.get(*sync), self.namespaces_by_name.get(place.namespace)
        return Owner(
            sync_uid=record.metadata.uid if record else "",
            deleting=record is not None and record.deleting,
            namespace_uid=namespace.uid if namespace else "",
        )

    def configmap_at(self, key: NamespacedName) -> CopyRecord | None:
        """The ConfigMap at a place, a copy or not, as far as it is known."""
        return self.copy_at(key) or self.blockers.at(key)

    def syncs_of_source(self, key: NamespacedName) -> tuple[SyncRecord, ...]:
        """The syncs that copy from `key`."""
        return self.syncs.by_index(BY_SOURCE, str(key))

    def syncs_that_may_serve(self, namespace: str) -> tuple[SyncRecord, ...]:
        """The syncs that name a namespace, and those that may select it without naming it."""
        return self.syncs.by_index(BY_NAMESPACE, namespace) + self.syncs.by_index(
            BY_NAMESPACE, ANY_NAMESPACE
        )

    def is_living(self, uid: str) -> bool:
        """Whether a sync of that UID exists."""
        return bool(self.syncs.by_index(BY_SYNC_UID, uid))

    def _read_wanted_version(self, raw: msgspec.Raw) -> ConfigMapVersion | None:
        version = read_version(raw)
        key = NamespacedName(version.namespace, version.name)
        return version if key in self.blockers or self.syncs_of_source(key) else None

    def must_release(self, copy: CopyRecord) -> bool:
        """Whether the sync that `copy` belongs to has to leave its place."""
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
    """ConfigMaps without our marks that were found where a copy should be, and who waits for them to go."""

    def __init__(self) -> None:
        self._found: dict[NamespacedName, CopyRecord | None] = {}
        self._waiting: dict[NamespacedName, set[NamespacedName]] = {}  # by place, the syncs
        self._places: dict[NamespacedName, set[NamespacedName]] = {}  # by sync, the places

    def __contains__(self, key: NamespacedName) -> bool:
        return key in self._found

    def __len__(self) -> int:
        return len(self._found)

    def expect(self, key: NamespacedName, sync: NamespacedName) -> None:
        """Have its changes noticed from now on, before it is looked at: what happens in between is not missed."""
        self._found.setdefault(key, None)
        self._waiting.setdefault(key, set()).add(sync)
        self._places.setdefault(sync, set()).add(key)

    def found(self, record: CopyRecord) -> None:
        """Remember what stands there."""
        if record.key in self._found:
            self._found[record.key] = record

    def at(self, key: NamespacedName) -> CopyRecord | None:
        """What is known to stand there."""
        return self._found.get(key)

    def cleared(self, key: NamespacedName) -> None:
        """It is not there any more, as one of us saw: who else waits for the place goes on waiting until told."""
        if key in self._waiting:
            self._found[key] = None
        else:
            self._found.pop(key, None)

    def gone(self, key: NamespacedName) -> frozenset[NamespacedName]:
        """Forget it; returns the syncs that waited, to be woken."""
        syncs = frozenset(self._waiting.get(key, ()))
        for sync in syncs:
            self.stop_waiting(key, sync)
        self._found.pop(key, None)
        return syncs

    def retain(self, sync: NamespacedName, wanted: Collection[NamespacedName]) -> None:
        """Let a sync wait for no other place than `wanted`; what no sync waits for is forgotten."""
        for key in [key for key in self._places.get(sync, ()) if key not in wanted]:
            self.stop_waiting(key, sync)

    def waiting(self, key: NamespacedName) -> frozenset[NamespacedName]:
        """The syncs that wait for it to go."""
        return frozenset(self._waiting.get(key, ()))

    def stop_waiting(self, key: NamespacedName, sync: NamespacedName) -> None:
        """Note that a sync has its copy at a place, or no longer wants it; what no sync waits for is forgotten."""
        if key not in self._places.get(sync, ()):
            return
        self._places[sync].discard(key)
        if not self._places[sync]:
            del self._places[sync]
        self._waiting[key].discard(sync)
        if not self._waiting[key]:
            del self._waiting[key]
            self._found.pop(key, None)


def _sources(sync: SyncRecord) -> Iterable[str]:
    return (str(sync.sync.source),) if sync.sync else ()


def _destination_namespaces(sync: SyncRecord) -> Iterable[str]:
    """Where it may write; a sync that selects what it does not name stands under one sign only, so that it is found once."""
    if sync.selector is None:
        return ()
    return (ANY_NAMESPACE,) if sync.selector.open_ended else sync.selector.exact_names


def _sync_names(copy: CopyRecord) -> Iterable[str]:
    return (str(copy.synced_by),) if copy.synced_by else ()


def _sync_uids(copy: CopyRecord) -> Iterable[str]:
    return (copy.sync_uid,) if copy.sync_uid else ()
