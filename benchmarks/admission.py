"""Measure the latency and memory of the webhook in a cluster with 10,000 syncs.

    python -m benchmarks.admission [--syncs N] [--namespaces N] [--rate N] [--seconds N]

The first part measures the webhook's own time: reviews one after the other in this
process, with an API server that answers at once. The second part measures a real
webhook process on a core of its own. This process sends reviews over TLS at a fixed
rate, and a third process serves the API requests of the webhook. Each review creates
another sync, and the webhook admits it.
"""

import argparse
import asyncio
import gc
import json
import os
import random
import ssl
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import uvloop
from aiohttp import ClientSession, TCPConnector, web

from certs.__main__ import main as certs
from cluster.namespaces import NAMESPACES_PATH
from cluster.syncs import SYNCS_PATH
from configmapsync.names import API_VERSION, KIND, PLURAL
from kube.client import Client
from kube.errors import NotFound
from tests.support.processes import LOCAL_ADDRESS, Process, free_port
from tests.support.users import write_kubeconfig
from webhook.admission import Admission
from webhook.authorization import Authorizer
from webhook.cluster_state import ClusterState
from webhook.paths import VALIDATE_PATH
from webhook.review import parse

SEED = 20_261_123
PAGE_VERSION = "1000000"
CLOCK_TICKS = os.sysconf("SC_CLK_TCK")
WARM_UP_SECONDS = 3.0
OWN_TIMES = 3_000


def a_spec(rng: random.Random, number: int, namespaces: int) -> dict[str, Any]:
    """Return a random spec: 70 % name their destinations, 20 % use a glob, 10 % a selector."""
    form = rng.random()
    spec: dict[str, Any] = {
        "configMapName": f"config-{number}",
        "sourceNamespace": f"team-{rng.randrange(namespaces)}",
    }
    if form < 0.7:
        spec["destinationNamespaces"] = sorted(
            {f"team-{rng.randrange(namespaces)}" for _ in range(rng.randrange(1, 6))}
        )
    elif form < 0.9:
        spec["destinationNamespaces"] = [f"team-{rng.randrange(100)}*"]
    else:
        spec["destinationNamespaceSelector"] = {
            "matchLabels": {"stage": rng.choice(("dev", "test", "live"))}
        }
    return spec | {"destinationConfigMapName": f"copy-of-{number}"}


def a_sync(rng: random.Random, number: int, namespaces: int) -> dict[str, Any]:
    """Return a sync of a realistic size."""
    return {
        "apiVersion": API_VERSION,
        "kind": KIND,
        "metadata": {
            "namespace": f"team-{number % namespaces}",
            "name": f"sync-{number}",
            "uid": f"00000000-0000-4000-8000-{number:012d}",
            "resourceVersion": str(number + 1),
            "creationTimestamp": "2026-11-23T04:20:25Z",
            "generation": 1,
            "managedFields": [
                {"manager": "kubectl", "operation": "Apply", "fieldsV1": {"f:spec": {}}}
            ],
        },
        "spec": a_spec(rng, number, namespaces),
        "status": {
            "observedGeneration": 1,
            "summary": "4/4",
            "conditions": [
                {
                    "type": "Ready",
                    "status": "True",
                    "reason": "Synced",
                    "message": "4 copies are right",
                }
            ],
        },
    }


def a_namespace(number: int) -> dict[str, Any]:
    """Return a namespace with two labels."""
    labels = {
        "kubernetes.io/metadata.name": f"team-{number}",
        "stage": ("dev", "test", "live")[number % 3],
    }
    metadata = {
        "name": f"team-{number}",
        "uid": f"n-{number}",
        "resourceVersion": str(number + 1),
        "labels": labels,
    }
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": metadata}


