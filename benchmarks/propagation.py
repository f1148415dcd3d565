"""From an edit to right copies: how near the reconciler comes to a program that only writes.

    python -m benchmarks.propagation [--cluster real] [--copies 1000] [--rounds 5] [STORY ...]

Both work in the same cluster, in turn, round by round, and a third program's watch is the clock (`clock.py`); what is told are the medians and
their ratio. The plain client (`plain_client.py`) is Python too, on the same libraries, 32 requests at a time. For an edit the clock starts when
the edit is sent, for the plain client as well: it writes the source first and then the copies. With `--cluster real` the API server is the one of
KUBEBUILDER_ASSETS; figures against devcluster say little, for it is Python itself.
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
LONGEST_WAIT = 180.0  # seconds for one round
SOURCES = "bench-sources"
SMALL, LARGE = 1 * KIBIBYTE, 16 * KIBIBYTE


class PlainClient:
    """The yardstick, in its own process."""

    def __init__(self, cluster: Cluster) -> None:
        command = [sys.executable, "-m", "benchmarks.plain_client"]
        arguments = [cluster.url, str(cluster.authority_file), cluster.users[ADMIN].token]
        self._process = subprocess.Popen(
            [*command, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )

    async def write(self, verb: str, places: list[Place], data: dict[str, str]) -> None:
        """Have all of them written."""
        await asyncio.to_thread(self._order, {"verb": verb, "places": places, "data": data})

    def close(self) -> None:
        """End it."""
        self._process.communicate()

    def _order(self, order: dict[str, Any]) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(msgspec.json.encode(order) + b"\n")
        self._process.stdin.flush()
        assert self._process.stdout.readline() == b"\n", "the plain client gave up"


@dataclass
class Times:
    """Seconds of each round, ours and the yardstick's."""

    ours: list[float] = field(default_factory=list)
    plain: list[float] = field(default_factory=list)

    def line(self, story: str) -> str:
        """One line of the table; a story without a yardstick has no ratio."""
        ours = statistics.median(self.ours)
        if not self.plain:
            return f"{story:44} {'':>10} {_milliseconds(ours):>10}"
        plain = statistics.median(self.plain)
        return (
            f"{story:44} {_milliseconds(plain):>10} {_milliseconds(ours):>10} {ours / plain:6.2f}"
        )


def _milliseconds(seconds: float) -> str:
    return f"{seconds * 1e3:.1f} ms"


def _data(edit: str, size: int) -> dict[str, str]:
    return {"edit": edit, "payload": "x" * size}


