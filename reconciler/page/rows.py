"""Make the rows of the page from cached syncs and copies.

`snapshot.py` and `details.py` call it. A row holds names, states and messages, never
content of a ConfigMap. The state of a copy follows from the status of its sync and from
the digest of the copy, so that every replica shows the same.
"""

from collections.abc import Iterable, Iterator
from datetime import datetime
from enum import StrEnum

import msgspec

from cluster.syncs import SyncRecord
from configmapsync import reasons
from configmapsync.conditions import MESSAGE_LIMIT
from configmapsync.copies import CopyRecord
from configmapsync.reasons import Reason
from configmapsync.status import ConfigMapSyncStatus, DestinationFailure

NOT_RECONCILED = "the reconciler has not reported on this generation"
DELETING = "the sync is being deleted; its copies are removed first"


class State(StrEnum):
    """The state of a sync or a copy; the order is that of importance."""

    FAILED = "failed"
    PROGRESSING = "progressing"
    ORPHANED = "orphaned"  # a copy whose sync does not exist
    SUSPENDED = "suspended"
    SYNCED = "synced"


RANK = {state: rank for rank, state in enumerate(State)}


class SyncRow(msgspec.Struct, frozen=True, rename="camel"):
    """One sync.

    Attributes:
        namespace: of the sync.
        name: of the sync.
        source: `namespace/name` of the source; empty if the spec is invalid.
        copy_name: the name of its copies; empty if the spec is invalid.
        state: in one word.
        reason: of the Ready condition; empty without a status.
        message: of the Ready condition.
        desired: number of copies that should exist; None if it is not counted.
        synced: number of copies that are up to date.
        failed: number of failed destinations.
        written: time of the last write to a copy; None if there was none.
        created: time of creation.
        deleting: whether the sync is being deleted.
    """

    namespace: str
    name: str
    source: str
    copy_name: str
    state: State
    reason: str
    message: str
    desired: int | None
    synced: int
    failed: int
    written: datetime | None
    created: datetime | None
    deleting: bool

    @property
    def key(self) -> str:
        """Return `namespace/name`."""
        return f"{self.namespace}/{self.name}"

    @property
    def names(self) -> tuple[str, ...]:
        """Return the names that a search looks at."""
        return self.key, self.source, self.copy_name


class CopyRow(msgspec.Struct, frozen=True, order=True, rename="camel"):
    """One copy, or a destination that has none. Rows are ordered by namespace and name.

    Attributes:
        namespace: of the copy.
        name: of the copy.
        sync: `namespace/name` of its sync.
        source: `namespace/name` of its source; empty if it is not known.
        state: in one word.
        reason: why; empty if no reason word fits.
        message: for people.
        present: whether the ConfigMap exists.
        adopted: whether it existed before the sync took it over.
        immutable: whether its content cannot be edited.
    """

    namespace: str
    name: str
    sync: str
    source: str
    state: State
    reason: str = ""
    message: str = ""
    present: bool = True
    adopted: bool = False
    immutable: bool = False

    @property
    def names(self) -> tuple[str, ...]:
        """Return the names that a search looks at."""
        return f"{self.namespace}/{self.name}", self.sync, self.source


def sync_row(record: SyncRecord) -> SyncRow:
    """Return the row of a sync."""
    sync, metadata = record.sync, record.metadata
    status = record.status or ConfigMapSyncStatus()
    ready = status.ready
    reason, message = (ready.reason, ready.message[:MESSAGE_LIMIT]) if ready else ("", "")
    state = _state_of_reason(reason)
    if record.deleting:
        state, message = State.PROGRESSING, message or DELETING
    elif status.observed_generation != metadata.generation:
        state, message = State.PROGRESSING, message or NOT_RECONCILED
    counts = status.destinations
    return SyncRow(
        namespace=record.namespace,
        name=record.name,
        source=str(sync.source) if sync else "",
        copy_name=sync.destination_name if sync else "",
        state=state,
        reason=reason,
        message=message,
        desired=counts.desired if counts else None,
        synced=counts.synced if counts else 0,
        failed=counts.failed if counts else 0,
        written=status.last_sync_time,
        created=metadata.creation_timestamp,
        deleting=record.deleting,
    )


def _state_of_reason(word: str) -> State:
    """Return the state of a reason word; an unknown or empty word is Progressing."""
    reason = Reason.parse(word)
    if reason is Reason.SUSPENDED:
        return State.SUSPENDED
    if reason is None or reason.state is reasons.PENDING:
        return State.PROGRESSING
    return State.FAILED if reason.state is reasons.FAILED else State.SYNCED


class Destinations:
    """The copies and the failed destinations of one sync."""

    def __init__(self, record: SyncRecord, row: SyncRow) -> None:
        status = record.status or ConfigMapSyncStatus()
        self._row = row
        self._digest = status.source.digest if status.source else None
        self._failures = {failure.namespace: failure for failure in status.failures}
        self._suspended = record.sync is not None and record.sync.spec.suspend

    def rows(self, copies: Iterable[CopyRecord]) -> Iterator[CopyRow]:
        """Yield a row for each copy, then one for each failure without a copy."""
        absent = dict.fromkeys(self._failures)
        for copy in copies:
            if copy.cloned:
                continue  # not a copy of the sync: another client duplicated one
            if copy.name == self._row.copy_name:
                absent.pop(copy.namespace, None)
            yield CopyRow(
                *(copy.namespace, copy.name, self._row.key, self._row.source),
                *self._state_of(copy),
                adopted=copy.adopted,
                immutable=copy.immutable,
            )
        yield from map(self.absent, absent)

    def absent(self, namespace: str) -> CopyRow:
        """Return the row of a selected namespace that has no copy."""
        row = self._row
        state, reason, message = row.state, row.reason, "no copy yet"
        if (failure := self._failures.get(namespace)) is not None:
            state, reason, message = _failed(failure)
        elif self._suspended:
            state = State.SUSPENDED
        elif row.failed > len(self._failures):
            state = State.FAILED
            message = "no copy; the status lists the first failures only, and not this one"
        elif state is State.SYNCED:
            state = State.PROGRESSING
        return CopyRow(
            namespace, row.copy_name, row.key, row.source, state, reason, message, present=False
        )

    def _state_of(self, copy: CopyRecord) -> tuple[State, str, str]:
        """Return the state, reason and message of a copy."""
        row = self._row
        if copy.name != row.copy_name and row.copy_name:
            return State.PROGRESSING, "", "a copy under a former name, to be removed"
        if (failure := self._failures.get(copy.namespace)) is not None:
            return _failed(failure)
        if copy.deleting:
            return State.PROGRESSING, "", "the copy is being deleted"
        if self._digest is not None and copy.digest == self._digest:
            return State.SYNCED, "", ""
        if self._suspended:
            return State.SUSPENDED, row.reason, "not up to date while the sync is suspended"
        if row.state is State.FAILED and self._digest is None:
            return State.FAILED, row.reason, "the copy stays as it is; see the sync"
        return State.PROGRESSING, "", "not up to date yet"


def orphan_row(copy: CopyRecord) -> CopyRow:
    """Return the row of a copy whose sync does not exist."""
    return CopyRow(
        *(copy.namespace, copy.name, str(copy.synced_by or ""), ""),
        state=State.ORPHANED,
        message="its sync does not exist; its deletion policy applies soon: "
        + copy.deletion_policy.value,
        adopted=copy.adopted,
        immutable=copy.immutable,
    )


def _failed(failure: DestinationFailure) -> tuple[State, str, str]:
    return State.FAILED, failure.reason[:MESSAGE_LIMIT], failure.message[:MESSAGE_LIMIT]
