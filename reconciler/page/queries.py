"""Read the query of a request, and select one page of rows with it.

`handlers.py` calls it. Every value has a bound, and an unknown parameter is an error.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Generic, TypeVar

from configmapsync.names import NamespacedName
from reconciler.page.pacing import paced
from reconciler.page.recent_events import EventRow
from reconciler.page.rows import CopyRow, SyncRow
from reconciler.page.states import RANK, State

LONGEST_TEXT = 320  # characters; "namespace/name" has at most 317
LARGEST_PAGE = 200
DEFAULT_PAGE = 100
MOST_DIGITS = 9
KEYS = frozenset({"q", "state", "reason", "sort", "offset", "limit", "sync"})

Row = TypeVar("Row")


class QueryError(ValueError):
    """A parameter of the query is not valid."""


class Sort(StrEnum):
    """The order of syncs and copies."""

    STATE = "state"  # the worst state first
    NAME = "name"
    WRITTEN = "written"  # the latest write first


@dataclass(frozen=True, slots=True)
class Query:
    """What a reader wants to see.

    Attributes:
        text: part of a name that a row must contain; in lower case.
        state: the only state, or None for all.
        reason: the only reason, or empty for all.
        sort: the order.
        sync: the only sync; None for all.
        offset: number of rows to skip.
        limit: most rows of the answer.
    """

    text: str = ""
    state: State | None = None
    reason: str = ""
    sort: Sort = Sort.STATE
    sync: NamespacedName | None = None
    offset: int = 0
    limit: int = DEFAULT_PAGE

    @classmethod
    def parse(cls, items: Iterable[tuple[str, str]]) -> "Query":
        """Parse the parameters of a request.

        Raises:
            QueryError: a parameter is unknown, repeated, too long or not valid.
        """
        given: dict[str, str] = {}
        for key, value in items:
            if key not in KEYS or key in given:
                raise QueryError(f"parameter {key[:LONGEST_TEXT]!r} is unknown or repeated")
            if len(value) > LONGEST_TEXT:
                raise QueryError(f"parameter {key!r} has more than {LONGEST_TEXT} characters")
            if value:
                given[key] = value
        return cls(
            text=given.get("q", "").strip().lower(),
            state=_word(State, given, "state"),
            reason=given.get("reason", ""),
            sort=_word(Sort, given, "sort") or Sort.STATE,
            sync=_sync(given),
            offset=_number(given, "offset", 0),
            limit=min(_number(given, "limit", DEFAULT_PAGE), LARGEST_PAGE),
        )

    def matches_sync(self, row: SyncRow) -> bool:
        """Return whether a sync is wanted."""
        return (
            (self.state is None or row.state is self.state)
            and (not self.reason or row.reason == self.reason)
            and (
                not self.text
                or any(self.text in part for part in (row.key, row.source, row.copy_name))
            )
        )

    def matches_copy(self, row: CopyRow) -> bool:
        """Return whether a copy is wanted."""
        return (
            (self.state is None or row.state is self.state)
            and (not self.reason or row.reason == self.reason)
            and (
                not self.text
                or any(
                    self.text in part
                    for part in (f"{row.namespace}/{row.name}", row.sync, row.source)
                )
            )
        )

    def matches_event(self, row: EventRow) -> bool:
        """Return whether an event is wanted."""
        return (not self.reason or row.reason == self.reason) and (
            not self.text
            or self.text in f"{row.namespace}/{row.name} {row.reason} {row.message}".lower()
        )


@dataclass(frozen=True, slots=True)
class Page(Generic[Row]):
    """One page of rows, as JSON.

    Attributes:
        total: number of rows that match.
        offset: number of rows before the first one.
        rows: at most as many as asked for.
    """

    total: int
    offset: int
    rows: Sequence[Row]


async def select(
    rows: Sequence[Row], wanted: Callable[[Row], bool], rank: Callable[[Row], int] | None = None
) -> list[Row]:
    """Return the wanted rows, by rank, and of equal rank in their order.

    Args:
        rows: all rows.
        wanted: returns whether a row is part of the answer.
        rank: a small number for each row; by default the order stays.
    """
    by_rank: dict[int, list[Row]] = {}
    async for row in paced(rows):
        if wanted(row):
            by_rank.setdefault(rank(row) if rank else 0, []).append(row)
    return [row for key in sorted(by_rank) for row in by_rank[key]]


async def select_syncs(rows: Sequence[SyncRow], query: Query) -> list[SyncRow]:
    """Return the syncs that a query wants, in its order."""
    rank = _rank_of if query.sort is Sort.STATE else None
    found = await select(rows, query.matches_sync, rank)
    if query.sort is Sort.WRITTEN:
        found.sort(key=lambda row: row.written or "", reverse=True)
    return found


async def select_copies(rows: Sequence[CopyRow], query: Query) -> list[CopyRow]:
    """Return the copies that a query wants, in its order."""
    return await select(rows, query.matches_copy, _rank_of if query.sort is Sort.STATE else None)


def page_of(rows: Sequence[Row], query: Query) -> Page[Row]:
    """Return the part of rows that a query wants; the last page if it starts behind the end."""
    offset = query.offset
    if offset >= len(rows) and query.limit:
        offset = max(len(rows) - 1, 0) // query.limit * query.limit
    return Page(len(rows), offset, rows[offset : offset + query.limit])


def _rank_of(row: SyncRow | CopyRow) -> int:
    return RANK[row.state]


Word = TypeVar("Word", State, Sort)


def _word(words: type[Word], given: Mapping[str, str], key: str) -> Word | None:
    try:
        return words(given[key]) if key in given else None
    except ValueError as error:
        raise QueryError(f"parameter {key!r} must be one of {', '.join(words)}") from error


def _number(given: Mapping[str, str], key: str, default: int) -> int:
    text = given.get(key, str(default))
    if len(text) > MOST_DIGITS or not (text.isascii() and text.isdecimal()):
        raise QueryError(f"parameter {key!r} must be a number of at most {MOST_DIGITS} digits")
    return int(text)


def _sync(given: Mapping[str, str]) -> NamespacedName | None:
    if "sync" not in given:
        return None
    key = NamespacedName.parse(given["sync"])
    if key is None:
        raise QueryError("parameter 'sync' must be NAMESPACE/NAME")
    return key
