"""Plan every sync on a simulated cluster until no plan has a write, at most 50 times.

`command.py` calls it. One round is not enough: a renamed copy is removed only after its
successor exists, and a copy can be the source of another sync. The caches get the
events that a watch would bring, and nothing here may write to a real cluster.
"""

import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from cluster.syncs import SyncRecord
from configmapsync.content import SourceObject
from configmapsync.names import MANAGED_BY_LABEL, MANAGED_BY_VALUE, NamespacedName
from configmapsync.planning import plan
from configmapsync.plans import Observed, Plan, Verb, Write
from configmapsync.reasons import Outcome, Reason
from configmapsync.rendering import release_patch, render
from dryrun.simulated_cluster import Document, SimulatedCluster
from kube.client import Client, all_of
from kube.errors import Forbidden
from kube.wire import event_of
from reconciler.known.caches import Caches
from reconciler.known.claims import Decider
from reconciler.known.configmaps import read_copy, read_whole_copy
from reconciler.known.service_accounts import Authorization
from reconciler.known.sources import Sources
from reconciler.observe import Observer

# A chain of copies of copies is followed this far.
MOST_ROUNDS = 50
SOURCE_BYTES = 64 << 20
FIRST_PLANNED_VERSION = 1 << 62  # newer than every version of a cluster


@dataclass(frozen=True, slots=True)
class Step:
    """One planned write.

    Attributes:
        write: the write.
        before: the ConfigMap before it; None if there is none.
        after: the ConfigMap after it; None if there is none.
    """

    write: Write
    before: Document | None
    after: Document | None


@dataclass(slots=True)
class SimulatedSync:
    """The plan for one sync.

    Attributes:
        key: the sync.
        record: the sync as it is now; None if it is missing and has copies.
        steps: every write, in an order in which the writes can happen.
        settled: the outcome of each destination that needs no further write.
        verdict: why the whole sync is not carried out; None if it is.
        source: as last read; None if it does not exist.
        problem: why no plan can be made; None if it can.
        notes: further remarks, a sentence each.
    """

    key: NamespacedName
    record: SyncRecord | None
    steps: list[Step] = field(default_factory=list)
    settled: Sequence[Outcome] = ()
    verdict: Outcome | None = None
    source: SourceObject | None = None
    problem: str | None = None
    notes: list[str] = field(default_factory=list)

    @property
    def in_sync(self) -> int:
        """Return how many copies need no write."""
        written = {step.write.key.namespace for step in self.steps}
        return sum(
            outcome.reason is Reason.SYNCED and outcome.namespace not in written
            for outcome in self.settled
        )

    @property
    def refused(self) -> tuple[Outcome, ...]:
        """Return the destinations that get no copy, with their reasons."""
        return tuple(outcome for outcome in self.settled if outcome.reason is not Reason.SYNCED)

    @property
    def failed(self) -> bool:
        """Return whether an edit or a right is needed before a plan can be made."""
        return self.problem is not None or (
            self.verdict is not None and self.verdict.reason is Reason.INVALID_SPEC
        )


