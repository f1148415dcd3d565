"""The command `status`: a table of syncs with their state.

`plugin/rows.py` computes the rows. This module reads the cluster and prints.
"""

from contextlib import suppress
from datetime import UTC, datetime

import click

from plugin.cluster import chosen_namespace, connect, run
from plugin.options import (
    ClusterOptions,
    NamespaceOptions,
    cluster_options,
    namespace_options,
    output_option,
)
from plugin.progress import Progress
from plugin.reading import Reader
from plugin.rows import HEADERS, WIDE_HEADERS, StatusRow, cells, row_of
from plugin.terminal import rendered, table
from plugin.watching import watch_rows

TABLES = frozenset({"table", "wide"})


@click.command()
@namespace_options
@click.option("-w", "--watch", is_flag=True, help="print again what changes, until Ctrl-C")
@output_option("table", "wide", "json", "yaml", default="table")
@cluster_options
def command(
    cluster: ClusterOptions, namespaces: NamespaceOptions, output: str, *, watch: bool
) -> None:
    """Show every sync with its state, copies, age and last failure."""
    if watch and output not in TABLES:
        raise click.UsageError("--watch prints a table; use it without -o json and -o yaml")
    namespace = chosen_namespace(cluster, namespaces)
    if watch:
        with suppress(KeyboardInterrupt):  # Ctrl-C is the way to end it
            run(_watch(cluster, namespace, wide=output == "wide"))
        return
    rows = run(_rows(cluster, namespace))
    if not rows and output in TABLES:
        click.echo(f"There is no ConfigMapSync{f' in {namespace}' if namespace else ''}.", err=True)
        return
    if output in TABLES:
        now, wide = datetime.now(UTC), output == "wide"  # noqa: TID251 - the entry point
        lines = [cells(row, now, wide=wide) for row in rows]
        click.echo("\n".join(table(WIDE_HEADERS if wide else HEADERS, lines)))
    else:
        click.echo(rendered([row.document() for row in rows], output), nl=False)


async def _rows(cluster: ClusterOptions, namespace: str) -> list[StatusRow]:
    async with Progress() as progress, connect(cluster) as connection:
        return [row_of(record) for record in await Reader(connection, progress).syncs(namespace)]


async def _watch(cluster: ClusterOptions, namespace: str, *, wide: bool) -> None:
    async with Progress() as progress, connect(cluster) as connection:
        reader = Reader(connection, progress)
        await reader.syncs(namespace)  # an error ends the command; the watch would retry forever
        await progress.stop()
        await watch_rows(reader.sync_informer(namespace), wide=wide)
