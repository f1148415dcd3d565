"""What the webhook knows of the cluster: namespaces and syncs, kept by informers, and the graph that the syncs draw.

A name that the cache does not hold is asked for live before it is called missing: a namespace that the same `kubectl apply` made a
moment ago counts. Whether ConfigMaps are there is only ever asked live, for warnings; caching them would cost memory for nothing.
`admission.py` asks for one view for each judgement.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from itertools import chain, islice

import msgspec
import structlog

from cluster import namespaces, syncs
from cluster.namespaces import (
    NAMESPACES_PATH,
    NamespaceRecord,
    namespace_informer,
    namespaces_by_name,
    read_namespace,
)
from cluster.syncs import SYNCS_PATH, SyncOutline, read_outline
from configmapsync.content import MOST_SOURCE_KEYS
from configmapsync.fielderrors import MOST_ERRORS
from configmapsync.graph.index import Graph
from configmapsync.names import (
    MANAGED_BY_LABEL,
    MANAGED_BY_VALUE,
    SYNC_UID_LABEL,
    NamespacedName,
)
from configmapsync.permissions import Right, right_to_see
from configmapsync.selection import Namespace, Selector
from kube.connection import ACCEPT_METADATA, Connection
from kube.errors import ApiError, NotFound
from kube.informer import Informer
from kube.parallel import all_of
from kube.rbac import Rule
from kube.wire import decode_partial, decoding
from webhook.admit import MOST_LISTED, AdmissionInput, Snapshot, contests_by_form, steps_to_ask

log = structlog.stdlib.get_logger()

RightsFilter = Callable[[Iterable[Right]], Awaitable[frozenset[Right]]]

RULES = (
    *syncs.RULES,
    *namespaces.RULES,
    Rule("namespaces", ("get",), why="one that was created a moment ago"),
    Rule(
        "configmaps",
        ("get",),
        why="for warnings: is the source there, has it the keys, is anything in the way?",
    ),
)

CONFIRMED_WITHIN_SECONDS = 3.0
CONFIRMED_AT_ONCE = 8  # for one judgement
ENOUGH_MISSING = MOST_ERRORS  # an answer lists no more

# A warning is a courtesy: it is not worth many requests, nor a long wait.
LOOKED_AT_FOR_WARNINGS = 8
LOOKED_WITHIN_SECONDS = 1.0


class _Keys(msgspec.Struct, rename="camel"):
    """The keys of a ConfigMap; their values stay undecoded."""

    data: dict[str, msgspec.Raw] | None = None
    binary_data: dict[str, msgspec.Raw] | None = None


_keys_decoder = msgspec.json.Decoder(_Keys)


class ClusterState:
    """Keeps the view; nothing is known before `synced`."""

    def __init__(
        self, connection: Connection, protected: frozenset[str], rng: random.Random
    ) -> None:
        self.protected = protected
        self._connection = connection
        self._graph = Graph(protected)
        self._namespaces = namespace_informer(connection, rng)
        self._known = namespaces_by_name(self._namespaces)
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

    async def view(
        self, sync_input: AdmissionInput, held: RightsFilter, *, may_read_source: bool
    ) -> Snapshot:
        """Look at everything that one judgement needs.

        Args:
            sync_input: the sync.
            held: returns those of some rights that the requesting user has; at most 24 are asked for.
            may_read_source: whether the right to get the source was verified, so that
                warnings may depend on its keys.

        Raises:
            ApiError: a name that the cache does not hold could not be confirmed, or a right could not be asked for.
        """
        confirmed = await self._confirmed(sync_input)
        namespaces = {**self._known, **confirmed} if confirmed else self._known
        contested = tuple(self._graph.contested(sync_input.sync))
        sync = sync_input.sync
        cycle = self._graph.cycle_through(sync)
        told = (
            contest
            for form in contests_by_form(sync_input, contested)
            for contest in form[:MOST_LISTED]
        )
        see = {right_to_see(other): other for _, other in told}
        read = {Right("get", *step): step for step in steps_to_ask(cycle)}
        rights, source_missing, source_keys, in_the_way = await asyncio.gather(
            held((*see, *read)),
            self._source_is_missing(sync.source),
            self._source_keys(sync.source, wanted=may_read_source and bool(sync.spec.keys)),
            self._in_the_way(sync_input, namespaces),
        )
        return Snapshot(
            namespaces=namespaces,
            protected=self.protected,
            cycle=cycle,
            contested=contested,
            visible=frozenset(other for right, other in see.items() if right in rights),
            readable=frozenset(step for right, step in read.items() if right in rights),
            source_missing=source_missing,
            source_keys=source_keys,
            in_the_way=in_the_way,
        )

    async def _confirmed(self, sync_input: AdmissionInput) -> dict[str, Namespace]:
        """Ask live for each named namespace that the cache does not hold, or holds as going: a new one may have its name.

        Ends when enough are missing: the sync is refused for those already, and the
        others count as missing, too.
        """
        named = dict.fromkeys((sync_input.sync.source.namespace, *sync_input.targets.named))
        doubtful = iter(
            [name for name in named if name not in self._known or self._known[name].terminating]
        )
        found: dict[str, Namespace] = {}
        missing = 0

        async def confirm_in_turn() -> None:
            nonlocal missing
            for name in doubtful:
                if namespace := await self._read_namespace(name):
                    found[name] = namespace
                else:
                    missing += 1
                if missing >= ENOUGH_MISSING:
                    return

        await all_of(confirm_in_turn() for _ in range(CONFIRMED_AT_ONCE))
        return found

    async def _read_namespace(self, name: str) -> Namespace | None:
        try:
            answer = await self._read(f"{NAMESPACES_PATH}/{name}", CONFIRMED_WITHIN_SECONDS)
        except NotFound:
            return None
        return read_namespace(answer).view

    async def _source_is_missing(self, source: NamespacedName) -> bool:
        try:
            await self._read(_config_map_path(source), LOOKED_WITHIN_SECONDS)
        except NotFound:
            return True
        except ApiError:
            return False  # nobody knows, so there is nothing to warn of
        return False

    async def _source_keys(self, source: NamespacedName, *, wanted: bool) -> frozenset[str] | None:
        """Read the keys of the source, not its values; None if not wanted or not readable now."""
        if not wanted:
            return None
        try:
            answer = await self._connection.request(
                "GET", _config_map_path(source), timeout=LOOKED_WITHIN_SECONDS
            )
            with decoding("the source"):
                content = _keys_decoder.decode(answer)
        except ApiError:
            return None
        data, binary_data = content.data or {}, content.binary_data or {}
        if len(data) + len(binary_data) > MOST_SOURCE_KEYS:
            return None  # it is not copied at all, and matching so many keys takes too long
        return frozenset((*data, *binary_data))

    async def _in_the_way(
        self, sync_input: AdmissionInput, namespaces: Mapping[str, Namespace]
    ) -> tuple[NamespacedName, ...]:
        """Look at the first destinations for ConfigMaps that no sync manages."""
        places = list(
            islice(_destinations(sync_input, namespaces, self.protected), LOOKED_AT_FOR_WARNINGS)
        )
        found = await all_of(self._is_unmanaged(place) for place in places)
        return tuple(place for place, unmanaged in zip(places, found, strict=True) if unmanaged)

    async def _is_unmanaged(self, place: NamespacedName) -> bool:
        try:
            answer = await self._read(_config_map_path(place), LOOKED_WITHIN_SECONDS)
            with decoding("the ConfigMap"):
                labels = decode_partial(answer).metadata.labels or {}
        except ApiError:
            return False
        return labels.get(MANAGED_BY_LABEL) != MANAGED_BY_VALUE or SYNC_UID_LABEL not in labels

    async def _read(self, path: str, within: float) -> bytes:
        return await self._connection.request("GET", path, accept=ACCEPT_METADATA, timeout=within)

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
            self._graph.put(new.sync)
            # The graph holds what it needs; 10,000 whole syncs would take 60 MiB more.
            new.sync = None


def _destinations(
    sync_input: AdmissionInput, namespaces: Mapping[str, Namespace], protected: frozenset[str]
) -> Iterator[NamespacedName]:
    """Yield where copies would be written now, those that are named first."""
    selector, named = Selector.of(sync_input.sync, protected), sync_input.targets.named
    selected = {namespace.name: namespace for namespace in selector.among(namespaces)}
    for name in chain((name for name in named if name in selected), selected.keys() - named.keys()):
        namespace = selected[name]
        if not (namespace.terminating or namespace.disabled):
            yield NamespacedName(name, sync_input.sync.destination_name)


def _config_map_path(place: NamespacedName) -> str:
    return f"{NAMESPACES_PATH}/{place.namespace}/configmaps/{place.name}"