class Simulator:
    """Plans syncs on a simulated cluster."""

    def __init__(
        self,
        cluster: SimulatedCluster,
        authorization: Authorization,
        protected: frozenset[str],
        rng: random.Random,
    ) -> None:
        """Create a simulator with empty caches.

        Args:
            cluster: the simulated cluster.
            authorization: checks the rights of named service accounts.
            protected: namespaces that are destinations only by exact name.
            rng: for the jitter of the informers.
        """
        self.caches = Caches(cluster, protected, rng, SOURCE_BYTES)
        self._cluster = cluster
        self._observer = Observer(
            self.caches,
            Sources(Client(cluster), self.caches),
            authorization,
            Decider(self.caches.decisions, lambda _sync: None),
        )
        self._version = FIRST_PLANNED_VERSION

    async def read(self) -> None:
        """Read the syncs, copies and namespaces of the cluster.

        Raises:
            ApiError: a list could not be read.
        """
        caches = self.caches
        await all_of(
            informer.read_once() for informer in (caches.syncs, caches.copies, caches.namespaces)
        )

    def syncs(self) -> list[NamespacedName]:
        """Return every sync, and every missing sync that has copies."""
        existing = {record.key for record in self.caches.syncs.values()}
        named = {copy.synced_by for copy in self.caches.copies.values() if copy.synced_by}
        missing = {sync for sync in named - existing if self.caches.orphans_of(sync)}
        return sorted(existing | missing)

    async def simulate(self, syncs: Iterable[NamespacedName]) -> list[SimulatedSync]:
        """Return the plan of each sync.

        Raises:
            ApiError: the API server did not answer.
        """
        simulated_syncs = [SimulatedSync(key, self.caches.syncs.get(*key)) for key in syncs]
        for _ in range(MOST_ROUNDS):
            changing = [each for each in simulated_syncs if await self._advance(each)]
            if not changing:
                break
        for simulated in changing:
            simulated.notes.append(f"the plan is not complete after {MOST_ROUNDS} rounds")
        return simulated_syncs

    async def _advance(self, simulated: SimulatedSync) -> bool:
        """Plan once and carry the plan out; return whether there was a write."""
        try:
            planned = await self._plan(simulated)
        except Forbidden as error:
            simulated.problem = f"missing the right to read what the plan needs: {error}"
            return False
        if simulated.problem is not None:
            return False
        simulated.settled, simulated.verdict = planned.settled, planned.verdict
        steps = await all_of(map(self._step, (*planned.writes, *planned.removals)))
        for step in steps:
            self.put(step.write.key, step.after)
        simulated.steps += steps
        return bool(steps)

    async def _plan(self, simulated: SimulatedSync) -> Plan:
        planned = await self._observe_and_plan(simulated)
        if await self._find_blockers(simulated.key, planned):
            planned = await self._observe_and_plan(simulated)
        return planned

    async def _observe_and_plan(self, simulated: SimulatedSync) -> Plan:
        for _ in self.caches.decisions.decide():
            pass  # the observer finds every claim decided
        observed = await self._observer.observe(simulated.key, simulated.record, contested={})
        if isinstance(observed, Observed):
            simulated.source, simulated.problem = observed.source, observed.source_unreadable
        return plan(observed)

    async def _find_blockers(self, sync: NamespacedName, planned: Plan) -> bool:
        """Read the ConfigMaps at the names of planned creates; return whether there are any.

        The reconciler finds a blocker when the API server refuses the create.
        """
        keys = [write.key for write in planned.writes if write.verb is Verb.CREATE]
        found = [document for document in await all_of(map(self._cluster.find, keys)) if document]
        for document in found:
            record = read_copy(_encode(document))
            self.caches.blockers.expect(record.key, sync)
            self.caches.blockers.found(record)
        return bool(found)

    async def _step(self, write: Write) -> Step:
        before = await self._cluster.find(write.key) if write.record else None
        record = read_whole_copy(_encode(before)) if before else None
        after = None
        if write.template is not None:
            after = render(
                write.template,
                write.key.namespace,
                record,
                adopted=write.verb is Verb.ADOPT,
                recreated=write.verb is Verb.RECREATE,
            )
        elif write.verb is Verb.RELEASE and before and record:
            after = _merged(before, release_patch(record))
        return Step(write, before, after)

    def put(self, key: NamespacedName, document: Document | None) -> None:
        """Put a ConfigMap into the simulated cluster and the caches; None deletes it."""
        stored = self._as_stored(document or {"metadata": key._asdict()})
        raw = _encode(stored)
        self._cluster.put(key, bytes(raw) if document else None)
        labels = stored["metadata"].get("labels") or {}
        marked = labels.get(MANAGED_BY_LABEL) == MANAGED_BY_VALUE
        self.caches.blockers.gone(key)
        self.caches.copies.changed(event_of("MODIFIED" if marked else "DELETED", raw))
        self.caches.versions.changed(event_of("MODIFIED" if document else "DELETED", raw))

    def put_sync(self, document: Document) -> None:
        """Put a sync into the caches."""
        self.caches.syncs.changed(event_of("MODIFIED", _encode(self._as_stored(document))))

    def put_namespace(self, document: Document) -> None:
        """Put a namespace into the caches."""
        self.caches.namespaces.changed(event_of("MODIFIED", _encode(self._as_stored(document))))

    def _as_stored(self, document: Document) -> Document:
        """Add a new resourceVersion, and a UID if there is none."""
        self._version += 1
        metadata = {
            "uid": f"known-after-apply-{self._version - FIRST_PLANNED_VERSION}",
            **document["metadata"],
            "resourceVersion": str(self._version),
        }
        return {**document, "metadata": metadata}


def _encode(document: Document) -> msgspec.Raw:
    return msgspec.Raw(msgspec.json.encode(document))


def _merged(document: Any, patch: Any) -> Any:
    """Apply a JSON merge patch: a null removes a field."""
    if not isinstance(patch, dict):
        return patch
    merged = dict(document or {})
    for key, value in patch.items():
        merged[key] = _merged(merged.get(key), value)
    return {key: value for key, value in merged.items() if value is not None}
