"""Measure the latency and memory of the webhook in a cluster with 10,000 syncs.

    python -m benchmarks admission [--syncs N] [--namespaces N] [--rate N] [--seconds N]
        [--connections N]

The first part measures the webhook's own CPU time: reviews one after the other in this
process, with an API server that answers at once. The second part measures a real
webhook process on a core of its own. This process sends reviews over TLS at a fixed
rate, as one API server does: over connections that it keeps. A third process serves
the API requests of the webhook. Each review creates another sync, and the webhook
admits it.
"""

import argparse
import asyncio
import gc
import os
import ssl
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import uvloop
from aiohttp import ClientError, ClientSession, TCPConnector

from benchmarks.admission_api import Instant
from benchmarks.admission_load import a_review, seeded
from benchmarks.programs import IMAGE_ENVIRONMENT
from benchmarks.usage import cpu_seconds, resident_mebibytes
from certs.__main__ import main as certs
from kube.client import Client
from tests.support.processes import LOCAL_ADDRESS, Process, free_port
from tests.support.users import write_kubeconfig
from webhook.admission import Admission
from webhook.admission_review import parse
from webhook.authorization import Authorizer
from webhook.cluster_state import ClusterState
from webhook.paths import VALIDATE_PATH

WARM_UP_SECONDS = 3.0
OWN_TIMES = 3_000

# An API server has so many writes in progress at most (`--max-mutating-requests-inflight`), each
# of which sends one review at a time.
MAX_CONNECTIONS = 200


async def own_times(syncs: int, namespaces: int, count: int) -> list[float]:
    """Check `count` reviews one after the other; return the seconds of CPU time of each."""
    loop = asyncio.get_running_loop()
    connection: Any = Instant(syncs, namespaces)
    world = ClusterState(connection, frozenset(), seeded())
    watches = [asyncio.ensure_future(informer.run()) for informer in world.informers.values()]
    for informer in world.informers.values():
        await informer.synced.wait()
    gc.collect()
    gc.freeze()  # as the webhook process does
    admission = Admission(world, Authorizer(Client(connection), loop.time, lambda _: None))
    rng = seeded(2)
    times = []
    for body in [a_review(rng, syncs + number, namespaces) for number in range(count)]:
        begin = time.thread_time()
        await admission.validate(parse(body))
        times.append(time.thread_time() - begin)
    for watch in watches:
        watch.cancel()
    await asyncio.gather(*watches, return_exceptions=True)
    gc.unfreeze()
    return times


class Load:
    """Sends reviews at a fixed rate, and counts those that were refused or got no answer."""

    def __init__(self, url: str, authority: Path, connections: int) -> None:
        self._url = url
        self._connections = connections
        self._trust = ssl.create_default_context(cafile=str(authority))
        self.refused = 0
        self.unanswered = 0

    async def send(self, reviews: Sequence[bytes], rate: float) -> list[float]:
        """Send the reviews at `rate` per second; return the seconds of each from its due time."""
        async with ClientSession(
            connector=TCPConnector(ssl=self._trust, limit=self._connections)
        ) as session:
            begin = time.monotonic() + 0.1  # the clock of uvloop counts whole milliseconds
            moments = (begin + number / rate for number in range(len(reviews)))
            sent = [
                self._send(session, review, moment)
                for review, moment in zip(reviews, moments, strict=False)
            ]
            return list(await asyncio.gather(*sent))

    async def _send(self, session: ClientSession, review: bytes, moment: float) -> float:
        await asyncio.sleep(moment - time.monotonic())
        headers = {"Content-Type": "application/json"}
        try:
            async with session.post(self._url, data=review, headers=headers) as answer:
                response = (await answer.json())["response"]
            self.refused += not response["allowed"]
        except ClientError:
            self.unanswered += 1
        return time.monotonic() - moment


