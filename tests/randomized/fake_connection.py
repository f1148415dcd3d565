"""Stands where the reconciler's connection to the API server stands, and decides what goes wrong there.

It has the methods of `kube.connection.Connection`, raises the same errors, and asks the cluster in this process. Every request takes a
little while before and after it is carried out, by chance, so that everything that can overtake something does so in some history. A
door that was slammed lets nothing through any more, like the connections of a process that was killed.
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

PACES = (0.0, 0.0, 0.001, 0.004, 0.02)  # seconds that one way of a request may take
LATE = 45.0  # seconds; later than any write is waited for


class FaultKind(StrEnum):
    """What may happen to one request."""

    CONFLICT = "it is answered 409"
    TOO_MANY = "it is answered 429, with a time to wait"
    SERVER_ERROR = "it is answered 500"
    LOST_REQUEST = "it is not carried out, and nothing is answered"
    LOST_ANSWER = "it is carried out, and nothing is answered"
    LATE = "nothing is answered, and it is carried out when nobody waits any more"
    KILLED_BEFORE = "the reconciler is killed, and it is not carried out"
    KILLED_AFTER = "it is carried out, and the reconciler is killed before the answer comes"


REFUSALS = {FaultKind.CONFLICT: 409, FaultKind.TOO_MANY: 429, FaultKind.SERVER_ERROR: 500}
FATAL = {FaultKind.KILLED_BEFORE, FaultKind.KILLED_AFTER}
WRITES = {"POST", "PUT", "PATCH", "DELETE"}


@dataclass(slots=True)
class Fault:
    """A mishap that waits for its request: the one after `skip` others; only for writes, or for whatever comes."""

    mishap: FaultKind
    skip: int
    only_writes: bool

    def strikes(self, method: str) -> bool:
        """Whether this request is the one."""
        if self.only_writes and method not in WRITES:
            return False
        self.skip -= 1
        return self.skip < 0


@dataclass(slots=True)
class FaultState:
    """All that goes wrong between reconciler and API server; it outlives the reconciler.

    Attributes:
        rng: for how long requests take.
        coming: what will go wrong.
        lag: seconds by which the watch of that name is late: `copies`, `configmaps`, `namespaces`, `configmapsyncs`.
        late: requests that are still on their way, though nobody waits for them.
    """

    rng: random.Random
    coming: list[Fault] = field(default_factory=list)
    lag: defaultdict[str, float] = field(default_factory=lambda: defaultdict(float))
    late: set[asyncio.Task[None]] = field(default_factory=set)

    def clear(self) -> None:
        """From now on everything goes well."""
        self.coming.clear()
        self.lag.clear()


Before = Callable[[str, str, bytes | None], Callable[[], None]]


class FakeConnection:
    """The way of one reconciler process to the cluster."""

    def __init__(self, cluster: InMemoryCluster, weather: FaultState, look: Before) -> None:
        """Open it.

        Args:
            cluster: what is behind it.
            weather: what goes wrong.
            look: is called with method, path and body before a write is carried out, and what it returns after it was.
        """
        self._cluster = cluster
        self._weather = weather
        self._look = look
        self._streams: dict[
            asyncio.Queue[bytes | ApiError | None], None
        ] = {}  # in the order in which they were opened
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
        match self._mishap(method):
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
                self._weather.late.add(asyncio.create_task(_late(carry_out)))
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
        if (refusal := self._mishap("GET")) in REFUSALS and refusal is not None:
            raise _refused(refusal)
        lines: asyncio.Queue[bytes | ApiError | None] = asyncio.Queue()
        watch = self._cluster.watch(path, params, accept)
        pump = asyncio.create_task(_pump(watch.chunks(), lines))
        self._streams[lines] = None
        try:
            async with (
                asyncio.timeout(total_timeout) as limit,
                aclosing(self._lines(_name_of(path, params), lines, idle_timeout)) as told,
            ):
                yield told
        except TimeoutError as error:
            if not limit.expired():
                raise
            raise Unreachable(f"GET {path}: no answer in time") from error
        finally:
            self._streams.pop(lines, None)
            pump.cancel()
            watch.close()

    def cut_watches(self) -> None:
        """Break every watch off; what was on its way is lost."""
        for lines in self._streams:
            while not lines.empty():
                lines.get_nowait()
            lines.put_nowait(Unreachable("the answer broke off"))

    def slam(self) -> None:
        """Let nothing through any more: the process that stood before it is gone."""
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
            if lag := self._weather.lag[name] + self._weather.rng.choice(PACES):
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
        happened = self._look(method, path, body) if writes else None
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
        if happened is not None:
            self.writes += 1
            happened()
        return answer

    async def _pass(self) -> None:
        """One way through the door takes a while; nobody gets through a slammed one."""
        if pace := self._weather.rng.choice(PACES):
            await asyncio.sleep(pace)
        if self.killed.is_set():
            await self._never()

    async def _kill(self) -> None:
        self.killed.set()
        await self._never()

    async def _never(self) -> None:
        await asyncio.Event().wait()

    def _mishap(self, method: str) -> FaultKind | None:
        for misfortune in self._weather.coming:
            if misfortune.strikes(method):
                self._weather.coming.remove(misfortune)
                return misfortune.mishap
        return None


async def _late(carry_out: Callable[[], Awaitable[bytes]]) -> None:
    await asyncio.sleep(LATE)
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
    """What a watch is called: our own copies have one beside that of all ConfigMaps."""
    return "copies" if "labelSelector" in params else path.rpartition("/")[2]


def _refused(mishap: FaultKind) -> ApiError:
    code = REFUSALS[mishap]
    headers = {"Retry-After": "2"} if mishap is FaultKind.TOO_MANY else {}
    return from_response(code, b'{"kind":"Status","message":"a mishap"}', headers)