class Bench:
    """The cluster, the clock and both programs."""

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
        """A word that no ConfigMap has yet."""
        self._edits += 1
        return f"edit-{self._edits}"

    async def send(
        self, method: str, path: str, body: object = None, content_type: str = "application/json"
    ) -> Any:
        """Send one request and return the answer's document."""
        raw = None if body is None else msgspec.json.encode(body)
        async with self._session.request(
            method, path, data=raw, headers={"Content-Type": content_type}
        ) as response:
            answer = await response.read()
            assert response.status < 400, f"{method} {path}: {answer.decode()[:500]}"
            return msgspec.json.decode(answer)

    async def send_all(self, requests: list[tuple[str, str, object]]) -> None:
        """Send many, 32 at a time."""
        waiting = iter(requests)

        async def work() -> None:
            for method, path, body in waiting:
                await self.send(method, path, body)

        await asyncio.gather(*(work() for _ in range(PARALLEL)))

    async def add_namespaces(self, names: list[str], labels: dict[str, str]) -> None:
        """Make namespaces."""
        bodies = ({"metadata": {"name": name, "labels": labels}} for name in names)
        await self.send_all([("POST", "/api/v1/namespaces", body) for body in bodies])

    async def make_source(self, name: str, edit: str, size: int) -> None:
        """Make a source."""
        path = f"/api/v1/namespaces/{SOURCES}/configmaps"
        await self.send("POST", path, {"metadata": {"name": name}, "data": _data(edit, size)})

    async def edit_source(self, name: str, edit: str, size: int) -> None:
        """Replace its content."""
        path = f"/api/v1/namespaces/{SOURCES}/configmaps/{name}"
        await self.send("PUT", path, {"metadata": {"name": name}, "data": _data(edit, size)})

    async def make_syncs(self, specs: dict[str, dict[str, Any]]) -> None:
        """Make syncs, by name."""
        path = f"/apis/{API_VERSION}/namespaces/{SOURCES}/{PLURAL}"
        bodies = (
            {"apiVersion": API_VERSION, "kind": KIND, "metadata": {"name": name}, "spec": spec}
            for name, spec in specs.items()
        )
        await self.send_all([("POST", path, body) for body in bodies])

    async def remove_syncs(self) -> None:
        """Remove all syncs, and wait until the reconciler has removed their copies."""
        path = f"/apis/{API_VERSION}/namespaces/{SOURCES}/{PLURAL}"
        await self.send("DELETE", path)
        async with asyncio.timeout(LONGEST_WAIT):
            while (await self.send("GET", path))["items"]:  # noqa: ASYNC110 - the cluster is asked, there is no event
                await asyncio.sleep(0.2)
        await self.clock.quiet()

    async def seconds_until(
        self, places: list[Place], edit: str, begin: Callable[[], Awaitable[object]]
    ) -> float:
        """Seconds from `begin` until every place has that edit."""
        complete = self.clock.when_all_have(places, edit)
        start = time.monotonic()
        await begin()
        try:
            async with asyncio.timeout(LONGEST_WAIT):
                await asyncio.wait({complete, self.watching}, return_when=asyncio.FIRST_COMPLETED)
                if not complete.done():
                    self.watching.result()  # the clock has failed
                return complete.result() - start
        except TimeoutError:
            sys.exit(
                f"{self.clock.missing} of {len(places)} copies are not right after {LONGEST_WAIT:.0f} s"
            )

    @contextlib.asynccontextmanager
    async def reconciler(self) -> AsyncIterator[tuple[Process, str]]:
        """The real reconciler, just started; with the URL of its health server."""
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
    """Edit a source; its copies follow."""
    times = Times()
    namespaces = bench.namespaces[:copies]
    ours, plain = (
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
        await bench.seconds_until(ours, edit, lambda: bench.make_syncs({"edited": spec}))
        for _ in range(rounds):
            await bench.clock.quiet(0.2 if copies == 1 else 1.0)
            edit = bench.next_edit()
            times.ours.append(
                await bench.seconds_until(
                    ours,
                    edit,
                    lambda: bench.edit_source("edited", edit, size),  # noqa: B023 - called before the loop goes on
                )
            )
            await bench.clock.quiet(0.2 if copies == 1 else 1.0)

            async def write(edit: str = edit) -> None:
                await bench.plain.write("PUT", [(SOURCES, "plain-source")], _data(edit, size))
                await bench.plain.write("PUT", plain, _data(edit, size))

            times.plain.append(await bench.seconds_until(plain, edit, write))
        await bench.remove_syncs()
    await bench.send_all(
        [
            ("DELETE", f"/api/v1/namespaces/{n}/configmaps/{m}", None)
            for n, m in [*plain, (SOURCES, "plain-source"), (SOURCES, "edited")]
        ]
    )
    return times


async def one_edit(bench: Bench) -> Times:
    """One edit -> one copy right."""
    return await _edits(bench, 1, SMALL, bench.rounds * 10)


async def many_copies(bench: Bench) -> Times:
    """One edit -> N copies of 16 KiB right."""
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
            ours, plain = (
                [(namespace, there) for namespace in bench.namespaces]
                for there in (name, f"plain-{name}")
            )
            spec = {"configMapName": name, "destinationNamespaces": ["bench-0*"]}
            times.ours.append(
                await bench.seconds_until(ours, edit, lambda: bench.make_syncs({name: spec}))  # noqa: B023 - called before the loop goes on
            )
            await bench.clock.quiet()
            times.plain.append(
                await bench.seconds_until(
                    plain,
                    edit,
                    lambda: bench.plain.write("POST", plain, _data(edit, LARGE)),  # noqa: B023 - called before the loop goes on
                )
            )
            await bench.remove_syncs()
            await bench.send_all(
                [("DELETE", f"/api/v1/namespaces/{n}/configmaps/{m}", None) for n, m in plain]
            )
            await bench.send("DELETE", f"/api/v1/namespaces/{SOURCES}/configmaps/{name}")
    return times


async def _many_syncs(bench: Bench) -> tuple[list[Place], str]:
    """As many syncs as copies, each with a source and one destination of its own; nobody carries them out yet."""
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
    """Start with N syncs, all copies made; and restart with all of them right."""
    start, restart = Times(), Times()
    for _ in range(max(1, bench.rounds // 2)):
        places, edit = await _many_syncs(bench)
        plain = [(space, f"plain-{name}") for space, name in places]
        complete = bench.clock.when_all_have(places, edit)
        begin = time.monotonic()
        async with bench.reconciler() as (process, url):
            start.ours.append(await asyncio.wait_for(complete, LONGEST_WAIT) - begin)
            await _all_reported(bench)
            await asyncio.to_thread(process.wait_until_answering, f"{url}/readyz")
        start.plain.append(
            await bench.seconds_until(
                plain,
                edit,
                lambda: bench.plain.write("POST", plain, _data(edit, SMALL)),  # noqa: B023 - called before the loop goes on
            )
        )
        versions = await _versions(bench)
        begin = time.monotonic()
        async with bench.reconciler() as (_, url):
            restart.ours.append(await _through(url, bench.copies) - begin)
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
    """Wait until every sync says that it is ready."""
    async with asyncio.timeout(LONGEST_WAIT):
        while not all(  # noqa: ASYNC110 - the cluster is asked, there is no event
            (sync.get("status") or {}).get("summary") == "1/1"
            for sync in (await bench.send("GET", f"/apis/{API_VERSION}/{PLURAL}"))["items"]
        ):
            await asyncio.sleep(0.2)


async def _versions(bench: Bench) -> list[str]:
    """The versions of all that the reconciler may write."""
    selector = f"labelSelector={MANAGED_BY_LABEL}={MANAGED_BY_VALUE}"
    copies = await bench.send("GET", f"/api/v1/configmaps?{selector}")
    syncs = await bench.send("GET", f"/apis/{API_VERSION}/{PLURAL}")
    return sorted(
        item["metadata"]["resourceVersion"] for item in [*copies["items"], *syncs["items"]]
    )


async def _through(url: str, reconciles: int) -> float:
    """The moment at which that many reconciles have ended and nothing waits any more."""
    async with asyncio.timeout(LONGEST_WAIT):
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
    with urllib.request.urlopen(url, timeout=5) as answer:  # noqa: S310 - our own http URL
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
            ours, plain = f"new-{number}", f"plain-new-{number}"
            places = [(ours, name) for name in names]
            times.ours.append(
                await bench.seconds_until(
                    places,
                    edit,
                    lambda: bench.add_namespaces([ours], {"bench": "new"}),  # noqa: B023 - called before the loop goes on
                )
            )
            await bench.clock.quiet()
            places = [(plain, name) for name in names]

            async def fill(space: str = plain, places: list[Place] = places) -> None:
                await bench.add_namespaces([space], {})
                await bench.plain.write("POST", places, _data(edit, SMALL))

            times.plain.append(await bench.seconds_until(places, edit, fill))
            await bench.clock.quiet()
        await bench.remove_syncs()
    return times


async def damage(bench: Bench) -> Times:
    """100 of 200 copies damaged -> all right."""
    times = Times()
    edit, spaces = bench.next_edit(), bench.namespaces[:200]
    await bench.make_source("damaged", edit, LARGE)
    ours, plain = ([(space, name) for space in spaces] for name in ("damaged", "plain-damaged"))
    await bench.plain.write("POST", plain, _data(edit, LARGE))
    async with bench.reconciler() as (process, url):
        await asyncio.to_thread(process.wait_until_answering, f"{url}/readyz")
        spec = {"configMapName": "damaged", "destinationNamespaces": spaces}
        await bench.seconds_until(ours, edit, lambda: bench.make_syncs({"damaged": spec}))
        for _ in range(min(bench.rounds, 4)):  # more would be a fight
            await bench.clock.quiet()
            harm = bench.next_edit()
            spoiled = bench.clock.when_all_have(ours[::2], harm)  # seen before they are right again
            start = time.monotonic()
            await bench.plain.write("PATCH", ours[::2], {"edit": harm})
            await spoiled
            times.ours.append(
                await asyncio.wait_for(bench.clock.when_all_have(ours, edit), LONGEST_WAIT) - start
            )
            await bench.clock.quiet()
            spoiled = bench.clock.when_all_have(plain[::2], harm)
            start = time.monotonic()
            await bench.plain.write("PATCH", plain[::2], {"edit": harm})
            await spoiled
            await bench.plain.write("PUT", plain[::2], _data(edit, LARGE))
            times.plain.append(
                await asyncio.wait_for(bench.clock.when_all_have(plain, edit), LONGEST_WAIT) - start
            )
        await bench.remove_syncs()
    return times


Story = Callable[[Bench], Awaitable[Times | dict[str, Times]]]
STORIES: dict[str, Story] = {
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
        await clock.quiet()  # a cluster's own controllers put something into each
        try:
            yield bench
        finally:
            bench.plain.close()
            watching.cancel()


async def measure(options: argparse.Namespace) -> None:
    """Tell every story that was asked for."""
    with tempfile.TemporaryDirectory() as folder, started(options.cluster, Path(folder)) as cluster:
        cluster.kubectl("apply", "-k", "config/crd")
        async with _bench(cluster, options) as bench:
            print(f"{'':44} {'plain':>10} {'ours':>10}  ratio")
            for name in options.stories or STORIES:
                story = STORIES[name]
                told = await story(bench)
                for title, times in (
                    told if isinstance(told, dict) else {_title(story, bench): told}
                ).items():
                    print(times.line(title), flush=True)


def _title(story: Story, bench: Bench) -> str:
    return (story.__doc__ or "").rstrip(".").replace(" N ", f" {bench.copies} ")


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    kinds: tuple[Kind, ...] = ("devcluster", "real")
    parser.add_argument("--cluster", choices=kinds, default="devcluster")
    parser.add_argument("--copies", type=int, default=1_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument(
        "stories", nargs="*", choices=[*STORIES, []], metavar="STORY", help=", ".join(STORIES)
    )
    options = parser.parse_args()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(measure(options))


if __name__ == "__main__":
    main()
