"""Define what passes from one step of a reconcile to the next.

`reconciler/observe.py` makes an observation, `planning.py` makes a plan of it, and the
applier carries the plan out and returns what became of it. Nothing here decides
anything.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from configmapsync.content import SourceObject
from configmapsync.copies import CopyRecord
from configmapsync.fielderrors import FieldError
from configmapsync.names import NamespacedName
from configmapsync.reasons import Outcome
from configmapsync.rendering import CopyTemplate
from configmapsync.resource import ConfigMapSync
from configmapsync.selection import Namespace, Selector

Copies = tuple[CopyRecord, ...]


class Interference(StrEnum):
    """What undoes the writes of the reconciler, as far as the copy shows it."""

    WRITER = "writer"  # another client writes the copy
    REMOVER = "remover"  # another client deletes the copy, or creates it again after its removal
    ADMISSION = "admission"  # a mutating webhook changes the copy before it is stored


@dataclass(frozen=True, slots=True)
class ContestedCopy:
    """A copy that another writer keeps changing.

    Attributes:
        interference: what undoes the writes of the reconciler.
        manager: the field manager that rewrites the copy; None if it is unknown.
        wait_seconds: until the copy may be written again; 0 if it may be written now.
        interval_seconds: between two writes of the copy.
    """

    interference: Interference
    manager: str | None
    wait_seconds: float
    interval_seconds: float

    @property
    def deferred(self) -> bool:
        """Return whether it is too early to write the copy again."""
        return self.wait_seconds > 0


@dataclass(frozen=True, slots=True)
class Observed:
    """The state of the cluster as far as it matters to one sync.

    Attributes:
        sync: the resource with its defaults.
        selector: the compiled selection of the sync.
        source: the source; None if it does not exist, or was not read because the sync is deleted,
            suspended, or lacks a right.
        copies: all ConfigMaps whose marks name this sync or its UID.
        copy_at: returns the ConfigMap with marks of any sync; None if there is none.
        namespaces: all namespaces of the cluster.
        is_living: returns whether a sync with this UID exists.
        blocker_at: returns a known ConfigMap without marks; None if none is known.
        denied: the rights that the named service account lacks; None if it lacks none.
        refused: the destinations that other syncs forbid: a loop, or the claim of an older sync.
        must_release: returns whether the sync of a copy may no longer keep the copy.
        served: the namespaces that the reconciler may write to; None if it may write to all.
        source_unreadable: why the source cannot be read; None if it was read or does not exist.
        contested: the copies that another writer keeps changing.
        recheck_seconds: until the rights of the sync must be checked again; None if the plan
            depends on no right.
    """

    sync: ConfigMapSync
    selector: Selector
    source: SourceObject | None
    copies: Copies
    copy_at: Callable[[NamespacedName], CopyRecord | None]
    namespaces: Mapping[str, Namespace]
    is_living: Callable[[str], bool]
    blocker_at: Callable[[NamespacedName], CopyRecord | None]
    denied: str | None
    refused: Mapping[NamespacedName, Outcome]
    must_release: Callable[[CopyRecord], bool]
    served: frozenset[str] | None
    source_unreadable: str | None
    contested: Mapping[NamespacedName, ContestedCopy]
    recheck_seconds: float | None


@dataclass(frozen=True, slots=True)
class ObservedInvalid:
    """The state of the cluster as far as it matters to a sync with an invalid spec.

    Attributes:
        uid: of the sync.
        deleting: whether the sync is being deleted.
        errors: the errors of the spec.
        copies: all ConfigMaps whose marks name this sync or its UID.
        namespaces: all namespaces of the cluster.
        served: the namespaces that the reconciler may write to; None if it may write to all.
    """

    uid: str
    deleting: bool
    errors: tuple[FieldError, ...]
    copies: Copies
    namespaces: Mapping[str, Namespace]
    served: frozenset[str] | None


@dataclass(frozen=True, slots=True)
class ObservedMissing:
    """The state of the cluster as far as it matters to a sync that does not exist.

    Attributes:
        orphans: the copies that name the sync, and whose UID belongs to no existing sync.
        namespaces: all namespaces of the cluster.
        served: the namespaces that the reconciler may write to; None if it may write to all.
        grace_seconds: until the next check whether the sync has been missing for long enough; 0 if
            the orphans may be removed now.
        contested: the copies that another writer keeps changing.
    """

    orphans: Copies
    namespaces: Mapping[str, Namespace]
    served: frozenset[str] | None
    grace_seconds: float
    contested: Mapping[NamespacedName, ContestedCopy]


Observation = Observed | ObservedInvalid | ObservedMissing


class Verb(StrEnum):
    """What a write does to a ConfigMap."""

    CREATE = "create"
    UPDATE = "update"
    ADOPT = "adopt"  # an update that takes over a ConfigMap without marks
    RECREATE = "recreate"  # delete and create: an immutable copy cannot be updated
    DELETE = "delete"
    RELEASE = "release"  # removes the marks and keeps the data


@dataclass(frozen=True, slots=True)
class Write:
    """One change to one ConfigMap.

    Attributes:
        verb: what to do.
        key: the ConfigMap.
        cause: why, in a few words for logs and the printed plan.
        record: the observed object, whose UID and resourceVersion are the precondition; None for
            a create.
        template: what the copy must look like; None for a delete or a release.
        contested: the message to report in place of success, if another writer keeps changing the
            copy; else empty.
    """

    verb: Verb
    key: NamespacedName
    cause: str
    record: CopyRecord | None = None
    template: CopyTemplate | None = None
    contested: str = ""

    @property
    def content_hash(self) -> int | None:
        """Return the hash of the copy that the write leaves; None if it leaves none."""
        return self.template.content_hash if self.template else None


@dataclass(frozen=True, slots=True)
class Plan:
    """All writes of one reconcile, and the outcomes that are known before them.

    Attributes:
        writes: the copies to create or change, independent of each other.
        removals: the copies to delete or release, after all writes were tried.
        settled: the outcome of each destination that needs no write, or must not get one.
        taken: the destinations that another object has; its deletion makes another plan necessary.
        verdict: why the sync as a whole cannot continue; None if it can.
        staged: whether a later plan removes copies that must wait for their replacement.
        finalizer: whether the sync needs its finalizer, because it has or gets a copy.
        digest: the digest of all copies; None without a source.
        leftovers: the outcome of each copy that should be gone and is not removed yet.
        remaining: with a verdict, the number of copies that stay; None without one.
        requeue_after: the seconds until the sync needs another plan; None if only an event can
            change the plan.
        content_needed: whether a copy has to be written and the content of the source was not
            read. Such a plan is not carried out: read the source and plan again.
    """

    writes: tuple[Write, ...] = ()
    removals: tuple[Write, ...] = ()
    settled: tuple[Outcome, ...] = ()
    taken: frozenset[NamespacedName] = frozenset()
    verdict: Outcome | None = None
    staged: bool = False
    finalizer: bool = False
    digest: str | None = None
    leftovers: tuple[Outcome, ...] = ()
    remaining: int | None = None
    requeue_after: float | None = None
    content_needed: bool = False


def soonest(*waits: float | None) -> float | None:
    """Return the shortest wait; None if there is none."""
    return min((wait for wait in waits if wait is not None), default=None)


@dataclass(frozen=True, slots=True)
class Applied:
    """What became of a plan.

    Attributes:
        outcomes: one for each write: `Synced` if it is finished, `Progressing` if it is not, else
            the failure.
        leftovers: the outcome of each copy that could not be removed.
        wrote: whether a copy was written since the previous plan.
        settled: whether no write of the sync can create a copy any more.
        requeue_after: the seconds until the sync needs another plan; None if only an event can
            change the plan.
    """

    outcomes: tuple[Outcome, ...]
    leftovers: tuple[Outcome, ...]
    wrote: bool
    settled: bool
    requeue_after: float | None
