"""What the reconciler costs in a cluster full of ConfigMaps that are none of its business: memory, and processor time while they change.

    python -m benchmarks.memory [--cluster real] [--foreign 1000,5000,50000] [--syncs 200] [--rate 100] [--seconds 20] [--python PROGRAM]

The cluster fills up with foreign ConfigMaps of 20 KiB. At each number a reconciler is started anew, the real process, with syncs whose copies are
right. Told are its resident memory when it has been idle for a while, its highest ever, its share of a core while nothing happens and while
foreign ConfigMaps are updated at the rate. The image has fewer packages than a developer's environment, and so needs less: give the Python of an
environment with requirements.lock alone to see that.
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
COPIES_WITHIN = 180.0  # seconds
SETTLING = 5.0  # seconds from the last write until what is measured is idle
CLOCK_TICKS = os.sysconf("SC_CLK_TCK")
METADATA_ONLY = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"


class Cost(NamedTuple):
    """One line of the table: MiB, and shares of a core."""

    resident: float
    highest: float
    idle: float
    updating: float


class Filler:
    """Writes into the cluster, as whoever else is in it."""

    def __init__(self, session: ClientSession) -> None:
        """Write with that session."""
        self._session = session
        self.foreign: list[str] = []  # paths

    async def send(
        self, method: str, path: str, body: object = None, content_type: str = "application/json"
    ) -> bytes:
        """Send one request; returns the answer's body."""
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
        """Make many, by the path of their collection."""
        waiting = iter(objects)

        async def work() -> None:
            for path, body in waiting:
                await self.send("POST", path, body)

        await asyncio.gather(*(work() for _ in range(PARALLEL)))

    async def fill_to(self, number: int) -> None:
        """Have that many foreign ConfigMaps."""
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
        """Change foreign ConfigMaps, evenly in time whether or not the last answer has come."""
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
    """Start a reconciler, and measure it when all is right."""
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
        await asyncio.sleep(SETTLING)
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
    async with asyncio.timeout(COPIES_WITHIN):
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
    """Fill, measure, tell."""
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
                f"{'foreign':>8} {'resident':>10} {'highest':>10} {'idle':>8} {options.rate:>4} updates/s"
            )
            for number in options.foreign:
                await filler.fill_to(number)
                cost = await measured(cluster, filler, options)
                print(
                    f"{number:>8} {cost.resident:>6.1f} MiB {cost.highest:>6.1f} MiB {cost.idle:>8.2%} {cost.updating:>12.2%}",
                    flush=True,
                )


async def _make_syncs(filler: Filler, number: int) -> None:
    """As many sources and syncs, each with one copy to make."""
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
        "--rate", type=int, default=100, help="updates of foreign ConfigMaps a second"
    )
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--python", default=sys.executable)
    return parser.parse_args()


if __name__ == "__main__":
    uvloop.run(main(_arguments()))
