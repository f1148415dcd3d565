"""Keep the last events that this process emitted, for the page.

The `EventRecorder` calls `note`, and `handlers.py` reads the rows. The reconciler may
not list events, so the page shows its own. The number is bounded; a repeated event
raises the count of its row.
"""

from collections import OrderedDict

import msgspec

from kube.event_correlator import Series

MOST_EVENTS = 500


class EventRow(msgspec.Struct, frozen=True, rename="camel"):
    """One event.

    Attributes:
        kind: of the object that the event is about.
        namespace: of the object.
        name: of the object.
        type: `Normal` or `Warning`.
        reason: the reason word.
        message: for people; `EventRecorder.emit` cuts it.
        count: number of occurrences.
        last: time of the newest occurrence, in UTC.
    """

    kind: str
    namespace: str
    name: str
    type: str
    reason: str
    message: str
    count: int
    last: str


class RecentEvents:
    """The last events, the newest first.

    Attributes:
        revision: rises with each occurrence.
    """

    def __init__(self) -> None:
        self._rows: OrderedDict[str, EventRow] = OrderedDict()
        self.revision = 0

    def note(self, series: Series) -> None:
        """Record an occurrence of an event."""
        latest = series.latest
        self._rows[series.name] = EventRow(
            *(latest.regarding.kind, latest.regarding.namespace, latest.regarding.name),
            type=latest.type,
            reason=latest.reason,
            message=latest.message,
            count=series.count,
            last=series.last.isoformat(timespec="seconds"),
        )
        self._rows.move_to_end(series.name)
        if len(self._rows) > MOST_EVENTS:
            self._rows.popitem(last=False)
        self.revision += 1

    def rows(self) -> list[EventRow]:
        """Return the rows, the newest first."""
        return list(reversed(self._rows.values()))
