"""Cache what the reconciler needs of the cluster, from four watches.

- `syncs`: every ConfigMapSync, parsed once for each change of its spec;
- `copies`: every ConfigMap with the managed-by label, reduced to a record;
- `namespaces`: metadata only;
- `versions`: all other ConfigMaps, listed as metadata and watched in full. Only the
  versions of sources and blockers are kept, and the newest content of sources.

Memory follows what is managed, not what the cluster holds. `triggers.py` turns changes
into work. Nothing here may write.
"""

import asyncio
import random
from collections.abc import Mapping
from typing import Any

import msgspec

from cluster import namespaces, syncs
from cluster.namespaces import NamespaceRecord, namespace_informer, namespaces_by_name
from cluster.syncs import SYNCS_PATH, SyncRecord, read_sync
from configmapsync.copies import CopyRecord
from configmapsync.graph.decisions import Decisions
from configmapsync.names import MANAGED_BY_LABEL, MANAGED_BY_VALUE, NamespacedName
from configmapsync.namespace_index import namespace_keys, selector_keys
from configmapsync.selection import Namespace
from kube.client import JSON, METADATA, ApiServer
from kube.informer import Informer
from kube.rbac import Rule
from reconciler.known.blockers import Blockers
from reconciler.known.configmaps import ConfigMapVersion, WrittenContent, read_copy, read_identity
from reconciler.known.contents import Contents

CONFIGMAPS_PATH = "/api/v1/configmaps"

RULES = (*syncs.RULES, *namespaces.RULES, Rule("configmaps", ("list", "watch")))

NOT_OURS = f"{MANAGED_BY_LABEL}!={MANAGED_BY_VALUE}"
UNREAD = "0"  # older than every version
CONTENT_BYTES = 16 << 20

BY_SYNC_NAME = "sync name"
BY_SYNC_UID = "sync uid"
BY_SOURCE = "source"
BY_NAMESPACE = "what selects a namespace"


