"""From one look to the rest: plan, draft what was planned, look again, until nothing is left to do.

One plan is not the whole story. A copy under a former name goes only when its successor stands, and the copy of one sync may be the source of
another. So what a plan writes is drafted (`draft.py`), the caches are told as a watch would tell them, and every sync is planned again.
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
from configmapsync.plans import Observed, Outcome, Plan, Verb, Write
from configmapsync.reasons import Reason
from configmapsync.rendering import CopyTemplate, release_patch, render
from dryrun.simulated_cluster import Document, SimulatedCluster
from kube.client import Client, all_of
from kube.errors import Forbidden
from reconciler.known.caches import Caches
from reconciler.known.configmaps import read_copy, read_whole_copy
from reconciler.known.sources import Sources
from reconciler.observe import Denials, Observer

MOST_ROUNDS = 50  # a chain of copies of copies is as long at most
SOURCE_BYTES = 64 << 20
FIRST_DRAFTED_VERSION = 1 << 62  # newer than whatever a cluster holds


@dataclass(frozen=True, slots=True)
class Step:
    """One write that would be made, and the ConfigMap before and after it; None where there is none."""

    write: Write
    before: Document | None
    after: Document | None


@dataclass(slots=True)
class SimulatedSync:
    """What lies ahead of one sync.

    Attributes:
        key: the sync.
        record: as it is now; None where it is gone and its copies are there.
        steps: every write, in an order in which it may be done.
        settled: how each destination stands that gets no write in the end.
        verdict: why the sync as a whole does not go on; None where it does.
        source: as it was read last; None where there is none.
        problem: why nobody can tell; None where it could be told.
        notes: what else is to be known, a sentence each.
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
    def right(self) -> int:
        """How many copies need nothing."""
        written = {step.write.key.namespace for step in self.steps}
        return sum(
            outcome.reason is Reason.SYNCED and outcome.namespace not in written
            for outcome in self.settled
        )

    @property
    def refused(self) -> tuple[Outcome, ...]:
        """The destinations that get nothing, with why."""
        return tuple(outcome for outcome in self.settled if outcome.reason is not Reason.SYNCED)

    @property
    def failed(self) -> bool:
        """Whether there is something that only a person can mend before a plan can be made."""
        return self.problem is not None or (
            self.verdict is not None and self.verdict.reason is Reason.INVALID_SPEC
        )


