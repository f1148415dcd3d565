"""Replace the reconciler's connection to the API server and inject faults.

It has the methods of `kube.connection.Connection`, raises the same errors, and calls
the cluster in this process. Each request waits a random time before and after it is
carried out, so that requests overtake each other. A closed connection blocks every
request, like the connections of a killed process.
"""

import asyncio
import random
from collections import defaultdict
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping
from contextlib import aclosing, asynccontextmanager, suppress
from dataclasses import dataclass, field
from enum import StrEnum

import msgspec

from devcluster.errors import ApiStatus
from kube.client import JSON
from kube.errors import AnswerTooLarge, ApiError, Silent, Unreachable, from_response
from tests.randomized.cluster import InMemoryCluster

# The delay of a request before it is carried out, and of its answer.
LATENCIES_SECONDS = (0.0, 0.0, 0.001, 0.004, 0.02)
LATE_SECONDS = 45.0  # longer than the reconciler waits for any write


class FaultKind(StrEnum):
    """The faults that a request may meet."""

    CONFLICT = "it is answered 409"
    TOO_MANY = "it is answered 429, with a time to wait"
    SERVER_ERROR = "it is answered 500"
    LOST_REQUEST = "it is not carried out, and nothing is answered"
    LOST_ANSWER = "it is carried out, and nothing is answered"
    LATE = "it is carried out after the timeout, and nothing is answered"
    KILLED_BEFORE = "the reconciler is killed, and it is not carried out"
    KILLED_AFTER = "it is carried out, and the reconciler is killed before the answer comes"


REFUSALS = {FaultKind.CONFLICT: 409, FaultKind.TOO_MANY: 429, FaultKind.SERVER_ERROR: 500}
FATAL = {FaultKind.KILLED_BEFORE, FaultKind.KILLED_AFTER}
WRITES = {"POST", "PUT", "PATCH", "DELETE"}


@dataclass(slots=True)
class Fault:
    """A pending fault: it hits the request after `skip` others, optionally only a write."""

    kind: FaultKind
    skip: int
    only_writes: bool

    def strikes(self, method: str) -> bool:
        """Return whether this request meets the fault."""
        if self.only_writes and method not in WRITES:
            return False
        self.skip -= 1
        return self.skip < 0


@dataclass(slots=True)
class FaultPlan:
    """The pending faults between reconciler and API server; it outlives the reconciler.

    Attributes:
        rng: for the delays of requests.
        pending: faults that have not hit a request yet.
        lag: seconds of delay by watch: `copies`, `configmaps`, `namespaces`, `configmapsyncs`.
        late: requests that are still to be carried out after their timeout.
    """

    rng: random.Random
    pending: list[Fault] = field(default_factory=list)
    lag: defaultdict[str, float] = field(default_factory=lambda: defaultdict(float))
    late: set[asyncio.Task[None]] = field(default_factory=set)

    def clear(self) -> None:
        """Remove all pending faults and delays."""
        self.pending.clear()
        self.lag.clear()


BeforeWrite = Callable[[str, str, bytes | None], Callable[[], None]]


