"""Measure the memory and CPU of the reconciler among many unrelated ConfigMaps.

    python -m benchmarks memory [--cluster real] [--foreign N,N,...] [--rate N]

For each number of unrelated ConfigMaps of 20 KiB a new reconciler process starts. The
benchmark prints its resident memory when idle, its peak memory, and its share of a
core, both when idle and while unrelated ConfigMaps change. The first process makes the
copies, the others find them. Use `--python` with an environment of requirements.lock to
measure what the image needs.
"""

import argparse
import asyncio
import random
import sys
import time
from collections.abc import Awaitable, Callable
from typing import NamedTuple

import uvloop

from benchmarks.api import SOURCES, Api, cluster_with_api, configmap_path, usual_kind
from benchmarks.pages import PERFORMANCE, put_table
from benchmarks.programs import Reconciler
from tests.support.cluster import Cluster
from tests.support.clusters import KINDS

PAYLOAD = "x" * 20 * 1024
NAMESPACES = 50
COPIES_LIMIT_SECONDS = 180.0
# From the last write until the process is idle.
SETTLE_SECONDS = 5.0


class Cost(NamedTuple):
    """One row of the table: memory in MiB, CPU in shares of a core."""

    resident: float
    peak: float
    idle: float
    updating: float


class Foreign:
    """The unrelated ConfigMaps."""

    def __init__(self, api: Api) -> None:
        self._api = api
        self._paths: list[str] = []

    async def fill_to(self, number: int) -> None:
        """Create unrelated ConfigMaps until there are `number` of them."""
        places = [
            (f"bench-{each % NAMESPACES}", f"foreign-{each}")
            for each in range(len(self._paths), number)
        ]
        await self._api.send_all(
            ("POST", configmap_path(space), {"metadata": {"name": name}, "data": {"key": PAYLOAD}})
            for space, name in places
        )
        self._paths += [configmap_path(*place) for place in places]

    async def update(self, rate: float, seconds: float, rng: random.Random) -> None:
        """Send `rate` updates per second, also while responses are late."""
        loop = asyncio.get_running_loop()
        begin, running = loop.time(), set()
        for number in range(int(rate * seconds)):
            await asyncio.sleep(begin + number / rate - loop.time())
            patch, path = {"data": {"edit": str(number)}}, rng.choice(self._paths)
            sending = self._api.send("PATCH", path, patch, "application/merge-patch+json")
            running.add(asyncio.create_task(sending))
        await asyncio.gather(*running)


async def measured(
    cluster: Cluster, api: Api, foreign: Foreign, options: argparse.Namespace
) -> Cost:
    """Start a reconciler and measure it after all copies are up to date."""
    async with Reconciler.running(cluster, options.python) as reconciler:
        await reconciler.ready()
        await api.all_ready(COPIES_LIMIT_SECONDS)
        await asyncio.sleep(SETTLE_SECONDS)
        idle = await _share_of_a_core(reconciler, lambda: asyncio.sleep(options.seconds))
        resident, _ = reconciler.memory()
        rng = random.Random(options.syncs)  # noqa: S311 - the same ones every time
        updating = await _share_of_a_core(
            reconciler, lambda: foreign.update(options.rate, options.seconds, rng)
        )
        return Cost(resident, reconciler.memory()[1], idle, updating)


async def _share_of_a_core(
    reconciler: Reconciler, meanwhile: Callable[[], Awaitable[object]]
) -> float:
    begin, used = time.monotonic(), reconciler.cpu_seconds
    await meanwhile()
    return (reconciler.cpu_seconds - used) / (time.monotonic() - begin)


async def measure(options: argparse.Namespace) -> None:
    """Fill the cluster, measure each step and print the table."""
    async with cluster_with_api(options.cluster) as (cluster, api):
        await api.add_namespaces([SOURCES, *(f"bench-{each}" for each in range(NAMESPACES))], {})
        names = [f"own-{each}" for each in range(options.syncs)]
        await api.add_sources(names, {"key": "value"})
        await api.add_syncs(
            {
                name: {"configMapName": name, "destinationNamespace": f"bench-{each % NAMESPACES}"}
                for each, name in enumerate(names)
            }
        )
        lines = [
            f"| unrelated | RSS | peak | CPU idle | CPU at {options.rate} updates a second |",
            "|---|---|---|---|---|",
        ]
        foreign = Foreign(api)
        made = f"; {options.syncs} copies made"
        for number, note in [(options.foreign[0], made), *((each, "") for each in options.foreign)]:
            await foreign.fill_to(number)
            cost = await measured(cluster, api, foreign, options)
            lines.append(
                f"| {number:,}{note} | {cost.resident:.1f} MiB | {cost.peak:.1f} MiB "
                f"| {cost.idle:.2%} | {cost.updating:.2%} |"
            )
            print(lines[-1], file=sys.stderr, flush=True)
    print("\n".join(lines))
    if options.write_pages:
        put_table(PERFORMANCE, "memory", "\n".join(lines))


def main(arguments: list[str]) -> int:
    """Parse the arguments and measure."""
    parser = argparse.ArgumentParser(
        prog="benchmarks memory",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--cluster", choices=KINDS[:2], default=usual_kind())
    parser.add_argument(
        "--foreign",
        type=lambda text: sorted(int(number) for number in text.split(",")),
        default=[1_000, 5_000, 50_000],
    )
    parser.add_argument("--syncs", type=int, default=200)
    parser.add_argument(
        "--rate", type=int, default=100, help="updates of unrelated ConfigMaps per second"
    )
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--python", default=sys.executable)
    parser.add_argument("--write-pages", action="store_true", help="put the table into docs/")
    uvloop.run(measure(parser.parse_args(arguments)))
    return 0
