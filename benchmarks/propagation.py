"""Compare the reconciler with a program that only writes.

    python -m benchmarks.propagation [--cluster real] [--copies N] [CASE ...]

The reconciler and the baseline (`plain_client.py`) work in the same cluster, in turn.
`clock.py` measures both from the moment the edit is sent. The benchmark prints the
medians and their ratio. With `--cluster real` it uses the kube-apiserver of
KUBEBUILDER_ASSETS. devcluster is Python too, so its figures mean little.
"""

import argparse
import asyncio
import contextlib
import ssl
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import uvloop
from aiohttp import ClientSession, TCPConnector

from benchmarks.clock import Clock, Place
from configmapsync.names import API_VERSION, KIND, MANAGED_BY_LABEL, MANAGED_BY_VALUE, PLURAL
from tests.support.cluster import Cluster, Kind
from tests.support.clusters import started
from tests.support.processes import LOCAL_ADDRESS, Process, free_port
from tests.support.users import ADMIN

KIBIBYTE = 1024
PARALLEL = 32
ROUND_LIMIT_SECONDS = 180.0
SOURCES = "bench-sources"
SMALL, LARGE = 1 * KIBIBYTE, 16 * KIBIBYTE


class PlainClient:
    """The baseline, in its own process."""

    def __init__(self, cluster: Cluster) -> None:
        command = [sys.executable, "-m", "benchmarks.plain_client"]
        arguments = [cluster.url, str(cluster.authority_file), cluster.users[ADMIN].token]
        self._process = subprocess.Popen(
            [*command, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )

    async def write(self, verb: str, places: list[Place], data: dict[str, str]) -> None:
        """Write all `places` with the same data."""
        await asyncio.to_thread(self._order, {"verb": verb, "places": places, "data": data})

    def close(self) -> None:
        """Stop the process."""
        self._process.communicate()

    def _order(self, order: dict[str, Any]) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(msgspec.json.encode(order) + b"\n")
        self._process.stdin.flush()
        assert self._process.stdout.readline() == b"\n", "the plain client failed"


@dataclass
class Times:
    """Seconds of each round, of the reconciler and of the baseline."""

    reconciler: list[float] = field(default_factory=list)
    baseline: list[float] = field(default_factory=list)

    def line(self, title: str) -> str:
        """Return one row of the table; a case without a baseline has no ratio."""
        own = statistics.median(self.reconciler)
        if not self.baseline:
            return f"{title:44} {'':>10} {_milliseconds(own):>10}"
        base = statistics.median(self.baseline)
        return f"{title:44} {_milliseconds(base):>10} {_milliseconds(own):>10} {own / base:6.2f}"


def _milliseconds(seconds: float) -> str:
    return f"{seconds * 1e3:.1f} ms"


def _data(edit: str, size: int) -> dict[str, str]:
    return {"edit": edit, "payload": "x" * size}


class Bench:
    """The cluster, the clock, the reconciler and the baseline."""

    def __init__(
        self,
        cluster: Cluster,
        session: ClientSession,
        clock: Clock,
        watching: asyncio.Task[None],
        options: argparse.Namespace,
    ) -> None:
        self.cluster = cluster
        self.clock = clock
        self.watching = watching
        self.copies: int = options.copies
        self.rounds: int = options.rounds
        self.plain = PlainClient(cluster)
        self.namespaces = [f"bench-{number:04d}" for number in range(self.copies)]
        self._session = session
        self._edits = 0

    def next_edit(self) -> str:
        """Return a value that no ConfigMap has yet."""
        self._edits += 1
        return f"edit-{self._edits}"

    async def send(
        self, method: str, path: str, body: object = None, content_type: str = "application/json"
    ) -> Any:
        """Send a request and return the decoded response."""
        raw = None if body is None else msgspec.json.encode(body)
        async with self._session.request(
            method, path, data=raw, headers={"Content-Type": content_type}
        ) as response:
            answer = await response.read()
            assert response.status < 400, f"{method} {path}: {answer.decode()[:500]}"
            return msgspec.json.decode(answer)

    async def send_all(self, requests: list[tuple[str, str, object]]) -> None:
        """Send requests, 32 at a time."""
        waiting = iter(requests)

        async def work() -> None:
            for method, path, body in waiting:
                await self.send(method, path, body)

        await asyncio.gather(*(work() for _ in range(PARALLEL)))

    async def add_namespaces(self, names: list[str], labels: dict[str, str]) -> None:
        """Create namespaces."""
        bodies = ({"metadata": {"name": name, "labels": labels}} for name in names)
        await self.send_all([("POST", "/api/v1/namespaces", body) for body in bodies])

    async def make_source(self, name: str, edit: str, size: int) -> None:
        """Create a source."""
        path = f"/api/v1/namespaces/{SOURCES}/configmaps"
        await self.send("POST", path, {"metadata": {"name": name}, "data": _data(edit, size)})

    async def edit_source(self, name: str, edit: str, size: int) -> None:
        """Replace the content of a source."""
        path = f"/api/v1/namespaces/{SOURCES}/configmaps/{name}"
        await self.send("PUT", path, {"metadata": {"name": name}, "data": _data(edit, size)})

    async def make_syncs(self, specs: dict[str, dict[str, Any]]) -> None:
        """Create syncs from specs by name."""
        path = f"/apis/{API_VERSION}/namespaces/{SOURCES}/{PLURAL}"
        bodies = (
            {"apiVersion": API_VERSION, "kind": KIND, "metadata": {"name": name}, "spec": spec}
            for name, spec in specs.items()
        )
        await self.send_all([("POST", path, body) for body in bodies])

    async def remove_syncs(self) -> None:
        """Delete all syncs and wait until the reconciler has removed their copies."""
        path = f"/apis/{API_VERSION}/namespaces/{SOURCES}/{PLURAL}"
        await self.send("DELETE", path)
        async with asyncio.timeout(ROUND_LIMIT_SECONDS):
            while (await self.send("GET", path))["items"]:  # noqa: ASYNC110 - polls the API server
                await asyncio.sleep(0.2)
        await self.clock.quiet()

    async def seconds_until(
        self, places: list[Place], edit: str, begin: Callable[[], Awaitable[object]]
    ) -> float:
        """Return the seconds from the call of `begin` until every place has the edit."""
        complete = self.clock.when_all_have(places, edit)
        start = time.monotonic()
        await begin()
        try:
            async with asyncio.timeout(ROUND_LIMIT_SECONDS):
                await asyncio.wait({complete, self.watching}, return_when=asyncio.FIRST_COMPLETED)
                if not complete.done():
                    self.watching.result()  # the clock has failed
                return complete.result() - start
        except TimeoutError:
            sys.exit(
                f"{self.clock.missing} of {len(places)} copies are not up to date "
                f"after {ROUND_LIMIT_SECONDS:.0f} s"
            )

    @contextlib.asynccontextmanager
    async def reconciler(self) -> AsyncIterator[tuple[Process, str]]:
        """Start a reconciler; yield the process and the URL of its health server."""
        health = f"{LOCAL_ADDRESS}:{free_port()}"
        process = Process.python(
            "reconciler",
            *(
                "--kubeconfig",
                self.cluster.kubeconfig,
                "--health-address",
                health,
                "--log-level",
                "warning",
            ),
            log=self.cluster.folder / "reconciler.log",
        )
        try:
            yield process, f"http://{health}"
        finally:
            await asyncio.to_thread(process.stop)


async def _edits(bench: Bench, copies: int, size: int, rounds: int) -> Times:
    """Measure edits of a source until all copies follow."""
    times = Times()
    namespaces = bench.namespaces[:copies]
    own, plain = (
        [(namespace, name) for namespace in namespaces] for name in ("edited", "plain-edited")
    )
    edit = bench.next_edit()
    for name in ("edited", "plain-source"):
        await bench.make_source(name, edit, size)
    await bench.plain.write("POST", plain, _data(edit, size))
    async with bench.reconciler() as (process, url):
        await asyncio.to_thread(process.wait_until_answering, f"{url}/readyz")
        spec = {
            "configMapName": "edited",
            "destinationNamespaces": [f"{namespaces[0][:6]}*"] if copies > 1 else namespaces,
        }
        await bench.seconds_until(own, edit, lambda: bench.make_syncs({"edited": spec}))
        for _ in range(rounds):
            await bench.clock.quiet(0.2 if copies == 1 else 1.0)
            edit = bench.next_edit()
            times.reconciler.append(
                await bench.seconds_until(
                    own,
                    edit,
                    lambda: bench.edit_source("edited", edit, size),  # noqa: B023 - called in the same iteration
                )
            )
            await bench.clock.quiet(0.2 if copies == 1 else 1.0)

            async def write(edit: str = edit) -> None:
                await bench.plain.write("PUT", [(SOURCES, "plain-source")], _data(edit, size))
                await bench.plain.write("PUT", plain, _data(edit, size))

            times.baseline.append(await bench.seconds_until(plain, edit, write))
        await bench.remove_syncs()
    await bench.send_all(
        [
            ("DELETE", f"/api/v1/namespaces/{n}/configmaps/{m}", None)
            for n, m in [*plain, (SOURCES, "plain-source"), (SOURCES, "edited")]
        ]
    )
    return times


async def one_edit(bench: Bench) -> Times:
    """One edit -> one copy up to date."""
    return await _edits(bench, 1, SMALL, bench.rounds * 10)


async def many_copies(bench: Bench) -> Times:
    """One edit -> N copies of 16 KiB up to date."""
    return await _edits(bench, bench.copies, LARGE, bench.rounds)


async def first_fan_out(bench: Bench) -> Times:
    """First fan-out to N namespaces, 16 KiB."""
    times = Times()
    async with bench.reconciler() as (process, url):
        await asyncio.to_thread(process.wait_until_answering, f"{url}/readyz")
        for number in range(bench.rounds):
            name, edit = f"fanned-{number}", bench.next_edit()
            await bench.make_source(name, edit, LARGE)
            await bench.clock.quiet()
            own, plain = (
                [(namespace, there) for namespace in bench.namespaces]
                for there in (name, f"plain-{name}")
            )
            spec = {"configMapName": name, "destinationNamespaces": ["bench-0*"]}
            times.reconciler.append(
                await bench.seconds_until(own, edit, lambda: bench.make_syncs({name: spec}))  # noqa: B023 - called in the same iteration
            )
            await bench.clock.quiet()
            times.baseline.append(
                await bench.seconds_until(
                    plain,
                    edit,
                    lambda: bench.plain.write("POST", plain, _data(edit, LARGE)),  # noqa: B023 - called in the same iteration
                )
            )
            await bench.remove_syncs()
            await bench.send_all(
                [("DELETE", f"/api/v1/namespaces/{n}/configmaps/{m}", None) for n, m in plain]
            )
            await bench.send("DELETE", f"/api/v1/namespaces/{SOURCES}/configmaps/{name}")
    return times


async def _many_syncs(bench: Bench) -> tuple[list[Place], str]:
    """Create a sync with its own source and destination for each copy, without a reconciler."""
    edit = bench.next_edit()
    names = [f"own-{number:04d}" for number in range(bench.copies)]
    path = f"/api/v1/namespaces/{SOURCES}/configmaps"
    bodies = ({"metadata": {"name": name}, "data": _data(edit, SMALL)} for name in names)
    await bench.send_all([("POST", path, body) for body in bodies])
    places = list(zip(bench.namespaces, names, strict=True))
    await bench.make_syncs(
        {name: {"configMapName": name, "destinationNamespace": space} for space, name in places}
    )
    await bench.clock.quiet()
    return places, edit


async def start_and_restart(bench: Bench) -> dict[str, Times]:
    """Start with N syncs and no copies, and restart with all copies up to date."""
    start, restart = Times(), Times()
    for _ in range(max(1, bench.rounds // 2)):
        places, edit = await _many_syncs(bench)
        plain = [(space, f"plain-{name}") for space, name in places]
        complete = bench.clock.when_all_have(places, edit)
        begin = time.monotonic()
        async with bench.reconciler() as (process, url):
            start.reconciler.append(await asyncio.wait_for(complete, ROUND_LIMIT_SECONDS) - begin)
            await _all_reported(bench)
            await asyncio.to_thread(process.wait_until_answering, f"{url}/readyz")
        start.baseline.append(
            await bench.seconds_until(
                plain,
                edit,
                lambda: bench.plain.write("POST", plain, _data(edit, SMALL)),  # noqa: B023 - called in the same iteration
            )
        )
        versions = await _versions(bench)
        begin = time.monotonic()
        async with bench.reconciler() as (_, url):
            restart.reconciler.append(await _through(url, bench.copies) - begin)
            await bench.clock.quiet()
            assert await _versions(bench) == versions, "a restart wrote"
            await bench.remove_syncs()
        await bench.send_all(
            [("DELETE", f"/api/v1/namespaces/{n}/configmaps/{m}", None) for n, m in plain]
        )
        await bench.send_all(
            [
                ("DELETE", f"/api/v1/namespaces/{SOURCES}/configmaps/{name}", None)
                for _, name in places
            ]
        )
    return {
        f"start with {bench.copies} syncs": start,
        f"restart with {bench.copies} in sync, 0 writes": restart,
    }


async def _all_reported(bench: Bench) -> None:
    """Wait until every sync is ready."""
    async with asyncio.timeout(ROUND_LIMIT_SECONDS):
        while not all(  # noqa: ASYNC110 - polls the API server
            (sync.get("status") or {}).get("summary") == "1/1"
            for sync in (await bench.send("GET", f"/apis/{API_VERSION}/{PLURAL}"))["items"]
        ):
            await asyncio.sleep(0.2)


async def _versions(bench: Bench) -> list[str]:
    """Return the versions of all copies and syncs."""
    selector = f"labelSelector={MANAGED_BY_LABEL}={MANAGED_BY_VALUE}"
    copies = await bench.send("GET", f"/api/v1/configmaps?{selector}")
    syncs = await bench.send("GET", f"/apis/{API_VERSION}/{PLURAL}")
    return sorted(
        item["metadata"]["resourceVersion"] for item in [*copies["items"], *syncs["items"]]
    )


async def _through(url: str, reconciles: int) -> float:
    """Return the monotonic time at which `reconciles` are done and the queue is empty."""
    async with asyncio.timeout(ROUND_LIMIT_SECONDS):
        while True:
            await asyncio.sleep(0.01)
            with contextlib.suppress(OSError):
                now, text = time.monotonic(), await asyncio.to_thread(_read, f"{url}/metrics")
                values = dict(
                    line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#")
                )
                done = sum(
                    float(value)
                    for name, value in values.items()
                    if name.startswith("controller_runtime_reconcile_total")
                )
                if (
                    done >= reconciles
                    and float(values['workqueue_depth{name="configmapsync"}']) == 0
                ):
                    return now


def _read(url: str) -> str:
    with urllib.request.urlopen(url, timeout=5) as answer:  # noqa: S310 - a URL of this program
        return str(answer.read().decode())


async def new_namespace(bench: Bench) -> Times:
    """A new namespace that 200 syncs select."""
    times = Times()
    edit, names = bench.next_edit(), [f"new-{number:03d}" for number in range(200)]
    path = f"/api/v1/namespaces/{SOURCES}/configmaps"
    bodies = ({"metadata": {"name": name}, "data": _data(edit, SMALL)} for name in names)
    await bench.send_all([("POST", path, body) for body in bodies])
    selector = {"destinationNamespaceSelector": {"matchLabels": {"bench": "new"}}}
    async with bench.reconciler() as (process, url):
        await asyncio.to_thread(process.wait_until_answering, f"{url}/readyz")
        await bench.make_syncs({name: {"configMapName": name, **selector} for name in names})
        await bench.clock.quiet()
        for number in range(bench.rounds):
            own, plain = f"new-{number}", f"plain-new-{number}"
            places = [(own, name) for name in names]
            times.reconciler.append(
                await bench.seconds_until(
                    places,
                    edit,
                    lambda: bench.add_namespaces([own], {"bench": "new"}),  # noqa: B023 - called in the same iteration
                )
            )
            await bench.clock.quiet()
            places = [(plain, name) for name in names]

            async def fill(space: str = plain, places: list[Place] = places) -> None:
                await bench.add_namespaces([space], {})
                await bench.plain.write("POST", places, _data(edit, SMALL))

            times.baseline.append(await bench.seconds_until(places, edit, fill))
            await bench.clock.quiet()
        await bench.remove_syncs()
    return times


async def damage(bench: Bench) -> Times:
    """100 of 200 copies damaged -> all repaired."""
    times = Times()
    edit, spaces = bench.next_edit(), bench.namespaces[:200]
    await bench.make_source("damaged", edit, LARGE)
    own, plain = ([(space, name) for space in spaces] for name in ("damaged", "plain-damaged"))
    await bench.plain.write("POST", plain, _data(edit, LARGE))
    async with bench.reconciler() as (process, url):
        await asyncio.to_thread(process.wait_until_answering, f"{url}/readyz")
        spec = {"configMapName": "damaged", "destinationNamespaces": spaces}
        await bench.seconds_until(own, edit, lambda: bench.make_syncs({"damaged": spec}))
        for _ in range(min(bench.rounds, 4)):  # more repairs would count as contention
            await bench.clock.quiet()
            harm = bench.next_edit()
            # The clock sees the damage before the repair.
            spoiled = bench.clock.when_all_have(own[::2], harm)
            start = time.monotonic()
            await bench.plain.write("PATCH", own[::2], {"edit": harm})
            await spoiled
            times.reconciler.append(
                await asyncio.wait_for(bench.clock.when_all_have(own, edit), ROUND_LIMIT_SECONDS)
                - start
            )
            await bench.clock.quiet()
            spoiled = bench.clock.when_all_have(plain[::2], harm)
            start = time.monotonic()
            await bench.plain.write("PATCH", plain[::2], {"edit": harm})
            await spoiled
            await bench.plain.write("PUT", plain[::2], _data(edit, LARGE))
            times.baseline.append(
                await asyncio.wait_for(bench.clock.when_all_have(plain, edit), ROUND_LIMIT_SECONDS)
                - start
            )
        await bench.remove_syncs()
    return times


Case = Callable[[Bench], Awaitable[Times | dict[str, Times]]]
CASES: dict[str, Case] = {
    "one-edit": one_edit,
    "many-copies": many_copies,
    "first-fan-out": first_fan_out,
    "start": start_and_restart,
    "new-namespace": new_namespace,
    "damage": damage,
}


@contextlib.asynccontextmanager
async def _bench(cluster: Cluster, options: argparse.Namespace) -> AsyncIterator[Bench]:
    trust = (
        ssl.create_default_context(cafile=cluster.authority_file)
        if cluster.authority_file
        else False
    )
    headers = {"Authorization": f"Bearer {cluster.users[ADMIN].token}"}
    async with ClientSession(
        cluster.url, headers=headers, connector=TCPConnector(ssl=trust, limit=0)
    ) as session:
        clock = Clock(session)
        watching = asyncio.create_task(clock.run())
        bench = Bench(cluster, session, clock, watching, options)
        await clock.started()
        await bench.add_namespaces([SOURCES, *bench.namespaces], {})
        await clock.quiet()  # the controllers of the cluster add objects to each namespace
        try:
            yield bench
        finally:
            bench.plain.close()
            watching.cancel()


async def measure(options: argparse.Namespace) -> None:
    """Run the selected cases and print the table."""
    with tempfile.TemporaryDirectory() as folder, started(options.cluster, Path(folder)) as cluster:
        cluster.kubectl("apply", "-k", "config/crd")
        async with _bench(cluster, options) as bench:
            print(f"{'':44} {'baseline':>10} {'own':>10}  ratio")
            for name in options.cases or CASES:
                case = CASES[name]
                measured = await case(bench)
                for title, times in (
                    measured if isinstance(measured, dict) else {_title(case, bench): measured}
                ).items():
                    print(times.line(title), flush=True)


def _title(case: Case, bench: Bench) -> str:
    return (case.__doc__ or "").rstrip(".").replace(" N ", f" {bench.copies} ")


def main() -> None:
    """Parse the arguments and run the cases."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    kinds: tuple[Kind, ...] = ("devcluster", "real")
    parser.add_argument("--cluster", choices=kinds, default="devcluster")
    parser.add_argument("--copies", type=int, default=1_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument(
        "cases", nargs="*", choices=[*CASES, []], metavar="CASE", help=", ".join(CASES)
    )
    options = parser.parse_args()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(measure(options))


if __name__ == "__main__":
    main()
