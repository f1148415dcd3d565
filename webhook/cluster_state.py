"""Keep the namespaces, and the graph of all syncs, and take snapshots for the checks.

`admission.py` asks for a snapshot for a review. ConfigMaps are not cached: they are
read live and only for warnings. A named namespace that the cache does not hold, or
holds as terminating, is read live, so a namespace of the same `kubectl apply` counts.
"""

import asyncio
import random
from collections.abc import Iterator, Mapping
from itertools import chain, islice

import msgspec

from cluster import namespaces, syncs
from cluster.namespaces import (
    NamespaceRecord,
    namespace_informer,
    namespaces_by_name,
    read_namespace,
)
from cluster.syncs import SYNCS_PATH, SyncOutline, read_outline
from configmapsync.admission_checks import (
    MOST_LISTED,
    AdmissionInput,
    Snapshot,
    contests_by_form,
    steps_to_ask,
)
from configmapsync.content import MOST_HASHED_KEYS, MOST_SOURCE_KEYS
from configmapsync.fielderrors import MOST_ERRORS
from configmapsync.graph.index import Graph
from configmapsync.graph.review import ReviewSearch
from configmapsync.names import MANAGED_BY_LABEL, MANAGED_BY_VALUE, SYNC_UID_LABEL, NamespacedName
from configmapsync.namespace_index import growing_batches
from configmapsync.permissions import Right, right_to_see
from configmapsync.selection import Namespace, Selector
from configmapsync.spec import ConflictPolicy
from kube.client import CONFIGMAPS, NAMESPACES, Client, all_of
from kube.connection import Connection
from kube.errors import ApiError, NotFound
from kube.informer import Informer
from kube.rbac import Rule
from kube.wire import PartialObject, decode_as
from webhook.authorization import Authorizer, Requester

RULES = (
    *syncs.RULES,
    *namespaces.RULES,
    Rule("namespaces", ("get",), why="a namespace that was created a moment ago"),
    Rule(
        "configmaps",
        ("get",),
        why="for warnings: whether the source has its keys, and what blocks a copy",
    ),
)

NAMESPACE_READ_SECONDS = 3.0

# Live reads of namespaces at once for one review.
PARALLEL_NAMESPACE_READS = 8

# An answer lists no more errors.
ENOUGH_MISSING = MOST_ERRORS

# Limits of the live reads of one review for warnings, which are not worth more.
MAX_BLOCKER_READS = 8
WARNING_READ_SECONDS = 1.0


class _Keys(msgspec.Struct, rename="camel"):
    """The keys of a ConfigMap. The values stay undecoded."""

    data: dict[str, msgspec.Raw] | None = None
    binary_data: dict[str, msgspec.Raw] | None = None


