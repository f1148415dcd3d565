"""The heart: what should be, minus what is.

`plan` takes one observation of the world and returns every write that would make it right, each with its reason, and every
destination that gets nothing, with why. It is total: every observation has a plan, and the plan of a world that is right
writes nothing. `reconciler/reconcile.py` observes and carries out; nothing here may do either.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum

from configmapsync.content import MOST_SOURCE_KEYS, SourceObject
from configmapsync.contention import ContestedCopy
from configmapsync.copies import CopyRecord
from configmapsync.fielderrors import FieldError
from configmapsync.names import NamespacedName
from configmapsync.reasons import Reason
from configmapsync.rendering import CopyTemplate, copy_template, is_up_to_date
from configmapsync.resource import (
    ConfigMapSync,
    ConflictPolicy,
    DeletionPolicy,
    SourceDeletionPolicy,
)
from configmapsync.selection import Namespace, select


@dataclass(frozen=True, slots=True)
class Refusal:
    """A destination that another rule forbids (a loop, an older sync that owns it): why it gets nothing from us."""

    reason: Reason
    message: str


@dataclass(frozen=True, slots=True)
class Observed:
    """One look at the world, from the side of one sync.

    Attributes:
        sync: the resource, with defaults filled in.
        source: its source as it is now; None where there is none.
        copies: every live ConfigMap whose marks carry this sync's UID or its name.
        copy_at: the live ConfigMap with anybody's marks at a place; None where there is none.
        namespaces: all namespaces of the cluster.
        is_living: whether a sync of that UID exists.
        blocker_at: the ConfigMap without marks that is known to stand at a place; None where none is known.
        denied: what a named service account may not do any more; None where it may, or none is named.
        refused: destinations that another rule forbids.
        must_release: whether the sync whose copy stands at a wanted place has to leave it to this one.
        protected: namespaces that are destinations only by exact name.
        served: the only namespaces that may be written to; None where every namespace may.
        source_unreadable: why nobody can say what the copies should contain; None if the source
            was read or does not exist.
        contested: copies that something keeps rewriting.
    """

    sync: ConfigMapSync
    source: SourceObject | None
    copies: tuple[CopyRecord, ...]
    copy_at: Callable[[NamespacedName], CopyRecord | None]
    namespaces: Mapping[str, Namespace]
    is_living: Callable[[str], bool]
    blocker_at: Callable[[NamespacedName], CopyRecord | None]
    denied: str | None = None
    refused: Mapping[NamespacedName, Refusal] = field(default_factory=dict)
    must_release: Callable[[CopyRecord], bool] = lambda _copy: False
    protected: frozenset[str] = frozenset()
    served: frozenset[str] | None = None
    source_unreadable: str | None = None
    contested: Mapping[NamespacedName, ContestedCopy] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ObservedInvalid:
    """One look at the world for a sync whose spec cannot be read.

    Attributes:
        uid: of the sync.
        deleting: whether the sync is being deleted.
        errors: what is wrong with the spec.
        copies: every live ConfigMap whose marks carry the UID or the name of the sync.
        namespaces: all namespaces of the cluster.
        served: the only namespaces that may be written to; None where every namespace may.
    """

    uid: str
    deleting: bool
    errors: tuple[FieldError, ...]
    copies: tuple[CopyRecord, ...]
    namespaces: Mapping[str, Namespace]
    served: frozenset[str] | None = None


class Verb(StrEnum):
    """What a write does to one ConfigMap."""

    CREATE = "create"
    UPDATE = "update"
    ADOPT = "adopt"  # an update that takes over what existed before us
    RECREATE = "recreate"  # delete and create: an immutable copy cannot be updated
    DELETE = "delete"
    RELEASE = "release"  # our marks go, the data stays


@dataclass(frozen=True, slots=True)
class Write:
    """One change to one ConfigMap.

    Attributes:
        verb: what to do.
        key: the ConfigMap.
        why: the reason in a few words, for logs and for the printed plan.
        record: the live object the plan saw, whose UID and resourceVersion are the preconditions; None for a create.
        template: what the copy must look like; None where it goes or is released.
    """

    verb: Verb
    key: NamespacedName
    why: str
    record: CopyRecord | None = None
    template: CopyTemplate | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """How one destination stands."""

    namespace: str
    reason: Reason
    message: str = ""


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything one reconcile has to do, in the order in which it may be done.

    Attributes:
        writes: copies to make or to put right; each stands alone.
        removals: copies that are no longer wanted; tried only after every write was.
        settled: the outcome of each destination that needs no write: right already, or refused with its reason.
        verdict: why the sync as a whole does not go on; None where it does.
        staged: whether a later plan removes what this one must leave until its successor stands.
        finalizer: whether our finalizer must stand, because something of ours is or will be out there.
        digest: the digest that every copy must have; None without a source.
        leftovers: copies that should be gone and stay for now, each with the reason.
        contested: copies that are never reported as right now, each with the reason.
    """

    writes: tuple[Write, ...] = ()
    removals: tuple[Write, ...] = ()
    settled: tuple[Outcome, ...] = ()
    verdict: Outcome | None = None
    staged: bool = False
    finalizer: bool = False
    digest: str | None = None
    leftovers: tuple[Outcome, ...] = ()
    contested: Mapping[NamespacedName, str] = field(default_factory=dict)

    @property
    def empty(self) -> bool:
        """Nothing is to be written."""
        return not self.writes and not self.removals


