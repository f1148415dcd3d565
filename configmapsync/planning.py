"""Decide all writes of one sync: compare the wanted copies with those that exist.

`plan` gets one observation of the cluster and returns each write with its cause, and an
outcome for each destination without a write. The reconciler and `dryrun/` observe the
cluster and carry plans out. Nothing here does I/O; each observation has a plan, and the
plan of a cluster that is up to date is empty. `plans.py` defines both types.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace

from configmapsync import reason_messages
from configmapsync.content import SourceObject
from configmapsync.contention import defer_contested
from configmapsync.copies import CopyRecord
from configmapsync.names import NamespacedName
from configmapsync.plans import (
    Copies,
    Observation,
    Observed,
    ObservedInvalid,
    ObservedMissing,
    Plan,
    Verb,
    Write,
)
from configmapsync.reasons import Outcome, Reason
from configmapsync.rendering import CopyTemplate, copy_template, is_up_to_date
from configmapsync.resource import ConfigMapSync
from configmapsync.spec import ConflictPolicy, DeletionPolicy, SourceDeletionPolicy


def plan(observed: Observation) -> Plan:
    """Return all writes of one sync. The order of the inputs does not matter."""
    if isinstance(observed, ObservedInvalid):
        return _plan_invalid(observed)
    if isinstance(observed, ObservedMissing):
        return defer_contested(_plan_missing(observed), "", observed.contested)
    planned = replace(_plan_valid(observed), requeue_after=observed.recheck_seconds)
    return defer_contested(planned, observed.sync.destination_name, observed.contested)


def _plan_missing(observed: ObservedMissing) -> Plan:
    """Remove the copies of a sync that was removed by force, after the grace period."""
    if observed.grace_seconds:
        return Plan(requeue_after=observed.grace_seconds)
    return Plan(removals=_plan_orphans(observed, observed.orphans, "its sync is gone"))


def _plan_invalid(observed: ObservedInvalid) -> Plan:
    """Keep the copies of an invalid spec; on its deletion each copy's own mark decides."""
    own = [copy for copy in observed.copies if copy.sync_uid == observed.uid and not copy.cloned]
    if observed.deleting:
        removals = _plan_orphans(observed, own, "the sync is being deleted")
        return Plan(removals=removals, finalizer=bool(removals))
    errors = "; ".join(str(error) for error in observed.errors)
    return Plan(verdict=Outcome("", Reason.INVALID_SPEC, errors), finalizer=bool(own))


def _plan_valid(observed: Observed) -> Plan:
    """Find what applies to the sync as a whole; without such a case plan its copies."""
    sync = observed.sync
    owned = tuple(copy for copy in observed.copies if owns(sync, copy, observed.is_living))
    if sync.deleting:
        return _plan_deletion(observed, owned)
    if sync.spec.suspend:
        return _refuse(Reason.SUSPENDED, reason_messages.SUSPENDED, owned)
    if observed.denied is not None:
        removals = _removals(observed, owned, cause="the service account lost its rights")
        return _refuse(Reason.NOT_AUTHORIZED, observed.denied, owned, removals)
    if observed.source_unreadable is not None:
        return _refuse(Reason.NOT_AUTHORIZED, observed.source_unreadable, owned)
    if observed.source is None:
        return _plan_without_source(observed, owned)
    if observed.source.too_many_keys:
        return _plan_with_too_many_keys(observed, owned, observed.source)
    return _plan_copies(observed, owned, observed.source)


def _refuse(reason: Reason, message: str, owned: Copies, removals: tuple[Write, ...] = ()) -> Plan:
    """Write no copy; keep those of `owned` that are not removed."""
    return Plan(
        removals=removals,
        verdict=Outcome("", reason, message),
        finalizer=bool(owned),
        remaining=len(owned) - len(removals),
    )


def owns(sync: ConfigMapSync, copy: CopyRecord, is_living: Callable[[str], bool]) -> bool:
    """Return whether a sync may change and remove a copy.

    The marks must name this sync. The UID must be that of the sync or of one that does not exist:
    the sync was created again, or the cluster was restored from a backup. A clone gives no right,
    because any client can make one.
    """
    if not copy.managed or copy.cloned or copy.synced_by != sync.key:
        return False
    return copy.sync_uid == sync.metadata.uid or not is_living(copy.sync_uid)


