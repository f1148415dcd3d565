"""Measure the reconciler and the baseline in one cluster, in turn.

`stories.py` calls it. `clock.py` measures both from the moment the change is sent.
"""

import asyncio
import contextlib
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass

from benchmarks.api import SOURCES, Api, cluster_with_api, sync_path
from benchmarks.clock import Clock, Place
from benchmarks.programs import PlainClient, Program, Reconciler
from benchmarks.results import Round
from tests.support.cluster import Cluster, Kind

ROUND_LIMIT_SECONDS = 180.0
KIBIBYTE = 1024
SMALL, LARGE = 1 * KIBIBYTE, 16 * KIBIBYTE

Begin = Callable[[], Awaitable[object]]


@dataclass(frozen=True)
class Options:
    """What to run.

    Attributes:
        kind: of cluster.
        copies: and namespaces, and syncs in the story of a start.
        rounds: of each story; short stories run more often.
        quiet_seconds: between two rounds, so that echoes and statuses do not fall into the next.
        python: the interpreter of the reconciler.
    """

    kind: Kind
    copies: int = 1_000
    rounds: int = 5
    quiet_seconds: float = 1.0
    python: str = sys.executable


class Bench:
    """The cluster, its admin, the clock and the baseline."""

    def __init__(
        self,
        options: Options,
        cluster: Cluster,
        api: Api,
        clock: Clock,
        watching: asyncio.Task[None],
        plain: PlainClient,
    ) -> None:
        self.options = options
        self.cluster = cluster
        self.api = api
        self.clock = clock
        self.plain = plain
        self.namespaces = [f"bench-{number:04d}" for number in range(options.copies)]
        self._watching = watching
        self._edits = 0

    @classmethod
    @contextlib.asynccontextmanager
    async def running(cls, options: Options) -> AsyncIterator["Bench"]:
        """Start everything but the reconciler, and create the namespaces."""
        async with (
            cluster_with_api(options.kind) as (cluster, api),
            PlainClient.running(cluster) as plain,
        ):
            clock = Clock(api.session)
            watching = asyncio.create_task(clock.run())
            try:
                await clock.started()
                bench = cls(options, cluster, api, clock, watching, plain)
                await api.add_namespaces([SOURCES, *bench.namespaces], {})
                await bench.quiet()  # the controllers of the cluster add objects to each namespace
                yield bench
            finally:
                watching.cancel()

    @contextlib.asynccontextmanager
    async def reconciler(self) -> AsyncIterator[Reconciler]:
        """Run a reconciler; it may not be ready yet."""
        async with Reconciler.running(self.cluster, self.options.python) as reconciler:
            yield reconciler

    async def quiet(self) -> None:
        """Wait until no ConfigMap has changed for a while."""
        await self.clock.quiet(self.options.quiet_seconds)

    def next_edit(self) -> str:
        """Return a value that no ConfigMap has yet."""
        self._edits += 1
        return f"edit-{self._edits}"

    async def measured(
        self,
        program: Program,
        places: list[Place],
        edit: str,
        do: Begin,
        quiet_seconds: float | None = None,
    ) -> Round:
        """Measure one round: from the call of `do` until every place has the edit.

        What the program uses is counted until nothing has happened for `quiet_seconds`.
        """
        before = await program.used()
        seconds = await self.seconds_until(places, edit, do)
        await self.clock.quiet(quiet_seconds or self.options.quiet_seconds)
        return Round(seconds, await program.used() - before)

    async def seconds_until(self, places: list[Place], edit: str, do: Begin) -> float:
        """Return the seconds from the call of `do` until every place has the edit."""
        complete = self.clock.when_all_have(places, edit)
        start = time.monotonic()
        await do()
        return await self.reached(complete) - start

    async def reached(self, complete: asyncio.Future[float]) -> float:
        """Wait for the clock; end the benchmark if it fails or takes too long."""
        try:
            async with asyncio.timeout(ROUND_LIMIT_SECONDS):
                await asyncio.wait({complete, self._watching}, return_when=asyncio.FIRST_COMPLETED)
                if not complete.done():
                    self._watching.result()  # the clock has failed
                return complete.result()
        except TimeoutError:
            sys.exit(
                f"{self.clock.missing} copies are not up to date after {ROUND_LIMIT_SECONDS:.0f} s"
            )

    async def remove_syncs(self) -> None:
        """Delete all syncs and wait until the reconciler has removed their copies."""
        # One by one, because a request that deletes a thousand may exceed the API server's timeout.
        names = [sync["metadata"]["name"] for sync in await self.api.syncs()]
        await self.api.send_all(("DELETE", sync_path(SOURCES, name), None) for name in names)
        async with asyncio.timeout(ROUND_LIMIT_SECONDS):
            while await self.api.syncs():  # noqa: ASYNC110 - polls the API server
                await asyncio.sleep(0.2)
        await self.quiet()


def in_turn(number: int, own: Begin, plain: Begin) -> Iterator[Begin]:
    """Yield both sides of a round, each first in every other round."""
    yield from (own, plain) if number % 2 == 0 else (plain, own)


def data(edit: str, size: int) -> dict[str, str]:
    """Return the data of a ConfigMap of about `size` bytes."""
    return {"edit": edit, "payload": "x" * size}