def plan(observed: Observed | ObservedInvalid) -> Plan:
    """Decide everything for one sync. Pure, total, and independent of the order of its inputs."""
    if isinstance(observed, ObservedInvalid):
        return _plan_invalid(observed)
    return defer_contested(
        _plan_valid(observed), observed.sync.destination_name, observed.contested
    )


def _plan_valid(observed: Observed) -> Plan:
    sync = observed.sync
    owned = tuple(copy for copy in observed.copies if owns(sync, copy, observed.is_living))
    if sync.deleting:
        removals = _removals(observed, owned, wanted=frozenset(), why="the sync is being deleted")
        # A copy of a former sync of this name may be forged, and has its own way to be removed: it holds nothing up.
        return Plan(
            removals=removals, finalizer=any(_carries_uid(sync, removal) for removal in removals)
        )
    if sync.spec.suspend:
        verdict = Outcome("", Reason.SUSPENDED, "spec.suspend is true: copies stay as they are")
        return Plan(verdict=verdict, finalizer=bool(owned))
    if observed.denied is not None:
        removals = _removals(observed, owned, wanted=frozenset(), why="the right to it is gone")
        verdict = Outcome("", Reason.NOT_AUTHORIZED, observed.denied)
        return Plan(removals=removals, verdict=verdict, finalizer=bool(owned))
    if observed.source_unreadable is not None:
        verdict = Outcome("", Reason.NOT_AUTHORIZED, observed.source_unreadable)
        return Plan(verdict=verdict, finalizer=bool(owned))
    if observed.source is None:
        return _plan_without_source(observed, owned)
    if observed.source.too_many_keys:
        return _plan_with_too_many_keys(observed, owned, observed.source)
    return _plan_copies(observed, owned, observed.source)


def _plan_invalid(observed: ObservedInvalid) -> Plan:
    """Keep the copies of an unreadable spec. If it is being deleted, each copy's own mark decides."""
    own = [copy for copy in observed.copies if copy.sync_uid == observed.uid and not copy.cloned]
    if observed.deleting:
        why = "the sync is being deleted"
        removals = plan_orphans(own, observed.namespaces, why, observed.served)
        return Plan(removals=removals, finalizer=bool(removals))
    errors = "; ".join(str(error) for error in observed.errors)
    return Plan(verdict=Outcome("", Reason.INVALID_SPEC, errors), finalizer=bool(own))


