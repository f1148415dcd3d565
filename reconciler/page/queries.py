"""Read the query of a request, and select one page of rows with it.

`handlers.py` calls it. Every value has a bound, and an unknown parameter is an error.
"""

from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum
from typing import Annotated, TypeVar

import msgspec
from aiohttp import web

from reconciler.page.pacing import paced
from reconciler.page.recent_events import EventRow
from reconciler.page.rows import RANK, CopyRow, State, SyncRow

LONGEST_TEXT = 320  # characters; "namespace/name" has at most 317
LARGEST_PAGE = 200
DEFAULT_PAGE = 100

Row = TypeVar("Row", SyncRow, CopyRow)
Text = Annotated[str, msgspec.Meta(max_length=LONGEST_TEXT)]
Number = Annotated[int, msgspec.Meta(ge=0, lt=10**9)]


class Sort(StrEnum):
    """The order of syncs and copies."""

    STATE = "state"  # the worst state first
    NAME = "name"
    WRITTEN = "written"  # the latest write first; only syncs have one


class Query(msgspec.Struct, forbid_unknown_fields=True):
    """What a reader wants to see: the parameters of a request.

    Attributes:
        q: part of a name that a row must contain; in lower case after `parse`.
        state: the only state; None for all.
        reason: the only reason; empty for all.
        sort: the order.
        sync: `namespace/name` of the only sync in a graph; empty for all.
        offset: number of rows to skip.
        limit: most rows of the answer, which never has more than `LARGEST_PAGE`.
    """

    q: Text = ""
    state: State | None = None
    reason: Text = ""
    sort: Sort = Sort.STATE
    sync: Annotated[Text, msgspec.Meta(pattern="^([^/]+/[^/]+)?$")] = ""
    offset: Number = 0
    limit: Number = DEFAULT_PAGE

    @classmethod
    def parse(cls, parameters: Iterable[tuple[str, str]]) -> "Query":
        """Parse the parameters of a request; an empty one counts as missing.

        Raises:
            web.HTTPBadRequest: a parameter is unknown, repeated, too long or not valid.
        """
        given: dict[str, str] = {}
        try:
            for key, value in parameters:
                if key in given:
                    raise msgspec.ValidationError(f"Object contains field `{key}` twice")
                if value:
                    given[key] = value
            query = msgspec.convert(given, cls, strict=False)
        except msgspec.ValidationError as error:
            reason = " ".join(f"wrong parameter: {error}".split())
            raise web.HTTPBadRequest(reason=reason[:LONGEST_TEXT]) from error
        query.q = query.q.strip().lower()
        return query

    def matches(self, row: SyncRow | CopyRow) -> bool:
        """Return whether a sync or a copy is wanted."""
        return (
            self.state in {None, row.state}
            and self.reason in {"", row.reason}
            and any(self.q in name for name in row.names)
        )

    def matches_event(self, row: EventRow) -> bool:
        """Return whether an event is wanted."""
        text = f"{row.namespace}/{row.name} {row.reason} {row.message}"
        return self.reason in {"", row.reason} and self.q in text.lower()


async def select(rows: Iterable[Row], query: Query) -> list[Row]:
    """Return the syncs or copies that a query wants, in its order."""
    found = [row async for row in paced(rows) if query.matches(row)]
    if query.sort is Sort.STATE:
        found.sort(key=lambda row: RANK[row.state])
    elif query.sort is Sort.WRITTEN:
        found.sort(key=_written, reverse=True)
    return found


def page_of(rows: Sequence[object], query: Query) -> Mapping[str, object]:
    """Return the part of rows that a query wants; the last page if it starts behind the end.

    Returns:
        `total`, the number of rows that match; `offset`, that of the first one shown; `rows`.
    """
    offset, limit = query.offset, min(query.limit, LARGEST_PAGE)
    if offset >= len(rows) and limit:
        offset = max(len(rows) - 1, 0) // limit * limit
    return {"total": len(rows), "offset": offset, "rows": rows[offset : offset + limit]}


def _written(row: SyncRow | CopyRow) -> float:
    return row.written.timestamp() if isinstance(row, SyncRow) and row.written else 0.0
