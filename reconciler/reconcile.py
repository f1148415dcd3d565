"""Reconcile one sync in five steps: fetch, observe, plan, apply, report.

`controller.py` calls it with the name of a sync and nothing else. It reads the cluster
as it is now and makes it match the sync. It must not write if the cluster matches.
"""

import asyncio
from dataclasses import dataclass

from cluster.syncs import SyncRecord
from configmapsync.names import FINALIZER, NamespacedName
from configmapsync.planning import plan
from configmapsync.plans import Applied, Observed, Plan
from reconciler.known.caches import Caches
from reconciler.observe import Observer
from reconciler.reports.status import Reporter
from reconciler.writes.applier import Applier
from reconciler.writes.contention import Contention


@dataclass(frozen=True, slots=True)
class Reconciler:
    """Makes the copies of one sync match its spec and its source.

    Attributes:
        caches: have the syncs.
        observer: observes the cluster for one sync.
        contention: knows the contested copies.
        applier: carries plans out.
        reporter: writes statuses and finalizers.
    """

    caches: Caches
    observer: Observer
    contention: Contention
    applier: Applier
    reporter: Reporter

    async def reconcile(self, key: NamespacedName) -> float | None:
        """Reconcile one sync as far as the cluster allows now.

        Returns:
            Seconds until the sync has to be reconciled again; None if only an event can
            change its plan.

        Raises:
            ApiError: the API server refused a read or the finalizer. Nothing is lost; retry.
            Exception: a defect, in the decision on its claims or in a write; retry.
        """
        record = self.caches.syncs.get(*key)  # 1. fetch
        contested = await self.contention.contested_copies(key)  # 2. observe
        observed = await self.observer.observe(key, record, contested, trust_status=True)
        planned = plan(observed)  # 3. plan
        if planned.content_needed:
            observed = await self.observer.observe(key, record, contested)
            planned = plan(observed)
        if record is None:  # it has orphans at most, and neither finalizer nor status
            self.reporter.forget(key)
            return (await self.applier.apply(key, planned)).requeue_after
        applied = await self._apply(record, planned)  # 4. apply
        if applied is None:
            return None  # the sync is gone: its finalizer was removed
        await asyncio.sleep(0)  # planning and reporting take up to 30 ms each, for the largest spec
        # A deleted sync that nothing keeps is gone before a status could be read.
        is_gone = record.deleting and not planned.leftovers and not applied.leftovers
        if not is_gone:
            source = observed.source if isinstance(observed, Observed) else None
            self.reporter.report(record, source, planned, applied)  # 5. report
        return applied.requeue_after

    async def _apply(self, record: SyncRecord, planned: Plan) -> Applied | None:
        """Carry a plan out: the finalizer, then writes, then removals, then the finalizer again.

        The finalizer is added before the first copy, so that a crash in between leaves no orphan.

        Returns:
            The outcomes; None if the sync is gone.
        """
        current: SyncRecord | None = record
        is_missing = FINALIZER not in record.metadata.finalizers
        if planned.finalizer and not record.deleting and is_missing:
            current = await self.reporter.set_finalizer(record, present=True)
        if current is None:
            return None
        applied = await self.applier.apply(record.key, planned)
        # Before the deletion the finalizer stays, so that the next copy needs no write to the sync.
        # A create in flight can still make a copy.
        done = record.deleting and not planned.finalizer and applied.settled
        if done and FINALIZER in current.metadata.finalizers:
            current = await self.reporter.set_finalizer(current, present=False)
        return applied if current is not None else None
