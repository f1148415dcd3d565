"""Print the rows of syncs as they change, until the command is interrupted.

`commands/status.py` calls it for `--watch`. On a terminal the whole table is drawn
again; into a pipe only the changed rows are printed.
"""

import asyncio
import sys
from datetime import UTC, datetime

import click

from cluster.syncs import SyncRecord
from kube.informer import Informer
from plugin.rows import HEADERS, WIDE_HEADERS, StatusRow, cells, row_of
from plugin.terminal import table

# Changes within this time are printed together, so that a burst costs one table.
COALESCE_SECONDS = 0.5
# The ages on a terminal are drawn again after this time without a change.
REDRAW_SECONDS = 10.0
CLEAR_SCREEN = "\x1b[H\x1b[2J\x1b[3J"


class ChangedRows:
    """The rows of an informer, and which of them have changed since they were printed."""

    def __init__(self, informer: Informer[SyncRecord]) -> None:
        self.changed = asyncio.Event()
        self._informer = informer
        self._printed: dict[tuple[str, str], StatusRow] = {}
        informer.on_change(lambda _old, _new: self.changed.set())

    def all(self) -> list[StatusRow]:
        """Return every row, sorted."""
        records = sorted(self._informer.values(), key=lambda record: record.key)
        return [row_of(record) for record in records]

    def take(self) -> list[StatusRow]:
        """Return the rows that differ from what was returned before."""
        rows = {(row.namespace, row.name): row for row in self.all()}
        news = [row for key, row in rows.items() if self._printed.get(key) != row]
        self._printed = rows
        return news


async def watch_rows(informer: Informer[SyncRecord], *, wide: bool) -> None:
    """Print rows until the task is cancelled."""
    rows = ChangedRows(informer)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(informer.run())
        await informer.synced.wait()
        redraw, first = sys.stdout.isatty(), True
        while True:
            rows.changed.clear()
            chosen = rows.all() if redraw else rows.take()
            if redraw or chosen:
                _print(chosen, wide=wide, clear=redraw, headers=redraw or first)
                first = False
            await _next_change(rows.changed)


def _print(rows: list[StatusRow], *, wide: bool, clear: bool, headers: bool) -> None:
    now = datetime.now(UTC)  # noqa: TID251 - the entry point
    titles = WIDE_HEADERS if wide else HEADERS
    lines = table(titles, [cells(row, now, wide=wide) for row in rows])
    if clear:
        click.echo(CLEAR_SCREEN, nl=False)
    click.echo("\n".join(lines if headers else lines[1:]))


async def _next_change(changed: asyncio.Event) -> None:
    try:
        async with asyncio.timeout(REDRAW_SECONDS):
            await changed.wait()
        await asyncio.sleep(COALESCE_SECONDS)
    except TimeoutError:
        pass
