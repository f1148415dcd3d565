"""Measure the memory and CPU of the reconciler among many unrelated ConfigMaps.

    python -m benchmarks.memory [--cluster real] [--foreign N,N,...] [--rate N]

For each number of unrelated ConfigMaps of 20 KiB a new reconciler process starts. The
benchmark prints its resident memory when idle, its peak memory, and its share of a
core, both when idle and while unrelated ConfigMaps change. Use `--python` with an
environment of requirements.lock to measure what the image needs.
"""

import argparse
import asyncio
import os
import random
import re
import ssl
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import uvloop
from aiohttp import ClientSession, TCPConnector

from configmapsync.names import API_VERSION, KIND, PLURAL
from tests.support.cluster import Cluster
from tests.support.clusters import started
from tests.support.processes import LOCAL_ADDRESS, Process, free_port
from tests.support.users import ADMIN

CRD = Path(__file__).parents[1] / "config" / "crd"
PAYLOAD = "x" * 20 * 1024
PARALLEL = 16
NAMESPACES = 50
SOURCES = "bench-sources"
COPIES_LIMIT_SECONDS = 180.0
# From the last write until the process is idle.
SETTLE_SECONDS = 5.0
CLOCK_TICKS = os.sysconf("SC_CLK_TCK")
METADATA_ONLY = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"


class Cost(NamedTuple):
    """One row of the table: memory in MiB, CPU in shares of a core."""

    resident: float
    peak: float
    idle: float
    updating: float


class Filler:
    """Writes ConfigMaps and syncs into the cluster."""

    def __init__(self, session: ClientSession) -> None:
        """Write with `session`."""
        self._session = session
        # The URL paths of the unrelated ConfigMaps.
        self.foreign: list[str] = []

    async def send(
        self, method: str, path: str, body: object = None, content_type: str = "application/json"
    ) -> bytes:
        """Send a request and return the body of the response."""
        raw = None if body is None else msgspec.json.encode(body)
        headers = {
            "Content-Type": content_type,
            "Accept": "application/json" if method == "GET" else METADATA_ONLY,
        }
        async with self._session.request(method, path, data=raw, headers=headers) as response:
            answer = await response.read()
            assert response.status < 400, f"{method} {path}: {answer.decode()[:500]}"
            return answer

    async def make(self, objects: Iterable[tuple[str, dict[str, Any]]]) -> None:
        """Create objects, each given with the path of its collection."""
        waiting = iter(objects)

        async def work() -> None:
            for path, body in waiting:
                await self.send("POST", path, body)

        await asyncio.gather(*(work() for _ in range(PARALLEL)))

    async def fill_to(self, number: int) -> None:
        """Create unrelated ConfigMaps until there are `number` of them."""
        begin = len(self.foreign)
        places = [
            (f"/api/v1/namespaces/bench-{each % NAMESPACES}/configmaps", f"foreign-{each}")
            for each in range(begin, number)
        ]
        await self.make(
            (path, {"metadata": {"name": name}, "data": {"payload": PAYLOAD}})
            for path, name in places
        )
        self.foreign += [f"{path}/{name}" for path, name in places]

    async def update(self, rate: float, seconds: float, rng: random.Random) -> None:
        """Send `rate` updates of unrelated ConfigMaps per second, also while responses are late."""
        loop = asyncio.get_running_loop()
        begin, running = loop.time(), set()
        for number in range(int(rate * seconds)):
            await asyncio.sleep(begin + number / rate - loop.time())
            patch = {"data": {"edit": str(number)}}
            path = rng.choice(self.foreign)
            running.add(
                asyncio.create_task(self.send("PATCH", path, patch, "application/merge-patch+json"))
            )
        await asyncio.gather(*running)


async def measured(cluster: Cluster, filler: Filler, options: argparse.Namespace) -> Cost:
    """Start a reconciler and measure it after all copies are up to date."""
    health = f"{LOCAL_ADDRESS}:{free_port()}"
    flags = (
        "--kubeconfig",
        cluster.kubeconfig,
        "--health-address",
        health,
        "--log-level",
        "warning",
    )
    process = Process(
        [options.python, "-m", "reconciler", *flags], cluster.folder / "reconciler.log"
    )
    try:
        await asyncio.to_thread(process.wait_until_answering, f"http://{health}/readyz")
        await _all_ready(filler, options.syncs)
        await asyncio.sleep(SETTLE_SECONDS)
        idle = await _share_of_a_core(process, lambda: asyncio.sleep(options.seconds))
        resident = _mebibytes(process, "VmRSS")
        rng = random.Random(options.syncs)  # noqa: S311 - the same ones every time
        updating = await _share_of_a_core(
            process, lambda: filler.update(options.rate, options.seconds, rng)
        )
        return Cost(resident, _mebibytes(process, "VmHWM"), idle, updating)
    finally:
        await asyncio.to_thread(process.stop)