class FakeConnection:
    """The connection of one reconciler process to the cluster."""

    def __init__(
        self, cluster: InMemoryCluster, faults: FaultPlan, before_write: BeforeWrite
    ) -> None:
        """Open the connection.

        Args:
            cluster: answers the requests.
            faults: the faults to inject.
            before_write: called with method, path and body before a write; its result is called
                after the write.
        """
        self._cluster = cluster
        self._faults = faults
        self._before_write = before_write
        # In the order in which they were opened.
        self._streams: dict[asyncio.Queue[bytes | ApiError | None], None] = {}
        self.writes = 0
        self.killed = asyncio.Event()

    async def request(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        body: bytes | None = None,
        content_type: str = "application/json",
        accept: str = JSON,
        timeout: float = 30.0,  # noqa: ASYNC109 - as the connection has it
        max_bytes: int = 20 << 20,
    ) -> bytes:
        """Send one request, as `Connection.request` does."""

        async def carry_out() -> bytes:
            return await self._carry_out(method, path, params, body, content_type, accept)

        await self._pass()
        match self._next_fault(method):
            case FaultKind.KILLED_BEFORE:
                await self._kill()
            case FaultKind.KILLED_AFTER:
                await carry_out()
                await self._kill()
            case FaultKind.LOST_REQUEST:
                await asyncio.sleep(timeout)
                raise Unreachable(f"{method} {path}: no answer in time")
            case FaultKind.LOST_ANSWER:
                await carry_out()
                raise Unreachable(f"{method} {path}: the answer broke off")
            case FaultKind.LATE:
                self._faults.late.add(asyncio.create_task(_late(carry_out)))
                await asyncio.sleep(timeout)
                raise Unreachable(f"{method} {path}: no answer in time")
            case FaultKind() as refusal:
                raise _refused(refusal)
        answer = await carry_out()
        await self._pass()
        if len(answer) > max_bytes:
            raise AnswerTooLarge(f"{method} {path}: the answer has more than {max_bytes} bytes")
        return answer

    @asynccontextmanager
    async def stream(
        self,
        path: str,
        *,
        params: Mapping[str, str],
        accept: str = JSON,
        idle_timeout: float,
        total_timeout: float,
    ) -> AsyncIterator[AsyncIterator[bytes]]:
        """Open a watch, as `Connection.stream` does."""
        await self._pass()
        if (refusal := self._next_fault("GET")) in REFUSALS and refusal is not None:
            raise _refused(refusal)
        lines: asyncio.Queue[bytes | ApiError | None] = asyncio.Queue()
        watch = self._cluster.watch(path, params, accept)
        pump = asyncio.create_task(_pump(watch.chunks(), lines))
        self._streams[lines] = None
        try:
            async with (
                asyncio.timeout(total_timeout) as limit,
                aclosing(self._lines(_name_of(path, params), lines, idle_timeout)) as events,
            ):
                yield events
        except TimeoutError as error:
            if not limit.expired():
                raise
            raise Unreachable(f"GET {path}: no answer in time") from error
        finally:
            self._streams.pop(lines, None)
            pump.cancel()
            watch.close()

    def cut_watches(self) -> None:
        """Break every watch; events on the way are lost."""
        for lines in self._streams:
            while not lines.empty():
                lines.get_nowait()
            lines.put_nowait(Unreachable("the answer broke off"))

    def close(self) -> None:
        """Block every further request, because the process is gone."""
        self.killed.set()

    async def _lines(
        self, name: str, lines: asyncio.Queue[bytes | ApiError | None], idle_timeout: float
    ) -> AsyncGenerator[bytes, None]:
        while True:
            try:
                async with asyncio.timeout(idle_timeout):
                    line = await lines.get()
            except TimeoutError as error:
                raise Silent(f"the watch of {name}: nothing came for too long") from error
            if line is None:
                return
            if lag := self._faults.lag[name] + self._faults.rng.choice(LATENCIES_SECONDS):
                await asyncio.sleep(lag)
            if isinstance(line, ApiError):
                raise line
            yield line

    async def _carry_out(
        self,
        method: str,
        path: str,
        params: Mapping[str, str] | None,
        body: bytes | None,
        content_type: str,
        accept: str,
    ) -> bytes:
        writes = method in WRITES and "dryRun" not in (params or {})
        after_write = self._before_write(method, path, body) if writes else None
        try:
            answer = await self._cluster.call(
                method,
                path,
                params=params,
                body=body or b"",
                content_type=content_type,
                accept=accept,
                agent="reconciler",
            )
        except ApiStatus as status:
            seconds = (status.details or {}).get("retryAfterSeconds")
            headers = {"Retry-After": str(seconds)} if seconds is not None else {}
            raise from_response(
                status.code, msgspec.json.encode(status.as_document()), headers
            ) from status
        if after_write is not None:
            self.writes += 1
            after_write()
        return answer

    async def _pass(self) -> None:
        """Wait for a random delay; on a closed connection, wait forever."""
        if latency := self._faults.rng.choice(LATENCIES_SECONDS):
            await asyncio.sleep(latency)
        if self.killed.is_set():
            await self._never()

    async def _kill(self) -> None:
        self.killed.set()
        await self._never()

    async def _never(self) -> None:
        await asyncio.Event().wait()

    def _next_fault(self, method: str) -> FaultKind | None:
        for fault in self._faults.pending:
            if fault.strikes(method):
                self._faults.pending.remove(fault)
                return fault.kind
        return None


async def _late(carry_out: Callable[[], Awaitable[bytes]]) -> None:
    await asyncio.sleep(LATE_SECONDS)
    with suppress(ApiError):
        await carry_out()


async def _pump(
    chunks: AsyncIterator[bytes], lines: asyncio.Queue[bytes | ApiError | None]
) -> None:
    async for chunk in chunks:
        for line in chunk.splitlines(keepends=True):
            lines.put_nowait(line)
    lines.put_nowait(None)


def _name_of(path: str, params: Mapping[str, str]) -> str:
    """Return the name of a watch: the operator's copies have one beside that of all ConfigMaps."""
    return "copies" if "labelSelector" in params else path.rpartition("/")[2]


def _refused(kind: FaultKind) -> ApiError:
    code = REFUSALS[kind]
    headers = {"Retry-After": "2"} if kind is FaultKind.TOO_MANY else {}
    return from_response(code, b'{"kind":"Status","message":"injected fault"}', headers)
