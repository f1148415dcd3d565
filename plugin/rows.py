"""Compute what `status` shows of each sync, from its spec and status.

`status` prints the rows as a table, and `explain`, `tree`, `graph` and `doctor` read
their states. Nothing here reads a cluster.
"""

from collections.abc import Iterable
from datetime import datetime

import msgspec

from cluster.syncs import SyncRecord
from configmapsync.reasons import State
from configmapsync.status import ConfigMapSyncStatus, DestinationFailure
from plugin.terminal import age, painted, printable, shortened, state_of, table

HEADERS = ("NAMESPACE", "NAME", "COPIES", "STATE", "AGE", "LAST FAILURE")
WIDE_HEADERS = (
    *("NAMESPACE", "NAME", "SOURCE", "COPIES", "READY", "STATE"),
    *("AGE", "LAST WRITE", "LAST FAILURE"),
)
NOT_REPORTED = "NotReported"
DELETING = "Deleting"
OUTDATED = "Outdated"
TABLE_FAILURE_CHARACTERS = 60
NONE = "-"


class Copies(msgspec.Struct, frozen=True):
    """The numbers of copies of one sync.

    Attributes:
        desired: namespaces that should have a copy; None if unknown.
        synced: namespaces whose copy is up to date.
        failed: namespaces whose copy failed.
    """

    desired: int | None = None
    synced: int = 0
    failed: int = 0

    def __str__(self) -> str:
        """Return synced of desired copies, such as 11/12."""
        return NONE if self.desired is None else f"{self.synced}/{self.desired}"


class StatusRow(msgspec.Struct, frozen=True, rename="camel"):
    """What `status` shows of one sync, in the form of `-o json`.

    Attributes:
        namespace: of the sync.
        name: of the sync.
        source: namespace and name of the source; empty if the spec is not valid.
        state: the reason of the Ready condition. Also `NotReported` without a status, `Outdated`
            if the status describes an earlier spec, or `Deleting`.
        ready: the status of the Ready condition.
        message: of the Ready condition.
        copies: how many there are.
        failures: of the status.
        created: when the sync was created.
        last_write: when a copy was written last; None if no copy was.
    """

    namespace: str
    name: str
    source: str
    state: str
    ready: str
    message: str
    copies: Copies
    failures: tuple[DestinationFailure, ...]
    created: datetime | None
    last_write: datetime | None

    @property
    def failed(self) -> bool:
        """Return whether the sync or one of its destinations failed."""
        return self.copies.failed > 0 or state_of(self.state) is State.FAILED

    @property
    def last_failure(self) -> str:
        """Return the first failed destination, else why the whole sync failed; `-` for none."""
        if self.failures:
            first = self.failures[0]
            more = f" (and {self.copies.failed - 1} more)" if self.copies.failed > 1 else ""
            return f"{first.namespace}: {first.reason}{more}: {first.message}"
        return self.message if self.failed and self.message else NONE


def row_of(record: SyncRecord) -> StatusRow:
    """Return the row of a sync."""
    status = record.status or ConfigMapSyncStatus()
    ready = status.ready
    counts = status.destinations
    return StatusRow(
        namespace=record.namespace,
        name=record.name,
        source=str(record.sync.source) if record.sync else "",
        state=_state(record, status, ready.reason if ready else NOT_REPORTED),
        ready=ready.status if ready else "Unknown",
        message=ready.message if ready else "",
        copies=Copies(counts.desired, counts.synced, counts.failed) if counts else Copies(),
        failures=status.failures,
        created=record.metadata.creation_timestamp,
        last_write=status.last_sync_time,
    )


def _state(record: SyncRecord, status: ConfigMapSyncStatus, reason: str) -> str:
    if record.deleting:
        return DELETING
    if reason != NOT_REPORTED and status.observed_generation != record.metadata.generation:
        return OUTDATED
    return reason


def status_table(rows: Iterable[StatusRow], now: datetime, *, wide: bool) -> list[str]:
    """Return the lines of the table that `status` prints.

    Args:
        rows: the syncs.
        now: the time that ages refer to.
        wide: whether to show every column, and every failure in full.
    """
    headers = WIDE_HEADERS if wide else HEADERS
    found = [_cells(row, now) for row in rows]
    if not wide:
        for cells in found:
            cells["LAST FAILURE"] = shortened(cells["LAST FAILURE"], TABLE_FAILURE_CHARACTERS)
    return table(headers, [[cells[header] for header in headers] for cells in found])


def _cells(row: StatusRow, now: datetime) -> dict[str, str]:
    return {
        "NAMESPACE": row.namespace,
        "NAME": row.name,
        "SOURCE": row.source or NONE,
        "COPIES": str(row.copies),
        "READY": row.ready,
        "STATE": painted(printable(row.state), row.state),
        "AGE": age(row.created, now),
        "LAST WRITE": age(row.last_write, now) if row.last_write else NONE,
        "LAST FAILURE": printable(row.last_failure),
    }
