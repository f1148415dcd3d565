"""Run what is compared, the reconciler and the baseline, and read what each has used.

`stories.py` calls it. Both are processes of their own.
"""

import asyncio
import contextlib
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from subprocess import PIPE
from typing import Any, Protocol

import msgspec

from benchmarks.clock import Place
from benchmarks.usage import cpu_seconds, peak_mebibytes, resident_mebibytes
from tests.journeys.scrape import Scrape, scrape
from tests.support.cluster import Cluster
from tests.support.processes import LOCAL_ADDRESS, Process, free_port
from tests.support.users import ADMIN

# As in the Dockerfile: without the CA file of the system, which no connection uses.
IMAGE_ENVIRONMENT = {"SSL_CERT_FILE": ""}
METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")


@dataclass
class Used:
    """What a program has used so far: CPU time, and requests by method."""

    cpu_seconds: float = 0.0
    requests: Counter[str] = field(default_factory=Counter)

    def __sub__(self, before: "Used") -> "Used":
        return Used(self.cpu_seconds - before.cpu_seconds, self.requests - before.requests)


class Program(Protocol):
    """What is measured."""

    async def used(self) -> Used:
        """Return what it has used so far."""


class PlainClient:
    """The baseline."""

    def __init__(self, process: subprocess.Popen[bytes], answers: asyncio.StreamReader) -> None:
        self._process = process
        self._answers = answers
        self._requests: Counter[str] = Counter()

    @classmethod
    @contextlib.asynccontextmanager
    async def running(cls, cluster: Cluster) -> AsyncIterator["PlainClient"]:
        """Start the process, and stop it at the end."""
        command = [sys.executable, "-m", "benchmarks.plain_client"]
        arguments = [cluster.url, str(cluster.authority_file), cluster.users[ADMIN].token]
        # Pipes, because the standard input of asyncio's own children is a socket.
        process = subprocess.Popen([*command, *arguments], stdin=PIPE, stdout=PIPE)  # noqa: ASYNC220
        answers = asyncio.StreamReader()
        await asyncio.get_running_loop().connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(answers), process.stdout
        )
        try:
            yield cls(process, answers)
        finally:
            assert process.stdin is not None
            process.stdin.close()
            await asyncio.to_thread(process.wait)

    async def write(self, verb: str, places: list[Place], data: dict[str, str]) -> None:
        """Write all `places` with the same data."""
        self._requests[verb] += len(places)
        await self._order({"verb": verb, "places": places, "data": data})

    async def read(self, paths: list[str]) -> None:
        """Read collections, all at once."""
        self._requests["GET"] += len(paths)
        await self._order({"verb": "GET", "paths": paths})

    async def used(self) -> Used:
        """Return what it has used so far."""
        return Used(cpu_seconds(self._process.pid), self._requests.copy())

    async def _order(self, order: dict[str, Any]) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(msgspec.json.encode(order) + b"\n")
        self._process.stdin.flush()
        assert await self._answers.readline() == b"\n", "the plain client failed"


class Reconciler:
    """The reconciler, and its metrics."""

    def __init__(self, process: Process, port: int) -> None:
        self._process = process
        self._port = port

    @classmethod
    @contextlib.asynccontextmanager
    async def running(
        cls, cluster: Cluster, python: str = sys.executable, module: str = "reconciler"
    ) -> AsyncIterator["Reconciler"]:
        """Start `module` with the interpreter `python`, and stop it at the end."""
        port = free_port()
        process = Process(
            [
                *(python, "-m", module, "--kubeconfig", cluster.kubeconfig),
                *("--health-address", f"{LOCAL_ADDRESS}:{port}", "--log-level", "warning"),
            ],
            cluster.folder / "reconciler.log",
            environment=IMAGE_ENVIRONMENT,
        )
        try:
            yield cls(process, port)
        finally:
            await asyncio.to_thread(process.stop)

    async def ready(self) -> None:
        """Wait until all caches are in sync."""
        url = f"http://{LOCAL_ADDRESS}:{self._port}/readyz"
        await asyncio.to_thread(self._process.wait_until_answering, url)

    async def used(self) -> Used:
        """Return what it has used since its start."""
        now = await self._scraped()
        requests = {
            method: int(now.value("rest_client_requests_total", method=method))
            for method in METHODS
        }
        return Used(cpu_seconds(self._process.id), Counter(requests))

    async def reconciled(self, syncs: int) -> None:
        """Wait until so many reconciles are done and none is waiting."""
        while True:
            await asyncio.sleep(0.05)
            with contextlib.suppress(OSError):
                now = await self._scraped()
                done = now.value("controller_runtime_reconcile_total")
                if done >= syncs and not now.value("workqueue_depth"):
                    return

    @property
    def cpu_seconds(self) -> float:
        """Return its CPU time since its start."""
        return cpu_seconds(self._process.id)

    def memory(self) -> tuple[float, float]:
        """Return the resident memory now and at its highest, in MiB."""
        return resident_mebibytes(self._process.id), peak_mebibytes(self._process.id)

    async def copies_up_to_date(self, number: int) -> None:
        """Wait until so many copies are up to date in every status, and nothing is waiting."""
        while True:
            await asyncio.sleep(0.1)
            with contextlib.suppress(OSError):
                now = await self._scraped()
                copies = now.value("configmapsync_copies", state="synced")
                if copies == number and not now.value("workqueue_depth"):
                    return

    async def writes(self) -> int:
        """Return the number of copies written since its start."""
        return int((await self._scraped()).value("configmapsync_writes_total", result="done"))

    @property
    def log(self) -> str:
        """Return its output."""
        return self._process.output()

    async def _scraped(self) -> Scrape:
        self._process.check_running()
        return await asyncio.to_thread(scrape, self._port)