@contextmanager
def webhook(folder: Path, api_port: int, core: int) -> Iterator[tuple[Process, int]]:
    """Run a webhook process on one core; yield it with its port when it is ready."""
    port, health = free_port(), free_port()
    kubeconfig = write_kubeconfig(
        folder / "kubeconfig", f"http://{LOCAL_ADDRESS}:{api_port}", None, {"token": "x"}
    )
    process = Process.python(
        "webhook",
        *("--kubeconfig", kubeconfig, "--certificate-dir", folder / "tls", "--drain-seconds", "0"),
        *("--listen", f"{LOCAL_ADDRESS}:{port}", "--health-address", f"{LOCAL_ADDRESS}:{health}"),
        *("--log-level", "warning"),
        log=folder / "webhook.log",
        environment=IMAGE_ENVIRONMENT,
    )
    os.sched_setaffinity(process.id, {core})
    try:
        process.wait_until_answering(f"http://{LOCAL_ADDRESS}:{health}/readyz")
        yield process, port
    finally:
        process.stop()


def percentiles(times: Sequence[float]) -> str:
    """Return the distribution in one line."""
    cuts = statistics.quantiles(times, n=1000)
    named = ", ".join(
        f"p{percent} {cuts[percent * 10 - 1] * 1e3:.2f} ms" for percent in (50, 90, 99)
    )
    return f"{named}, slowest {max(times) * 1e3:.2f} ms"


def main(arguments: list[str]) -> int:
    """Parse the arguments and run both parts."""
    parser = argparse.ArgumentParser(
        prog="benchmarks admission",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--syncs", type=int, default=10_000)
    parser.add_argument("--namespaces", type=int, default=2_000)
    parser.add_argument("--rate", type=float, default=300.0, help="reviews per second")
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--connections", type=int, default=MAX_CONNECTIONS)
    options = parser.parse_args(arguments)
    print(f"cluster            {options.syncs} syncs, {options.namespaces} namespaces")
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        own = runner.run(own_times(options.syncs, options.namespaces, OWN_TIMES))
    print(f"own time           {percentiles(own)}")
    with tempfile.TemporaryDirectory() as folder:
        measure(options, Path(folder))
    return 0


def measure(options: argparse.Namespace, folder: Path) -> None:
    """Start the API server and the webhook, send the reviews and print the results."""
    first, *others = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, others or {first})  # the API server inherits it
    if certs(["ensure", "--dir", str(folder / "tls"), "--log-level", "error"]) != 0:
        sys.exit("no certificate could be made")
    port = free_port()
    api = Process.python(
        "benchmarks.admission_api",
        *map(str, (port, options.syncs, options.namespaces)),
        log=folder / "api.log",
    )
    try:
        api.wait_until_answering(f"http://{LOCAL_ADDRESS}:{port}/api/v1/namespaces?limit=1")
        with webhook(folder, port, first) as (process, webhook_port):
            load = Load(
                f"https://{LOCAL_ADDRESS}:{webhook_port}{VALIDATE_PATH}",
                folder / "tls" / "ca.crt",
                options.connections,
            )
            rng = seeded(1)
            numbers = range(
                options.syncs,
                options.syncs + int((WARM_UP_SECONDS + options.seconds) * options.rate),
            )
            reviews = [a_review(rng, number, options.namespaces) for number in numbers]
            warm = int(WARM_UP_SECONDS * options.rate)
            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                runner.run(load.send(reviews[:warm], options.rate))
                load.refused, load.unanswered, before = 0, 0, cpu_seconds(process.id)
                times = runner.run(load.send(reviews[warm:], options.rate))
            cpu = cpu_seconds(process.id) - before
            print(f"with TLS           {percentiles(times)}")
            print(
                f"                   {len(times)} reviews at {options.rate:.0f} per second, "
                f"{load.refused} refused, {load.unanswered} without an answer"
            )
            print(f"CPU per review     {cpu / len(times) * 1e3:.2f} ms, TLS and HTTP included")
            print(f"memory             {resident_mebibytes(process.id):.0f} MiB")
    finally:
        api.stop()