class ClusterState:
    """The cached namespaces and the graph; both are empty until the informers have synced.

    Attributes:
        protected: the protected namespaces.
        informers: by name; `app.py` runs them.
    """

    def __init__(
        self, connection: Connection, protected: frozenset[str], rng: random.Random
    ) -> None:
        self.protected = protected
        self._client = Client(connection)
        self._graph = Graph()
        self._namespaces = namespace_informer(connection, rng)
        self._by_name = namespaces_by_name(self._namespaces)
        self._namespaces.on_change(self._namespace_changed)
        self._syncs: Informer[SyncOutline] = Informer(
            connection,
            SYNCS_PATH,
            decode=lambda raw: read_outline(raw, lambda key: self._syncs.get(*key)),
            rng=rng,
        )
        self._syncs.on_change(self._sync_changed)
        self.informers: Mapping[str, Informer[NamespaceRecord] | Informer[SyncOutline]] = {
            "namespaces": self._namespaces,
            "configmapsyncs": self._syncs,
        }

    async def snapshot(
        self, sync_input: AdmissionInput, authorizer: Authorizer, requester: Requester
    ) -> Snapshot:
        """Return the state of the cluster that the check of one sync reads.

        Args:
            sync_input: the sync.
            authorizer: answers which other objects the user may get; at most 24 rights are
                asked for. Unless it enforces rights, the keys of the source are not read.
            requester: the user of the request.

        Raises:
            ApiError: a namespace could not be read, or a right could not be asked for.
        """
        confirmed = await self._confirmed(sync_input)
        namespaces = {**self._by_name, **confirmed} if confirmed else self._by_name
        sync = sync_input.sync
        search = ReviewSearch(self._graph, sync, sync_input.selector)
        contested, cycle = tuple(search.contested()), search.cycle()
        listed = (
            contest
            for form in contests_by_form(sync_input, contested)
            for contest in form[:MOST_LISTED]
        )
        see = {right_to_see(other): other for _, other in listed}
        read = {Right("get", *step): step for step in steps_to_ask(cycle)}
        reads_keys = authorizer.enforces and bool(sync.spec.keys)
        rights, (source_missing, source_keys), blockers = await asyncio.gather(
            authorizer.may(requester, (*see, *read)),
            self._source(sync.source, with_keys=reads_keys),
            self._blockers(sync_input, namespaces),
        )
        return Snapshot(
            namespaces=namespaces,
            cycle=cycle,
            contested=contested,
            visible=frozenset(other for right, other in see.items() if right in rights),
            readable=frozenset(step for right, step in read.items() if right in rights),
            source_missing=source_missing,
            source_keys=source_keys,
            blockers=blockers,
        )

    async def _confirmed(self, sync_input: AdmissionInput) -> dict[str, Namespace]:
        """Read each named namespace that the cache does not hold, or holds as terminating.

        A namespace created since may have the name of a terminating one. The reads end when
        `ENOUGH_MISSING` do not exist: the sync is denied for those already, and the others
        count as missing, too.
        """
        named = dict.fromkeys((sync_input.sync.source.namespace, *sync_input.targets.named))
        unknown = [
            name
            for name in named
            if (known := self._by_name.get(name)) is None or known.terminating
        ]
        unconfirmed = iter(unknown)
        found: dict[str, Namespace] = {}
        missing: list[str] = []

        async def confirm_next() -> None:
            for name in unconfirmed:
                if namespace := await self._read_namespace(name):
                    found[name] = namespace
                else:
                    missing.append(name)
                if len(missing) >= ENOUGH_MISSING:
                    return

        await all_of(confirm_next() for _ in range(min(len(unknown), PARALLEL_NAMESPACE_READS)))
        return found

    async def _read_namespace(self, name: str) -> Namespace | None:
        try:
            answer = await self._client.get(
                NAMESPACES, "", name, metadata_only=True, timeout_seconds=NAMESPACE_READ_SECONDS
            )
        except NotFound:
            return None
        return read_namespace(answer).view

    async def _source(
        self, source: NamespacedName, *, with_keys: bool
    ) -> tuple[bool, frozenset[str] | None]:
        """Return whether the source is missing, and its keys; None if they were not read."""
        try:
            answer = await self._read_configmap(source, metadata_only=not with_keys)
            return False, _keys_of(answer) if with_keys else None
        except NotFound:
            return True, None
        except ApiError:
            return False, None  # unknown: no warning

    async def _blockers(
        self, sync_input: AdmissionInput, namespaces: Mapping[str, Namespace]
    ) -> tuple[NamespacedName, ...]:
        """Return those of the first destinations where an unmanaged ConfigMap exists."""
        if sync_input.sync.spec.conflict_policy is not ConflictPolicy.FAIL:
            return ()  # no warning: the sync takes over what exists
        destinations = _destinations(sync_input, namespaces)
        first = list(islice(destinations, MAX_BLOCKER_READS))
        found = await all_of(self._is_unmanaged(key) for key in first)
        return tuple(key for key, unmanaged in zip(first, found, strict=True) if unmanaged)

    async def _is_unmanaged(self, key: NamespacedName) -> bool:
        try:
            answer = await self._read_configmap(key, metadata_only=True)
            labels = decode_as(answer, PartialObject, "the ConfigMap").metadata.labels or {}
        except ApiError:
            return False
        return labels.get(MANAGED_BY_LABEL) != MANAGED_BY_VALUE or SYNC_UID_LABEL not in labels

    async def _read_configmap(self, key: NamespacedName, *, metadata_only: bool) -> bytes:
        return await self._client.get(
            CONFIGMAPS, *key, metadata_only=metadata_only, timeout_seconds=WARNING_READ_SECONDS
        )

    def _namespace_changed(self, old: NamespaceRecord | None, new: NamespaceRecord | None) -> None:
        if new is not None:
            self._graph.put_namespace(new.view)
        elif old is not None:
            self._graph.remove_namespace(old.name)

    def _sync_changed(self, old: SyncOutline | None, new: SyncOutline | None) -> None:
        if old is not None and new is not None and new.is_same(old):
            return
        if old is not None:
            self._graph.remove(NamespacedName(old.namespace, old.name))
        if new is not None and new.sync is not None:
            self._graph.put(new.sync, Selector.of(new.sync, self.protected))
            # The graph holds what it needs; 10,000 whole syncs would take 60 MiB more.
            new.sync = None


def _keys_of(answer: bytes) -> frozenset[str] | None:
    """Return the keys of a ConfigMap; None if it is too large to be copied.

    Decoding and matching the keys of such a source would take too long.

    Raises:
        Malformed: the answer is not a ConfigMap.
    """
    if answer.count(b'":"') > MOST_HASHED_KEYS:
        return None
    content = decode_as(answer, _Keys, "the source")
    data, binary_data = content.data or {}, content.binary_data or {}
    if len(data) + len(binary_data) > MOST_SOURCE_KEYS:
        return None
    return frozenset((*data, *binary_data))


def _destinations(
    sync_input: AdmissionInput, namespaces: Mapping[str, Namespace]
) -> Iterator[NamespacedName]:
    """Yield the destinations that would receive copies now, those that are named first.

    Only as many namespaces are compared with the selection as the caller needs destinations.
    """
    selector, named = sync_input.selector, sync_input.targets.named
    near = dict.fromkeys(chain(selector.near_globs(namespaces), selector.near_labels(namespaces)))
    others = (name for name in near if name not in named)
    for names in chain((list(named),), growing_batches(others)):
        present = {name: namespaces[name] for name in names if name in namespaces}
        selected = set(selector.destinations(present))
        for name in names:
            if name in selected:
                yield NamespacedName(name, sync_input.sync.destination_name)
