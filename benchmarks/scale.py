"""Measure how the reconciler grows, up to 10,000 syncs and 100,000 copies.

    python -m benchmarks scale [--syncs N,N,...] [--per-sync N] [--output FOLDER]

For each size it fills a cluster and measures a start, a restart, one edit of a source
and one new namespace, in CPU time of the reconciler, so that the speed of the API
server does not matter. A real one is slow to fill, so devcluster is the default.
"""

import argparse
import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import msgspec
import uvloop

from benchmarks.api import SOURCES, Api, cluster_with_api
from benchmarks.pages import PERFORMANCE, put_table
from benchmarks.plot import chart
from benchmarks.programs import Reconciler, Used
from benchmarks.steps import MARK
from tests.support.cluster import Cluster
from tests.support.clusters import KINDS

# One sync in a hundred selects by label, and all of these select the same namespaces.
SELECTING = 100
GROUP = {"group": "shared"}
PAYLOAD = "x" * 1024
LIMIT_SECONDS = 3_600.0


@dataclass(frozen=True)
class Size:
    """How much is in the cluster."""

    syncs: int
    per_sync: int

    @property
    def namespaces(self) -> int:
        """Return the number of destinations: as many copies in each as syncs have, twice."""
        return max(self.syncs // 2, self.per_sync)

    @property
    def copies(self) -> int:
        """Return the number of copies."""
        return self.syncs * self.per_sync

    @property
    def selecting(self) -> int:
        """Return the number of syncs that select by label."""
        return max(1, self.syncs // SELECTING)

    def specs(self) -> dict[str, dict[str, Any]]:
        """Return the specs of all syncs by name."""
        specs: dict[str, dict[str, Any]] = {}
        for number in range(self.syncs):
            if number < self.selecting:
                chosen: dict[str, Any] = {"destinationNamespaceSelector": {"matchLabels": GROUP}}
            else:
                first = number * self.per_sync
                spaces = [
                    f"to-{each % self.namespaces}" for each in range(first, first + self.per_sync)
                ]
                chosen = {"destinationNamespaces": spaces}
            specs[f"own-{number}"] = {"configMapName": f"own-{number}", **chosen}
        return specs


@dataclass
class Growth:
    """What one size costs: seconds of CPU, wall seconds, requests and MiB."""

    syncs: int
    copies: int
    namespaces: int
    start_cpu: float = 0.0
    start_wall: float = 0.0
    start_requests: int = 0
    start_peak: float = 0.0
    restart_cpu: float = 0.0
    restart_wall: float = 0.0
    restart_requests: int = 0
    resident: float = 0.0
    restart_peak: float = 0.0
    edit_cpu: float = 0.0
    namespace_cpu: float = 0.0
    namespace_copies: int = 0


async def fill(api: Api, size: Size) -> None:
    """Create namespaces, sources and syncs."""
    await api.add_namespaces([SOURCES], {})
    await api.add_namespaces((f"to-{each}" for each in range(size.per_sync)), GROUP)
    await api.add_namespaces((f"to-{each}" for each in range(size.per_sync, size.namespaces)), {})
    specs = size.specs()
    await api.add_sources(specs, {"key": "1", "payload": PAYLOAD})
    await api.add_syncs(specs)


async def grown(cluster: Cluster, api: Api, size: Size, *, steps: bool) -> Growth:
    """Measure all stories at one size."""
    growth = Growth(size.syncs, size.copies, size.namespaces)
    await fill(api, size)
    began = time.monotonic()
    async with Reconciler.running(cluster) as reconciler, asyncio.timeout(LIMIT_SECONDS):
        await reconciler.copies_up_to_date(size.copies)
        growth.start_wall = time.monotonic() - began
        await asyncio.sleep(2.0)
        used = await reconciler.used()
        growth.start_cpu, growth.start_requests = used.cpu_seconds, used.requests.total()
        growth.start_peak = reconciler.memory()[1]
    began = time.monotonic()
    module = "benchmarks.steps" if steps else "reconciler"
    async with (
        Reconciler.running(cluster, module=module) as reconciler,
        asyncio.timeout(LIMIT_SECONDS),
    ):
        await reconciler.copies_up_to_date(size.copies)
        growth.restart_wall = time.monotonic() - began
        used = await reconciler.used()
        growth.restart_cpu, growth.restart_requests = used.cpu_seconds, used.requests.total()
        growth.resident, growth.restart_peak = reconciler.memory()
        await _change_something(api, reconciler, size, growth)
    for line in reconciler.log.splitlines():
        if line.startswith(MARK):
            print(line)
    return growth


async def _change_something(api: Api, reconciler: Reconciler, size: Size, growth: Growth) -> None:
    """Measure an edit of one source, and a new namespace."""
    await asyncio.sleep(2.0)
    last = f"own-{size.syncs - 1}"
    content = {"key": "2", "payload": PAYLOAD}
    edit = await _used_for(reconciler, size.per_sync, lambda: api.edit_source(last, content))
    growth.edit_cpu = edit.cpu_seconds
    added = await _used_for(
        reconciler, size.selecting, lambda: api.add_namespaces(["to-new"], GROUP)
    )
    growth.namespace_cpu, growth.namespace_copies = added.cpu_seconds, size.selecting


async def _used_for(
    reconciler: Reconciler, writes: int, do: Callable[[], Awaitable[object]]
) -> Used:
    before, written = await reconciler.used(), await reconciler.writes()
    await do()
    while await reconciler.writes() < written + writes:  # noqa: ASYNC110 - polls a process
        await asyncio.sleep(0.2)
    await asyncio.sleep(2.0)  # the statuses
    return await reconciler.used() - before


def report(grown: list[Growth]) -> str:
    """Return all sizes as a table in Markdown."""
    lines = [
        "| syncs | copies | namespaces | start | restart | one edit | new namespace | RSS | peak |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for each in grown:
        cells = [
            *(f"{number:,}" for number in (each.syncs, each.copies, each.namespaces)),
            f"{each.start_cpu:.1f} s CPU, {each.start_requests:,} requests",
            f"{each.restart_cpu:.1f} s CPU, {each.restart_requests:,} requests",
            f"{each.edit_cpu * 1e3:.0f} ms CPU",
            f"{each.namespace_cpu * 1e3:.0f} ms CPU, {each.namespace_copies} copies",
            f"{each.resident:.0f} MiB",
            f"{max(each.start_peak, each.restart_peak):.0f} MiB",
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


async def measure(options: argparse.Namespace) -> list[Growth]:
    """Measure every size in a cluster of its own."""
    results = []
    for syncs in options.syncs:
        async with cluster_with_api(options.cluster) as (cluster, api):
            results.append(
                await grown(cluster, api, Size(syncs, options.per_sync), steps=options.steps)
            )
        print(report(results[-1:]).splitlines()[-1], flush=True)
    return results


def main(arguments: list[str]) -> int:
    """Parse the arguments and measure."""
    parser = argparse.ArgumentParser(
        prog="benchmarks scale",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--cluster", choices=KINDS[:2], default="devcluster")
    parser.add_argument(
        "--syncs",
        type=lambda text: sorted(int(number) for number in text.split(",")),
        default=[10, 100, 1_000, 10_000],
    )
    parser.add_argument("--per-sync", type=int, default=10, help="copies of each sync")
    parser.add_argument("--output", type=Path, help="write scale.json and scale.svg there")
    parser.add_argument(
        "--steps", action="store_true", help="print steps of a restart that take 50 ms of CPU"
    )
    parser.add_argument("--write-pages", action="store_true", help="put the table into docs/")
    options = parser.parse_args(arguments)
    results = uvloop.run(measure(options))
    print(report(results))
    if options.write_pages:
        put_table(PERFORMANCE, "scale", report(results))
    if options.output:
        options.output.mkdir(parents=True, exist_ok=True)
        documents = [asdict(each) for each in results]
        (options.output / "scale.json").write_bytes(
            msgspec.json.format(msgspec.json.encode(documents), indent=1) + b"\n"
        )
        (options.output / "scale.svg").write_text(_plot(results))
    return 0


def _plot(results: list[Growth]) -> str:
    copies = [float(each.copies) for each in results]
    return chart(
        "Growth with the number of copies",
        "copies",
        copies,
        {
            "start, s CPU": [each.start_cpu for each in results],
            "restart, s CPU": [each.restart_cpu for each in results],
            "RSS, MiB": [each.resident for each in results],
            "one edit, ms CPU": [each.edit_cpu * 1e3 for each in results],
            "new namespace, ms CPU": [each.namespace_cpu * 1e3 for each in results],
        },
    )