def serve_api(port: int, syncs: int, namespaces: int) -> None:
    """Serve two collections, watches without events, and a yes to every access review."""
    rng = random.Random(SEED)  # noqa: S311 - the same cluster every time
    lists = {
        NAMESPACES_PATH: [a_namespace(number) for number in range(namespaces)],
        SYNCS_PATH: [a_sync(rng, number, namespaces) for number in range(syncs)],
    }

    async def collection(request: web.Request) -> web.StreamResponse:
        if "watch" in request.query:
            response = web.StreamResponse(headers={"Content-Type": "application/json"})
            await response.prepare(request)
            await asyncio.sleep(float(request.query["timeoutSeconds"]))
            return response
        items, start = lists[request.path], int(request.query.get("continue", "0"))
        end = start + int(request.query["limit"])
        metadata = {"resourceVersion": PAGE_VERSION} | (
            {"continue": str(end)} if end < len(items) else {}
        )
        return web.json_response({"metadata": metadata, "items": items[start:end]})

    async def access(_request: web.Request) -> web.Response:
        return web.json_response({"status": {"allowed": True}}, status=201)

    async def nothing(_request: web.Request) -> web.Response:
        return web.json_response(
            {"kind": "Status", "code": 404, "reason": "NotFound", "message": "not found"},
            status=404,
        )

    application = web.Application()
    for path in lists:
        application.router.add_get(path, collection)
    application.router.add_post("/apis/authorization.k8s.io/v1/subjectaccessreviews", access)
    application.router.add_get("/{anything:.*}", nothing)
    web.run_app(application, host=LOCAL_ADDRESS, port=port, access_log=None, print=None)


class Instant:
    """A connection to an API server that answers at once."""

    def __init__(self, syncs: int, namespaces: int) -> None:
        rng = random.Random(SEED)  # noqa: S311 - the same cluster every time
        self._lists = {
            NAMESPACES_PATH: [a_namespace(number) for number in range(namespaces)],
            SYNCS_PATH: [a_sync(rng, number, namespaces) for number in range(syncs)],
        }

    async def request(self, method: str, path: str, **_how: object) -> bytes:
        """Return the whole list, a yes to an access review, or raise NotFound."""
        if path in self._lists:
            items = self._lists.pop(path)
            return json.dumps(
                {"metadata": {"resourceVersion": PAGE_VERSION}, "items": items}
            ).encode()
        if method == "POST":
            return b'{"status": {"allowed": true}}'
        raise NotFound("not found", status=404)

    @asynccontextmanager
    async def stream(self, _path: str, **_how: object) -> AsyncIterator[AsyncIterator[bytes]]:
        """Open a watch without events."""

        async def silence() -> AsyncIterator[bytes]:
            await asyncio.Event().wait()
            yield b""

        yield silence()


async def own_times(syncs: int, namespaces: int, count: int) -> list[float]:
    """Check `count` reviews one after the other; return the seconds of each."""
    loop = asyncio.get_running_loop()
    connection: Any = Instant(syncs, namespaces)
    world = ClusterState(connection, frozenset(), random.Random(SEED))  # noqa: S311 - jitter of watches that never end
    watches = [asyncio.ensure_future(informer.run()) for informer in world.informers.values()]
    for informer in world.informers.values():
        await informer.synced.wait()
    gc.collect()
    gc.freeze()  # as the webhook process does
    admission = Admission(world, Authorizer(Client(connection), loop.time, lambda _: None))
    rng = random.Random(SEED + 2)  # noqa: S311 - the same load every time
    times = []
    for body in [a_review(rng, syncs + number, namespaces) for number in range(count)]:
        begin = time.perf_counter()
        await admission.validate(parse(body))
        times.append(time.perf_counter() - begin)
    for watch in watches:
        watch.cancel()
    await asyncio.gather(*watches, return_exceptions=True)
    gc.unfreeze()
    return times


def a_review(rng: random.Random, number: int, namespaces: int) -> bytes:
    """Return the review that the API server sends for a new sync."""
    document = a_sync(rng, number, namespaces)
    request = {
        "uid": document["metadata"]["uid"],
        "operation": "CREATE",
        "resource": {"group": API_VERSION.partition("/")[0], "version": "v1", "resource": PLURAL},
        "namespace": document["metadata"]["namespace"],
        "name": document["metadata"]["name"],
        "userInfo": {"username": f"user-{number % 50}", "groups": ["system:authenticated"]},
        "object": document,
        "oldObject": None,
        "dryRun": False,
    }
    return json.dumps(
        {"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": request}
    ).encode()