def defer_contested(
    planned: Plan, name: str, copies: Mapping[NamespacedName, ContestedCopy]
) -> Plan:
    """Take out of a plan what it is too early to write again.

    A contested copy is reported as `Contested` until it has stayed right for a while. Otherwise the
    status would change with each of the rare writes.

    Args:
        planned: what would make everything right.
        name: of the copies of the sync.
        copies: the contested copies of the sync.
    """
    if not copies:
        return planned
    contested = {key: copy.message for key, copy in copies.items() if copy.deferred}
    wanted = {write.key for write in planned.writes}
    wanted |= {NamespacedName(outcome.namespace, name) for outcome in planned.settled}
    due = {write.key for write in (*planned.writes, *planned.removals)} - contested.keys()
    return replace(
        planned,
        writes=tuple(write for write in planned.writes if write.key not in contested),
        removals=tuple(removal for removal in planned.removals if removal.key not in contested),
        settled=(
            *mark_contested(planned.settled, name, contested),
            *(
                Outcome(write.key.namespace, Reason.CONTESTED, contested[write.key])
                for write in planned.writes
                if write.key in contested
            ),
        ),
        leftovers=tuple(
            Outcome(key.namespace, Reason.CONTESTED, message)
            for key, message in contested.items()
            if key not in wanted
        ),
        contested=contested | {key: copies[key].message for key in due if key in copies},
    )


def mark_contested(
    outcomes: Iterable[Outcome], name: str, contested: Mapping[NamespacedName, str]
) -> tuple[Outcome, ...]:
    """Return the outcomes with `Contested` in place of `Synced` for contested copies."""
    return tuple(
        Outcome(outcome.namespace, Reason.CONTESTED, message)
        if outcome.reason is Reason.SYNCED
        and (message := contested.get(NamespacedName(outcome.namespace, name))) is not None
        else outcome
        for outcome in outcomes
    )


def owns(sync: ConfigMapSync, copy: CopyRecord, is_living: Callable[[str], bool]) -> bool:
    """Whether `copy` is ours to change and to remove.

    The marks must name this sync, and the UID must be its own, or that of a sync which no longer exists: the sync was made
    again under its name, or the cluster came back from a backup, and its copies are taken back rather than fought. What names
    another place than its own was brought there by somebody, marks and all: no mark on it gives us a right.
    """
    if not copy.managed or copy.cloned or copy.synced_by != sync.key:
        return False
    return copy.sync_uid == sync.metadata.uid or not is_living(copy.sync_uid)


def _carries_uid(sync: ConfigMapSync, write: Write) -> bool:
    return write.record is not None and write.record.sync_uid == sync.metadata.uid


def _plan_without_source(observed: Observed, owned: tuple[CopyRecord, ...]) -> Plan:
    """The source is gone, or not there yet: keep the copies or let them go, as the sync says."""
    sync = observed.sync
    verdict = Outcome("", Reason.SOURCE_NOT_FOUND, f'source ConfigMap "{sync.source}" not found')
    if sync.spec.source_deletion_policy is SourceDeletionPolicy.DELETE:
        removals = _removals(
            observed, owned, wanted=frozenset(), why="the source is gone", orphaning=False
        )
    else:
        removals = _unselected(observed, owned)
    return Plan(removals=removals, verdict=verdict, finalizer=bool(owned))


def _plan_with_too_many_keys(
    observed: Observed, owned: tuple[CopyRecord, ...], source: SourceObject
) -> Plan:
    """Write no copy; copies of an earlier, smaller source stay."""
    verdict = Outcome(
        "",
        Reason.TOO_LARGE,
        f'source ConfigMap "{source.key}" has {source.too_many_keys} keys, and at most {MOST_SOURCE_KEYS} are copied: '
        "split it, or put the values into fewer keys",
    )
    return Plan(removals=_unselected(observed, owned), verdict=verdict, finalizer=bool(owned))


def _unselected(observed: Observed, owned: tuple[CopyRecord, ...]) -> tuple[Write, ...]:
    """Return the removals of copies in namespaces that are no longer selected; all others stay."""
    selection = select(observed.sync, observed.namespaces, observed.protected)
    wanted = frozenset(copy.key for copy in owned if copy.namespace in selection.selected)
    return _removals(observed, owned, wanted, why="the namespace is no longer selected")