def _plan_deletion(observed: Observed, owned: Copies) -> Plan:
    removals = _removals(observed, owned, cause="the sync is being deleted")
    # A copy with another UID may be forged, so the finalizer does not wait for it.
    uid = observed.sync.metadata.uid
    finalizer = any(removal.record and removal.record.sync_uid == uid for removal in removals)
    return Plan(removals=removals, finalizer=finalizer)


def _plan_without_source(observed: Observed, owned: Copies) -> Plan:
    """Keep or delete the copies, as spec.sourceDeletionPolicy says."""
    sync = observed.sync
    if sync.spec.source_deletion_policy is SourceDeletionPolicy.DELETE:
        removals = _removals(observed, owned, cause="the source is gone", may_orphan=False)
    else:
        removals = _removals_of_unselected(observed, owned)
    message = reason_messages.source_not_found(sync.source)
    return _refuse(Reason.SOURCE_NOT_FOUND, message, owned, removals)


def _plan_with_too_many_keys(observed: Observed, owned: Copies, source: SourceObject) -> Plan:
    """Write no copy, and keep the copies of an earlier, smaller source."""
    removals = _removals_of_unselected(observed, owned)
    return _refuse(Reason.TOO_LARGE, reason_messages.too_many_keys(source), owned, removals)


def _plan_copies(observed: Observed, owned: Copies, source: SourceObject) -> Plan:
    """Plan each selected destination, and the removal of copies that are no longer wanted."""
    selector, namespaces = observed.selector, observed.namespaces
    template = copy_template(observed.sync, source)
    keys = [
        NamespacedName(namespace, template.name)
        for namespace in sorted(selector.destinations(namespaces))
    ]
    decisions = [_plan_destination(observed, key, template) for key in keys]
    writes = tuple(decision for decision in decisions if isinstance(decision, Write))
    settled = tuple(decision for decision in decisions if isinstance(decision, Outcome))
    unfinished = {write.key.namespace for write in writes}
    unfinished |= {each.namespace for each in settled if each.reason is not Reason.SYNCED}
    if source.known_digest is not None and unfinished:
        return Plan(finalizer=True, content_needed=True)
    # A copy under a previous name stays until the copy that replaces it is up to date.
    unwanted = _removals(observed, owned, wanted=frozenset(keys), cause="no longer selected")
    removals = tuple(removal for removal in unwanted if removal.key.namespace not in unfinished)
    return Plan(
        writes=writes,
        removals=removals,
        settled=(*selector.refused(namespaces), *settled),
        taken=frozenset(
            NamespacedName(each.namespace, template.name) for each in settled if each.reason.taken
        ),
        staged=len(removals) < len(unwanted),
        finalizer=bool(writes or owned),
        digest=template.digest,
    )


def _plan_destination(
    observed: Observed, key: NamespacedName, template: CopyTemplate
) -> Write | Outcome:
    """Return the write of one destination, or why it gets none."""
    sync = observed.sync
    if (refusal := observed.refused.get(key)) is not None:
        return refusal
    existing = observed.copy_at(key)
    if existing is None:
        if (blocker := observed.blocker_at(key)) is not None:
            return _plan_unmanaged(sync, key, template, blocker)
        return Write(Verb.CREATE, key, "there is no copy", template=template)
    if existing.deleting:
        return Outcome(key.namespace, Reason.PROGRESSING, reason_messages.being_deleted(key))
    if existing.cloned or not existing.managed:
        return _plan_unmanaged(sync, key, template, existing)
    # At a destination the UID is sufficient: a removed annotation is drift and is restored.
    own_uid = existing.sync_uid == sync.metadata.uid
    if own_uid or owns(sync, existing, observed.is_living):
        return _plan_own_copy(sync, key, template, existing)
    if observed.must_release(existing):
        cause = f"it is taken over from ConfigMapSync {existing.synced_by}"
        return _plan_own_copy(sync, key, template, existing, cause)
    message = reason_messages.owned_by(existing)
    return Outcome(key.namespace, Reason.DESTINATION_CONTESTED, message)