class Simulator:
    """Plans every sync that was asked for, on a draft of the cluster."""

    def __init__(
        self,
        draft: SimulatedCluster,
        authorization: Denials,
        protected: frozenset[str],
        rng: random.Random,
    ) -> None:
        self.caches = Caches(draft, protected, rng)
        self._cluster = draft
        sources = Sources(Client(draft), self.caches.versions, SOURCE_BYTES)
        self._observer = Observer(self.caches, sources, authorization, decided=self._decided)
        self._version = FIRST_DRAFTED_VERSION

    async def read(self) -> None:
        """Read what the cluster holds: its syncs, copies and namespaces.

        Raises:
            ApiError: it could not be read.
        """
        caches = self.caches
        await all_of(
            informer.read_once() for informer in (caches.syncs, caches.copies, caches.namespaces)
        )

    def syncs(self) -> list[NamespacedName]:
        """Every sync there is, and every one that is gone and left copies behind."""
        there = {record.key for record in self.caches.syncs.values()}
        named = {copy.synced_by for copy in self.caches.copies.values() if copy.synced_by}
        return sorted(there | {sync for sync in named - there if self.caches.orphans_of(sync)})

    async def simulate(self, syncs: Iterable[NamespacedName]) -> list[SimulatedSync]:
        """What lies ahead of each.

        Raises:
            ApiError: the API server did not say.
        """
        simulated_syncs = [SimulatedSync(key, self.caches.syncs.get(*key)) for key in syncs]
        for _ in range(MOST_ROUNDS):
            busy = [await self._advance(simulated) for simulated in simulated_syncs]
            if not any(busy):
                return simulated_syncs
        for simulated, still_busy in zip(simulated_syncs, busy, strict=True):
            if still_busy:
                simulated.notes.append(f"it does not come to rest within {MOST_ROUNDS} rounds")
        return simulated_syncs

    async def _advance(self, simulated: SimulatedSync) -> bool:
        """Plan once, and draft what was planned; returns whether there was anything to do."""
        try:
            planned = await self._plan(simulated)
        except Forbidden as error:
            simulated.problem = f"what this needs may not be read: {error}"
            return False
        if simulated.problem is not None:
            return False
        simulated.settled, simulated.verdict = planned.settled, planned.verdict
        writes = (*planned.writes, *planned.removals)
        steps = await all_of(self._step(write) for write in sorted(writes, key=_order))
        for step in steps:
            self.put(step.write.key, step.after)
        simulated.steps += steps
        return bool(steps)

    async def _decided(self, _sync: NamespacedName) -> None:
        """Decide which claims of all syncs count."""
        for _ in self.caches.decisions.decide():
            pass

    async def _plan(self, simulated: SimulatedSync) -> Plan:
        if simulated.record is None:
            return self._observer.plan_orphans(simulated.key)
        planned = await self._observe_and_plan(simulated, simulated.record)
        if await self._look_where_something_would_be_made(simulated.key, planned):
            planned = await self._observe_and_plan(simulated, simulated.record)
        return planned

    async def _observe_and_plan(self, simulated: SimulatedSync, record: SyncRecord) -> Plan:
        observed = await self._observer.observe(record)
        if isinstance(observed, Observed):
            simulated.source, simulated.problem = observed.source, observed.source_unreadable
        return plan(observed)

    async def _look_where_something_would_be_made(
        self, sync: NamespacedName, planned: Plan
    ) -> bool:
        """The reconciler learns from the API server's refusal what stands in its way; here the places are looked at instead."""
        places = [write.key for write in planned.writes if write.verb is Verb.CREATE]
        found = [
            document
            for document in await all_of(map(self._cluster.find, places))
            if document is not None
        ]
        for document in found:
            record = read_copy(msgspec.json.encode(document))
            self.caches.blockers.expect(record.key, sync)
            self.caches.blockers.found(record)
        return bool(found)

    async def _step(self, write: Write) -> Step:
        before = await self._cluster.find(write.key) if write.record else None
        match write:
            case Write(verb=Verb.DELETE):
                return Step(write, before, None)
            case Write(verb=Verb.RELEASE):
                return Step(write, before, _released(before) if before else None)
            case Write(template=CopyTemplate() as template):
                record = read_whole_copy(msgspec.json.encode(before)) if before else None
                after = render(
                    template,
                    write.key.namespace,
                    record,
                    adopted=write.verb is Verb.ADOPT,
                    recreated=write.verb is Verb.RECREATE,
                )
                return Step(write, before, after)
            case _:
                raise ValueError(f"a plan never holds such a write: {write.verb} {write.key}")

    def put(self, place: NamespacedName, document: Document | None) -> None:
        """Draft a ConfigMap, or that there is none, and tell the caches as a watch would."""
        drafted = self._versioned(document or {"metadata": place._asdict()})
        self._cluster.put(place, drafted if document else None)
        raw = _raw(drafted)
        labels = drafted["metadata"].get("labels") or {}
        marked = document is not None and labels.get(MANAGED_BY_LABEL) == MANAGED_BY_VALUE
        self.caches.blockers.gone(place)
        self.caches.copies.changed("MODIFIED" if marked else "DELETED", raw)
        self.caches.versions.changed("MODIFIED" if document else "DELETED", raw)

    def put_sync(self, document: Document) -> None:
        """Have a sync be there as in `document`."""
        self.caches.syncs.changed("MODIFIED", _raw(self._versioned(document)))

    def put_namespace(self, document: Document) -> None:
        """Have a namespace be there as in `document`."""
        self.caches.namespaces.changed("MODIFIED", _raw(self._versioned(document)))

    def _versioned(self, document: Document) -> Document:
        """As the API server would store it: with a version of its own, and a UID."""
        self._version += 1
        made = {"uid": f"known-after-apply-{self._version - FIRST_DRAFTED_VERSION}"}
        return {
            **document,
            "metadata": {**made, **document["metadata"], "resourceVersion": str(self._version)},
        }


def _raw(document: Document) -> msgspec.Raw:
    return msgspec.Raw(msgspec.json.encode(document))


def _released(document: Document) -> Document:
    """A ConfigMap as it is after a release."""
    patch = release_patch(read_whole_copy(msgspec.json.encode(document)))["metadata"]
    metadata: dict[str, Any] = dict(document["metadata"])
    for part in ("labels", "annotations"):
        merged = {**(metadata.get(part) or {}), **patch[part]}
        metadata[part] = {key: value for key, value in merged.items() if value is not None}
    return {**document, "metadata": metadata}


def _order(write: Write) -> tuple[bool, NamespacedName]:
    """What replaces a copy is made before the copy goes."""
    return write.template is None, write.key