class Caches:
    """The four informers, and the views of them that the planner needs.

    Attributes:
        contents: the content of sources.
        blockers: what is in the way of copies.
        namespaces_by_name: the namespaces as the planner sees them.
        decisions: the claims of all syncs; `claims.py` decides them.
        was_restored: whether the storage was restored; then the status of a sync proves nothing.
    """

    def __init__(
        self,
        connection: ApiServer,
        protected: frozenset[str],
        rng: random.Random,
        content_bytes: int = CONTENT_BYTES,
    ) -> None:
        """Create empty caches.

        Args:
            connection: to the API server.
            protected: namespaces that are destinations only by exact name.
            rng: for the jitter between retries.
            content_bytes: the size of the kept content of sources.
        """
        self.contents = Contents(content_bytes)
        self.blockers = Blockers()
        self.syncs: Informer[SyncRecord] = Informer(
            connection,
            SYNCS_PATH,
            decode=lambda raw: read_sync(raw, protected, lambda key: self.syncs.get(*key)),
            confirms=lambda _record, _raw: True,
            indexes={
                BY_SOURCE: lambda sync: (str(sync.sync.source),) if sync.sync else (),
                BY_NAMESPACE: lambda sync: selector_keys(sync.selector) if sync.selector else (),
                BY_SYNC_UID: lambda sync: (sync.metadata.uid,),
            },
            rng=rng,
        )
        self.copies: Informer[CopyRecord] = Informer(
            connection,
            CONFIGMAPS_PATH,
            decode=self._read_copy,
            confirms=WrittenContent().confirms,
            params={"labelSelector": f"{MANAGED_BY_LABEL}={MANAGED_BY_VALUE}"},
            indexes={
                BY_SYNC_NAME: lambda copy: (str(copy.synced_by),) if copy.synced_by else (),
                BY_SYNC_UID: lambda copy: (copy.sync_uid,) if copy.sync_uid else (),
            },
            rng=rng,
        )
        self.namespaces = namespace_informer(connection, rng)
        self.namespaces_by_name = namespaces_by_name(self.namespaces)
        self.versions: Informer[ConfigMapVersion] = Informer(
            connection,
            CONFIGMAPS_PATH,
            decode=self._read_wanted_version,
            keeps=self._is_wanted,
            params={"labelSelector": NOT_OURS},
            accept=METADATA,
            watch_accept=JSON,
            rng=rng,
        )
        self.decisions = Decisions()
        self.syncs.on_change(self._keep_decisions)
        self.namespaces.on_change(self._keep_namespace)
        self.versions.on_change(self._drop_content)
        self.was_restored = False  # since then an equal version does not mean equal content
        for informer in self.all.values():
            informer.on_reset(self._note_restore)

    async def run(self, name: str) -> None:
        """Keep one cache up to date until cancelled.

        ConfigMaps are listed after the syncs, so that the list shows the version of every source.
        """
        informer = self.all[name]
        if informer is self.versions:
            await self.syncs.synced.wait()
        await informer.run()

    @property
    def all(self) -> Mapping[str, Informer[Any]]:
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
    def complete(self) -> bool:
        """Return whether every list has been read."""
        return all(informer.synced.is_set() for informer in self.all.values())

    @property
    def healthy(self) -> bool:
        """Return whether every list has been read and no watch reports a problem."""
        return self.complete and not any(informer.state.problem for informer in self.all.values())

    def copies_naming(self, sync: SyncRecord) -> tuple[CopyRecord, ...]:
        """Return every copy that names `sync` by UID or by name."""
        by_uid = self.copies.by_index(BY_SYNC_UID, sync.metadata.uid)
        by_name = self.copies.by_index(BY_SYNC_NAME, str(sync.key))
        return tuple({copy.key: copy for copy in (*by_uid, *by_name)}.values())

    def orphans_of(self, sync: NamespacedName) -> tuple[CopyRecord, ...]:
        """Return every orphan that names `sync`, also if a new sync has that name."""
        return tuple(filter(self.is_orphan, self.copies.by_index(BY_SYNC_NAME, str(sync))))

    def is_orphan(self, copy: CopyRecord) -> bool:
        """Return whether the sync that made a copy does not exist; a clone is no orphan."""
        return copy.managed and not copy.cloned and not self.is_living(copy.sync_uid)

    def copy_at(self, key: NamespacedName) -> CopyRecord | None:
        """Return the copy of any sync at `key`; None if no copy is cached."""
        return self.copies.get(key.namespace, key.name)

    def configmap_at(self, key: NamespacedName) -> CopyRecord | None:
        """Return the copy or the blocker at `key`; None if neither is cached."""
        return self.copy_at(key) or self.blockers.at(key)

    def version_of(self, source: NamespacedName) -> str | None:
        """Return the newest known version of a source; None if none is known.

        Returns:
            `UNREAD` after `expect_version`, until a read or a watch shows the source.
        """
        held = self.copy_at(source) or self.versions.get(*source)
        return held.resource_version if held else None

    def expect_version(self, key: NamespacedName) -> None:
        """Cache the version `UNREAD` for `key`, unless a version is cached.

        Called before a read, so that the watch can report a deletion during the read.
        """
        if self.versions.get(*key) is None:
            self.versions.record(ConfigMapVersion(*key, UNREAD))

    def forget_expected(self, key: NamespacedName) -> None:
        """Drop the version `UNREAD` of `key`: no ConfigMap is there, or a copy."""
        held = self.versions.get(*key)
        if held is not None and held.resource_version == UNREAD:
            self.versions.forget(*key)

    def syncs_of_source(self, key: NamespacedName) -> tuple[SyncRecord, ...]:
        """Return the syncs whose source is `key`."""
        return self.syncs.by_index(BY_SOURCE, str(key))

    def syncs_that_may_serve(self, *namespaces: Namespace) -> tuple[SyncRecord, ...]:
        """Return the syncs that name one of these namespaces, or may select it by glob or label."""
        found = {
            sync.key: sync
            for namespace in namespaces
            for key in namespace_keys(namespace)
            for sync in self.syncs.by_index(BY_NAMESPACE, key)
        }
        return tuple(found.values())

    def is_living(self, uid: str) -> bool:
        """Return whether a sync with that UID exists."""
        return bool(self.syncs.by_index(BY_SYNC_UID, uid))

    def _read_wanted_version(self, raw: msgspec.Raw) -> ConfigMapVersion | None:
        version, is_whole = read_identity(raw)
        key = NamespacedName(version.namespace, version.name)
        if not self._is_wanted(key):
            return None
        if is_whole:
            self._keep_content(key, version.resource_version, raw)
        return version

    def _is_wanted(self, place: tuple[str, str]) -> bool:
        key = NamespacedName(*place)
        return key in self.blockers or bool(self.syncs_of_source(key))

    def _read_copy(self, raw: msgspec.Raw) -> CopyRecord:
        record = read_copy(raw)
        self._keep_content(record.key, record.resource_version, raw)
        return record

    def _keep_content(self, key: NamespacedName, version: str, raw: msgspec.Raw) -> None:
        if self.syncs_of_source(key):
            self.contents.arrived(key, version, raw)

    def _note_restore(self) -> None:
        self.was_restored = True
        self.contents.clear()

    def _drop_content(self, old: ConfigMapVersion | None, new: ConfigMapVersion | None) -> None:
        if old is not None and new is None:
            self.contents.drop(NamespacedName(old.namespace, old.name))

    def must_release(self, copy: CopyRecord) -> bool:
        """Return whether the sync that owns `copy` no longer claims it, or is refused it."""
        owners = self.syncs.by_index(BY_SYNC_UID, copy.sync_uid)
        return any(self.decisions.must_release(owner.key, copy.key) for owner in owners)

    def _keep_decisions(self, old: SyncRecord | None, new: SyncRecord | None) -> None:
        if old is not None and new is not None and old.has_same_spec(new):
            return
        if new is not None and new.sync is not None and new.selector is not None:
            self.decisions.put(new.sync, new.selector)
        elif (gone := new or old) is not None:
            self.decisions.remove(gone.key)

    def _keep_namespace(self, old: NamespaceRecord | None, new: NamespaceRecord | None) -> None:
        if new is not None:
            self.decisions.put_namespace(new.view)
        elif old is not None:
            self.decisions.remove_namespace(old.name)