def _plan_own_copy(
    sync: ConfigMapSync,
    key: NamespacedName,
    template: CopyTemplate,
    copy: CopyRecord,
    cause: str | None = None,
) -> Write | Outcome:
    """Decide about a ConfigMap that the sync may change; by default the difference is the cause."""
    if is_up_to_date(copy, template):
        return Outcome(key.namespace, Reason.SYNCED)
    content_differs = copy.digest != template.digest
    if copy.immutable and content_differs:
        if copy.adopted or not sync.may_delete_copies:
            message = reason_messages.not_recreated(copy)
            return Outcome(key.namespace, Reason.DESTINATION_CONFLICT, message)
        return Write(Verb.RECREATE, key, "an immutable copy has other content", copy, template)
    difference = "the content differs" if content_differs else "labels or annotations differ"
    return Write(Verb.UPDATE, key, cause or difference, copy, template)


def _plan_unmanaged(
    sync: ConfigMapSync, key: NamespacedName, template: CopyTemplate, existing: CopyRecord
) -> Write | Outcome:
    """Take back a released copy, adopt another ConfigMap if the spec says so, or report it."""
    if existing.released_by == sync.key:
        cause = "a copy that was released is taken back"
        return _plan_own_copy(sync, key, template, existing, cause)
    if sync.spec.conflict_policy is not ConflictPolicy.ADOPT:
        message = reason_messages.unmanaged(existing)
        return Outcome(key.namespace, Reason.DESTINATION_CONFLICT, message)
    if existing.immutable and existing.digest != template.digest:
        message = reason_messages.not_adoptable(existing)
        return Outcome(key.namespace, Reason.DESTINATION_CONFLICT, message)
    return Write(Verb.ADOPT, key, "an unmanaged ConfigMap is adopted", existing, template)


def _plan_orphans(
    observed: ObservedInvalid | ObservedMissing, copies: Iterable[CopyRecord], cause: str
) -> tuple[Write, ...]:
    """Return the removals of copies without a valid sync; the mark of each copy sets the policy."""
    return tuple(
        _removal(copy, cause, orphan=copy.deletion_policy is DeletionPolicy.ORPHAN)
        for copy in _removable(observed, copies)
        if not copy.cloned
    )


def _removals_of_unselected(observed: Observed, owned: Copies) -> tuple[Write, ...]:
    """Return the removals of copies in namespaces that are no longer selected."""
    selected = set(observed.selector.destinations(observed.namespaces))
    wanted = frozenset(copy.key for copy in owned if copy.namespace in selected)
    return _removals(observed, owned, wanted=wanted, cause="the namespace is no longer selected")


def _removals(
    observed: Observed,
    owned: Copies,
    *,
    cause: str,
    wanted: frozenset[NamespacedName] = frozenset(),
    may_orphan: bool = True,
) -> tuple[Write, ...]:
    """Return the removals of all owned copies except the wanted ones."""
    orphan = may_orphan and observed.sync.spec.deletion_policy is DeletionPolicy.ORPHAN
    return tuple(
        _removal(copy, cause, orphan=orphan)
        for copy in _removable(observed, owned)
        if copy.key not in wanted
    )


def _removal(copy: CopyRecord, cause: str, *, orphan: bool) -> Write:
    # An adopted ConfigMap existed before the sync. A copy without its destination mark may be a
    # clone. Both are released under any policy.
    release = orphan or copy.adopted or copy.destination is None
    return Write(Verb.RELEASE if release else Verb.DELETE, copy.key, cause, copy)


def _removable(observed: Observation, copies: Iterable[CopyRecord]) -> Iterator[CopyRecord]:
    """Yield the copies that need a write to be removed.

    A terminating namespace removes its copies itself, and so does a delete in progress. The
    reconciler cannot write to namespaces that it does not serve, so no deletion waits for them.
    """
    for copy in sorted(copies, key=lambda copy: copy.key):
        namespace = observed.namespaces.get(copy.namespace)
        served = observed.served is None or copy.namespace in observed.served
        if served and namespace and not namespace.terminating and not copy.deleting:
            yield copy
