"""Find copies that another writer keeps changing, and write those less often.

`reconciler/writes/contention.py` keeps the histories with `record_write`, and
`planning.py` defers the writes with `defer_contested`. Times are seconds on any clock;
nothing here may read one.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import NamedTuple

from configmapsync.names import NamespacedName
from configmapsync.plans import ContestedCopy, Interference, Plan, soonest
from configmapsync.reasons import Outcome, Reason

# A write with the same content as the previous write to a copy is a repair. Edits of the source or
# the sync cause none, and rare manual changes cause few.
REPAIRS = 5  # in one window make a copy contested, until it has stayed unchanged for a window
WINDOW_SECONDS = 600.0


@dataclass(frozen=True, slots=True)
class WriteRecord:
    """One write of the reconciler that the API server accepted.

    Attributes:
        content_hash: `Write.content_hash`.
        at: the time, in seconds.
        replaced: the version that the write replaced; None for a create.
        stored: the version that the write made; None for a delete.
    """

    content_hash: int | None
    at: float
    replaced: str | None
    stored: str | None


class Owner(NamedTuple):
    """The sync and the namespace of a copy; if one of them is created again, a new history begins.

    Attributes:
        sync_uid: of the sync; empty if it does not exist.
        deleting: whether the sync is being deleted; its deletion does not wait for contention.
        namespace_uid: of the namespace; empty if it does not exist.
    """

    sync_uid: str
    deleting: bool
    namespace_uid: str


@dataclass(frozen=True, slots=True)
class History:
    """The recent writes to one copy.

    Attributes:
        last: the newest write.
        repairs: the times of the last repairs within the window, in seconds. A repair writes the
            same content as the previous write.
        interference: what made the last repair necessary.
        owner: the sync and the namespace of the copy.
    """

    last: WriteRecord
    repairs: tuple[float, ...]
    interference: Interference
    owner: Owner

    @property
    def contested(self) -> bool:
        """Return whether another writer keeps changing the copy."""
        return len(self.repairs) >= REPAIRS


def record_write(
    history: History | None, done: WriteRecord, owner: Owner, *, drifted: bool
) -> History:
    """Return the history with one more write.

    Args:
        history: the history of the copy; None if there is none.
        done: the write.
        owner: the sync and the namespace of the copy.
        drifted: whether the marks of the copy show that it had the same content before. This
            matters only without a history.
    """
    if history is None or history.owner != owner:
        return History(done, (done.at,) if drifted else (), Interference.WRITER, owner)
    recent = tuple(at for at in history.repairs if done.at - at < WINDOW_SECONDS)
    if history.last.content_hash != done.content_hash:
        return replace(history, last=done, repairs=recent)
    return History(done, (*recent, done.at)[-REPAIRS:], _interference(history.last, done), owner)


def _interference(before: WriteRecord, now: WriteRecord) -> Interference:
    if before.stored is None or now.replaced is None:
        return Interference.REMOVER
    return Interference.ADMISSION if before.stored == now.replaced else Interference.WRITER


def defer_contested(
    planned: Plan, name: str, copies: Mapping[NamespacedName, ContestedCopy]
) -> Plan:
    """Remove the writes from a plan that come too early for contested copies.

    A contested copy keeps the reason `Contested` until it has stayed unchanged for a while, also
    after a write. Otherwise the status would change with each write.

    Args:
        planned: the plan without regard to contention.
        name: of the copies of the sync.
        copies: the contested copies of the sync.
    """
    if not copies:
        return planned
    deferred = {key: _outcome(key, copy) for key, copy in copies.items() if copy.deferred}
    named = [(NamespacedName(each.namespace, name), each) for each in planned.settled]
    wanted = {key for key, _ in named} | {write.key for write in planned.writes}
    due = {write.key for write in (*planned.writes, *planned.removals)}
    waits = (
        copy.wait_seconds or copy.interval_seconds
        for key, copy in copies.items()
        if copy.deferred or key in due
    )
    return replace(
        planned,
        writes=tuple(
            replace(write, contested=contention_message(write.key, copies[write.key]))
            if write.key in copies
            else write
            for write in planned.writes
            if write.key not in deferred
        ),
        removals=tuple(removal for removal in planned.removals if removal.key not in deferred),
        settled=(
            *(
                deferred.get(key, outcome) if outcome.reason is Reason.SYNCED else outcome
                for key, outcome in named
            ),
            *(deferred[write.key] for write in planned.writes if write.key in deferred),
        ),
        leftovers=tuple(outcome for key, outcome in deferred.items() if key not in wanted),
        requeue_after=soonest(planned.requeue_after, *waits),
    )


def _outcome(key: NamespacedName, copy: ContestedCopy) -> Outcome:
    return Outcome(key.namespace, Reason.CONTESTED, contention_message(key, copy))


def contention_message(key: NamespacedName, copy: ContestedCopy) -> str:
    """Return the condition message; it stays the same as long as the contention lasts."""
    match copy.interference:
        case Interference.REMOVER:
            what = f'something keeps deleting ConfigMap "{key}", or bringing it back'
        case Interference.ADMISSION:
            what = f'an admission webhook changes what is written to ConfigMap "{key}"'
        case Interference.WRITER:
            writer = f'field manager "{copy.manager}"' if copy.manager else "something"
            what = f'{writer} keeps rewriting ConfigMap "{key}"'
    return f"{what}; until that stops, it is written at most every {copy.interval_seconds:g} s"