async def _all_ready(filler: Filler, syncs: int) -> None:
    async with asyncio.timeout(COPIES_LIMIT_SECONDS):
        while True:
            listed = msgspec.json.decode(await filler.send("GET", f"/apis/{API_VERSION}/{PLURAL}"))[
                "items"
            ]
            if sum((sync.get("status") or {}).get("summary") == "1/1" for sync in listed) == syncs:
                return
            await asyncio.sleep(0.5)


async def _share_of_a_core(process: Process, meanwhile: Callable[[], Awaitable[object]]) -> float:
    begin, used = time.monotonic(), _processor_seconds(process)
    await meanwhile()
    return (_processor_seconds(process) - used) / (time.monotonic() - begin)


def _processor_seconds(process: Process) -> float:
    fields = Path(f"/proc/{process.id}/stat").read_text().rpartition(") ")[2].split()
    return (int(fields[11]) + int(fields[12])) / CLOCK_TICKS


def _mebibytes(process: Process, line: str) -> float:
    status = Path(f"/proc/{process.id}/status").read_text()
    [kibibytes] = re.findall(rf"^{line}:\s+(\d+) kB$", status, re.MULTILINE)
    return int(kibibytes) / 1024


async def main(options: argparse.Namespace) -> None:
    """Fill the cluster, measure each step and print the table."""
    with tempfile.TemporaryDirectory() as folder, started(options.cluster, Path(folder)) as cluster:
        cluster.kubectl("apply", "-k", CRD)
        cluster.kubectl(
            "wait", "--for=condition=Established", f"crd/{PLURAL}.apps.nishaf.info", "--timeout=30s"
        )
        trust = ssl.create_default_context(cafile=str(cluster.authority_file))
        headers = {"Authorization": f"Bearer {cluster.users[ADMIN].token}"}
        async with ClientSession(
            cluster.url, headers=headers, connector=TCPConnector(ssl=trust)
        ) as session:
            filler = Filler(session)
            names = [SOURCES, *(f"bench-{number}" for number in range(NAMESPACES))]
            await filler.make(
                ("/api/v1/namespaces", {"metadata": {"name": name}}) for name in names
            )
            await _make_syncs(filler, options.syncs)
            print(
                f"{'foreign':>8} {'resident':>10} {'peak':>10} {'idle':>8} "
                f"{options.rate:>4} updates/s"
            )
            for number in options.foreign:
                await filler.fill_to(number)
                cost = await measured(cluster, filler, options)
                print(
                    f"{number:>8} {cost.resident:>6.1f} MiB {cost.peak:>6.1f} MiB "
                    f"{cost.idle:>8.2%} {cost.updating:>12.2%}",
                    flush=True,
                )


async def _make_syncs(filler: Filler, number: int) -> None:
    """Create `number` sources and syncs with one copy each."""
    names = [f"own-{each}" for each in range(number)]
    sources = f"/api/v1/namespaces/{SOURCES}/configmaps"
    await filler.make(
        (sources, {"metadata": {"name": name}, "data": {"key": name}}) for name in names
    )
    syncs = f"/apis/{API_VERSION}/namespaces/{SOURCES}/{PLURAL}"
    specs = {
        name: {"configMapName": name, "destinationNamespace": f"bench-{each % NAMESPACES}"}
        for each, name in enumerate(names)
    }
    head = {"apiVersion": API_VERSION, "kind": KIND}
    await filler.make(
        (syncs, {**head, "metadata": {"name": name}, "spec": spec}) for name, spec in specs.items()
    )


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cluster", choices=("devcluster", "real"), default="devcluster")
    parser.add_argument(
        "--foreign",
        type=lambda text: sorted(int(number) for number in text.split(",")),
        default=[1000, 5000, 50_000],
    )
    parser.add_argument("--syncs", type=int, default=200)
    parser.add_argument(
        "--rate", type=int, default=100, help="updates of unrelated ConfigMaps per second"
    )
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--python", default=sys.executable)
    return parser.parse_args()


if __name__ == "__main__":
    uvloop.run(main(_arguments()))