class Load:
    """Sends reviews at a fixed rate and counts the refusals."""

    def __init__(self, url: str, authority: Path) -> None:
        self._url = url
        self._trust = ssl.create_default_context(cafile=str(authority))
        self.refused = 0

    async def send(self, reviews: Sequence[bytes], rate: float) -> list[float]:
        """Send the reviews at `rate` per second; return the seconds of each from its due time."""
        loop = asyncio.get_running_loop()
        async with ClientSession(connector=TCPConnector(ssl=self._trust, limit=0)) as session:
            begin = loop.time() + 0.1
            moments = (begin + number / rate for number in range(len(reviews)))
            sent = [
                self._send(session, review, moment)
                for review, moment in zip(reviews, moments, strict=False)
            ]
            return list(await asyncio.gather(*sent))

    async def _send(self, session: ClientSession, review: bytes, moment: float) -> float:
        loop = asyncio.get_running_loop()
        await asyncio.sleep(moment - loop.time())
        headers = {"Content-Type": "application/json"}
        async with session.post(self._url, data=review, headers=headers) as answer:
            response = (await answer.json())["response"]
        self.refused += not response["allowed"]
        return loop.time() - moment


@contextmanager
def webhook(folder: Path, api_port: int) -> Iterator[tuple[Process, int]]:
    """Run a webhook process on the first core; yield it with its port when it is ready."""
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
    )
    os.sched_setaffinity(process.id, {min(os.sched_getaffinity(0))})
    try:
        process.wait_until_answering(f"http://{LOCAL_ADDRESS}:{health}/readyz")
        yield process, port
    finally:
        process.stop()


def memory_in_mebibytes(process: Process) -> float:
    """Return the resident memory of the process."""
    pages = int(Path(f"/proc/{process.id}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / (1 << 20)


def cpu_seconds(process: Process) -> float:
    """Return the CPU time of the process in seconds."""
    fields = Path(f"/proc/{process.id}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / CLOCK_TICKS


def percentiles(times: Sequence[float]) -> str:
    """Return the distribution in one line."""
    cuts = statistics.quantiles(times, n=1000)
    named = ", ".join(
        f"p{percent} {cuts[percent * 10 - 1] * 1e3:.2f} ms" for percent in (50, 90, 99)
    )
    return f"{named}, slowest {max(times) * 1e3:.2f} ms"


def main() -> None:
    """Parse the arguments and run both parts."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--syncs", type=int, default=10_000)
    parser.add_argument("--namespaces", type=int, default=2_000)
    parser.add_argument("--rate", type=float, default=300.0, help="reviews per second")
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--serve-api", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve_api:
        serve_api(options.serve_api, options.syncs, options.namespaces)
        return
    print(f"cluster            {options.syncs} syncs, {options.namespaces} namespaces")
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        own = runner.run(own_times(options.syncs, options.namespaces, OWN_TIMES))
    print(f"own time           {percentiles(own)}")
    with tempfile.TemporaryDirectory() as folder:
        measure(options, Path(folder))


def measure(options: argparse.Namespace, folder: Path) -> None:
    """Start the API server and the webhook, send the reviews and print the results."""
    if certs(["ensure", "--dir", str(folder / "tls"), "--log-level", "error"]) != 0:
        sys.exit("no certificate could be made")
    port = free_port()
    api = Process.python(
        "benchmarks.admission",
        *(
            "--serve-api",
            str(port),
            "--syncs",
            str(options.syncs),
            "--namespaces",
            str(options.namespaces),
        ),
        log=folder / "api.log",
    )
    try:
        api.wait_until_answering(f"http://{LOCAL_ADDRESS}:{port}/api/v1/namespaces?limit=1")
        with webhook(folder, port) as (process, webhook_port):
            load = Load(
                f"https://{LOCAL_ADDRESS}:{webhook_port}{VALIDATE_PATH}", folder / "tls" / "ca.crt"
            )
            rng = random.Random(SEED + 1)  # noqa: S311 - the same load every time
            numbers = range(
                options.syncs,
                options.syncs + int((WARM_UP_SECONDS + options.seconds) * options.rate),
            )
            reviews = [a_review(rng, number, options.namespaces) for number in numbers]
            warm = int(WARM_UP_SECONDS * options.rate)
            asyncio.run(load.send(reviews[:warm], options.rate))
            load.refused, before = 0, cpu_seconds(process)
            times = asyncio.run(load.send(reviews[warm:], options.rate))
            cpu = cpu_seconds(process) - before
            print(f"with TLS           {percentiles(times)}")
            print(
                f"                   {len(times)} reviews at {options.rate:.0f} per second, "
                f"{load.refused} refused"
            )
            print(f"CPU per review     {cpu / len(times) * 1e3:.2f} ms, TLS and HTTP included")
            print(f"memory             {memory_in_mebibytes(process):.0f} MiB")
    finally:
        api.stop()


if __name__ == "__main__":
    main()
