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
from plugin.rows import StatusRow, row_of, status_table

# Changes within this time are printed together, so that a burst costs one table.
COALESCE_SECONDS = 0.5
# The ages on a terminal are drawn again after this time without a change.
REDRAW_SECONDS = 10.0
CLEAR_SCREEN = "\x1b[H\x1b[2J\x1b[3J"


async def watch_rows(informer: Informer[SyncRecord], *, wide: bool) -> None:
    """Start an informer, and print its rows until the task is cancelled."""
    changed = asyncio.Event()
    informer.on_change(lambda _old, _new: changed.set())
    redraw, headers = sys.stdout.isatty(), True
    printed: set[StatusRow] = set()
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(informer.run())
        await informer.synced.wait()
        while True:
            changed.clear()
            records = sorted(informer.values(), key=lambda record: record.key)
            rows = [row_of(record) for record in records]
            shown = [row for row in rows if redraw or row not in printed]
            printed = set(rows)
            if redraw:
                click.echo(CLEAR_SCREEN, nl=False)
            if redraw or shown:
                now = datetime.now(UTC)  # noqa: TID251 - the entry point
                lines = status_table(shown, now, wide=wide)
                click.echo("\n".join(lines if headers else lines[1:]))
                headers = redraw
            await _next_change(changed)


async def _next_change(changed: asyncio.Event) -> None:
    try:
        async with asyncio.timeout(REDRAW_SECONDS):
            await changed.wait()
        await asyncio.sleep(COALESCE_SECONDS)
    except TimeoutError:
        pass