def _plan_copies(observed: Observed, owned: tuple[CopyRecord, ...], source: SourceObject) -> Plan:
    sync = observed.sync
    selection = select(sync, observed.namespaces, observed.protected)
    wanted_template = copy_template(sync, source)
    refused = [
        Outcome(refusal.namespace, refusal.reason, refusal.message) for refusal in selection.refused
    ]
    writes: list[Write] = []
    settled: list[Outcome] = []
    for namespace in selection.selected:
        decision = _plan_destination(
            observed, NamespacedName(namespace, wanted_template.name), wanted_template
        )
        if isinstance(decision, Write):
            writes.append(decision)
        else:
            settled.append(decision)
    # A copy under a former name stays until its successor stands, also where that cannot be made at all.
    without_successor = {write.key.namespace for write in writes}
    without_successor |= {
        outcome.namespace for outcome in settled if outcome.reason is not Reason.SYNCED
    }
    removals = _removals(
        observed,
        owned,
        wanted=frozenset(
            NamespacedName(namespace, wanted_template.name) for namespace in selection.selected
        ),
        why="no longer selected",
    )
    ready = tuple(removal for removal in removals if removal.key.namespace not in without_successor)
    return Plan(
        writes=tuple(writes),
        removals=ready,
        settled=(*refused, *settled),
        staged=len(ready) < len(removals),
        finalizer=bool(writes or owned),
        digest=wanted_template.digest,
    )


def _plan_destination(
    observed: Observed, key: NamespacedName, wanted: CopyTemplate
) -> Write | Outcome:
    """Decide one destination: a write, or why there is none."""
    sync = observed.sync
    if (refusal := observed.refused.get(key)) is not None:
        return Outcome(key.namespace, refusal.reason, refusal.message)
    copy = observed.copy_at(key)
    if copy is None:
        return _plan_empty_place(observed, key, wanted)
    if copy.deleting:
        return Outcome(
            key.namespace,
            Reason.PROGRESSING,
            f'ConfigMap "{key}" is being deleted; it is made again afterwards',
        )
    if copy.cloned or not copy.managed:
        return _plan_taken_place(observed, key, wanted, copy)
    ours = _ours_at_its_place(sync, copy, observed.is_living)
    if not ours and not observed.must_release(copy):
        owner = copy.synced_by or "another sync"
        message = f'ConfigMap "{key}" is the copy of ConfigMapSync "{owner}"'
        return Outcome(key.namespace, Reason.DESTINATION_CONTESTED, message)
    why = "" if ours else f"it is taken over from ConfigMapSync {copy.synced_by}"
    return _plan_own_copy(sync, key, wanted, copy, why)


def _plan_own_copy(
    sync: ConfigMapSync, key: NamespacedName, wanted: CopyTemplate, copy: CopyRecord, why: str
) -> Write | Outcome:
    """Decide a destination whose ConfigMap this sync may change; `why` is given where the marks differ for a reason."""
    if is_up_to_date(copy, wanted):
        return Outcome(key.namespace, Reason.SYNCED)
    other_content = copy.digest != wanted.digest
    if copy.immutable and other_content:
        if (obstacle := _keeps_immutable(sync, copy)) is not None:
            message = f'ConfigMap "{key}" is immutable and {obstacle}: delete it, and it is created with the new content'
            return Outcome(key.namespace, Reason.DESTINATION_CONFLICT, message)
        return Write(Verb.RECREATE, key, "an immutable copy has other content", copy, wanted)
    return Write(
        Verb.UPDATE,
        key,
        why or ("the content differs" if other_content else "labels or annotations differ"),
        copy,
        wanted,
    )


def _keeps_immutable(sync: ConfigMapSync, copy: CopyRecord) -> str | None:
    """Return why an immutable copy is not deleted to be created again; None where it may be."""
    if copy.adopted:
        return "was adopted"
    if not sync.may_delete_copies:
        return "the policies of its ConfigMapSync (Orphan, Retain) never delete a copy"
    return None


def _ours_at_its_place(
    sync: ConfigMapSync, copy: CopyRecord, is_living: Callable[[str], bool]
) -> bool:
    """At a wanted place our UID is proof enough: an annotation that someone took off is drift, and is put back."""
    return owns(sync, copy, is_living) or (copy.managed and copy.sync_uid == sync.metadata.uid)


def _plan_empty_place(
    observed: Observed, key: NamespacedName, wanted: CopyTemplate
) -> Write | Outcome:
    """A place without a copy, which need not be empty."""
    foreign = observed.blocker_at(key)
    if foreign is None:
        return Write(Verb.CREATE, key, "there is no copy", template=wanted)
    return _plan_taken_place(observed, key, wanted, foreign)


def _plan_taken_place(
    observed: Observed, key: NamespacedName, wanted: CopyTemplate, foreign: CopyRecord
) -> Write | Outcome:
    """Somebody else's ConfigMap stands there: it is adopted where that is asked for and possible, else left alone."""
    if foreign.released_by == observed.sync.key:
        return _plan_own_copy(
            observed.sync, key, wanted, foreign, "a copy that was released is taken back"
        )
    what = "is not managed by ConfigMapSync"
    if foreign.cloned:
        what = f'is a clone of the copy "{foreign.destination}" that somebody made'
    adopting = observed.sync.spec.conflict_policy is ConflictPolicy.ADOPT
    if adopting and foreign.immutable and foreign.digest != wanted.digest:
        message = f'ConfigMap "{key}" {what}, and being immutable it cannot be adopted; delete it'
        return Outcome(key.namespace, Reason.DESTINATION_CONFLICT, message)
    if adopting:
        return Write(Verb.ADOPT, key, "an unmanaged ConfigMap is adopted", foreign, wanted)
    message = (
        f'ConfigMap "{key}" exists and {what}; delete it, choose another destinationConfigMapName, '
        "or set conflictPolicy: Adopt"
    )
    return Outcome(key.namespace, Reason.DESTINATION_CONFLICT, message)


def plan_orphans(
    copies: Iterable[CopyRecord],
    namespaces: Mapping[str, Namespace],
    why: str,
    served: frozenset[str] | None = None,
) -> tuple[Write, ...]:
    """What becomes of copies whose sync cannot say it any more: each goes the way its own deletion-policy mark tells."""
    return tuple(
        _removal(copy, why, orphan=copy.deletion_policy is DeletionPolicy.ORPHAN)
        for copy in _removable(copies, namespaces, served)
        if not copy.cloned
    )


def _removals(
    observed: Observed,
    owned: tuple[CopyRecord, ...],
    wanted: frozenset[NamespacedName],
    why: str,
    *,
    orphaning: bool = True,
) -> tuple[Write, ...]:
    orphan = orphaning and observed.sync.spec.deletion_policy is DeletionPolicy.ORPHAN
    unwanted = (copy for copy in owned if copy.key not in wanted)
    return tuple(
        _removal(copy, why, orphan=orphan)
        for copy in _removable(unwanted, observed.namespaces, observed.served)
    )


def _removal(copy: CopyRecord, why: str, *, orphan: bool) -> Write:
    """Released whatever the policy: what was there before us, and what does not name its own place, for it may be a clone."""
    release = orphan or copy.adopted or copy.destination is None
    return Write(Verb.RELEASE if release else Verb.DELETE, copy.key, why, copy)


def _removable(
    copies: Iterable[CopyRecord], namespaces: Mapping[str, Namespace], served: frozenset[str] | None
) -> Iterator[CopyRecord]:
    """The copies that need us to go away: a namespace on its way out takes its own along, and so does a delete under way.

    Nothing can be removed where this reconciler does not serve the namespace, so nothing waits for it either.
    """
    for copy in sorted(copies, key=lambda copy: copy.key):
        namespace = namespaces.get(copy.namespace)
        if served is not None and copy.namespace not in served:
            continue
        if namespace is not None and not namespace.terminating and not copy.deleting:
            yield copy
