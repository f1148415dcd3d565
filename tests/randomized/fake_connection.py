"""Replace the reconciler's connection to the API server and inject faults.

It has the methods of `kube.connection.Connection`, raises the same errors, and calls
the cluster in this process. Each request waits a random time before and after it is
carried out, so that requests overtake each other. A closed connection blocks every
request, like the connections of a killed process.
"""

import asyncio
import contextvars
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping
from contextlib import aclosing, asynccontextmanager, suppress

import msgspec

from devcluster.errors import ApiStatus
from kube.client import JSON
from kube.errors import AnswerTooLarge, ApiError, Silent, Unreachable, from_response
from tests.randomized.cluster import InMemoryCluster
from tests.randomized.fault_plan import (
    LATE_SECONDS,
    LATENCIES_SECONDS,
    REFUSALS,
    FaultKind,
    FaultPlan,
    Request,
)

SLOW_SECONDS = 3.0  # the applier waits two seconds for its writes
CONNECT_SECONDS = 5.0
DENIAL = 'admission webhook "policy.example.com" denied the request: injected fault'
INJECTED = {"injected": "by a webhook"}
EXPIRED = {"kind": "Status", "code": 410, "reason": "Expired", "message": "too old version"}

BeforeWrite = Callable[[str, str, bytes | None], Callable[[], None]]


class FakeConnection:
    """A connection of one reconciler process to the cluster."""

    def __init__(
        self,
        cluster: InMemoryCluster,
        faults: FaultPlan,
        before_write: BeforeWrite,
        *,
        killed: asyncio.Event,
        fence: Callable[[], None] | None = None,
    ) -> None:
        """Open the connection.

        Args:
            cluster: answers the requests.
            faults: the faults to inject.
            before_write: called with method, path and body before a write; its result is called
                after the write.
            killed: set when the process dies; no request is carried out from then on.
            fence: called before each write is sent, as `kube.connection` does.
        """
        self._cluster = cluster
        self._faults = faults
        self._before_write = before_write
        self._killed = killed
        self._fence = fence
        # In the order in which they were opened.
        self._streams: dict[asyncio.Queue[bytes | ApiError | None], str] = {}
        self.writes = 0
        self.unreachable = False

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
        request = Request(method, path, params or {}, timeout, accept)

        async def carry_out(changed: bytes | None = body) -> bytes:
            return await self._carry_out(request, body, changed, content_type, accept)

        await self._pass()
        if self._fence is not None and request.writes:
            self._fence()
        answer = await self._meet(self._faults.next_fault(request), request, carry_out, body)
        await self._pass()
        if len(answer) > max_bytes:
            raise AnswerTooLarge(f"{method} {path}: the answer has more than {max_bytes} bytes")
        return answer

    async def _meet(
        self,
        fault: FaultKind | None,
        request: Request,
        carry_out: Callable[..., Awaitable[bytes]],
        body: bytes | None,
    ) -> bytes:
        """Carry out a request as far as its fault lets it; return the answer."""
        what = f"{request.method} {request.path}"
        match fault:
            case None:
                return await carry_out()
            case FaultKind.MUTATED if request.stores_content:
                return await carry_out(_mutated(body))
            case FaultKind.MUTATED:
                return await carry_out()
            case FaultKind.SLOW:
                answer = await carry_out()
                await asyncio.sleep(SLOW_SECONDS)
                return answer
            case FaultKind.KILLED_BEFORE:
                await self._kill()
            case FaultKind.KILLED_AFTER:
                with suppress(ApiError):
                    await carry_out()
                await self._kill()
            case FaultKind.LOST_ANSWER:
                await carry_out()
                raise Unreachable(f"{what}: the answer broke off")
            case FaultKind.UNANSWERED:
                await carry_out()
            case FaultKind.LATE:
                late = asyncio.create_task(_late(carry_out), context=contextvars.Context())
                self._faults.late.add(late)
            case FaultKind.LOST_REQUEST:
                pass
            case refusal:
                raise _refused(refusal)
        await asyncio.sleep(request.timeout)
        raise Unreachable(f"{what}: no answer in time")

    @asynccontextmanager
    async def stream(
        self,
        path: str,
        *,
        params: Mapping[str, str],
        accept: str = JSON,
        idle_timeout: float,
        total_timeout: float,
        may_rest: object = None,  # noqa: ARG002 - lines always come at once
    ) -> AsyncIterator[AsyncIterator[bytes]]:
        """Open a watch, as `Connection.stream` does."""
        await self._pass()
        await self._meet_opening(Request("WATCH", path, params, CONNECT_SECONDS))
        lines: asyncio.Queue[bytes | ApiError | None] = asyncio.Queue()
        watch = self._cluster.watch(path, params, accept)
        pump = asyncio.create_task(_pump(watch.chunks(), lines))
        name = self._streams[lines] = _name_of(path, params)
        try:
            async with (
                asyncio.timeout(total_timeout) as limit,
                aclosing(self._lines(name, lines, idle_timeout)) as events,
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

    async def _meet_opening(self, request: Request) -> None:
        """Let the opening of a watch meet its fault."""
        match self._faults.next_fault(request):
            case FaultKind.KILLED_BEFORE | FaultKind.KILLED_AFTER:
                await self._kill()
            case FaultKind.LOST_ANSWER:
                raise Unreachable(f"GET {request.path}: the answer broke off")
            case FaultKind.LOST_REQUEST | FaultKind.UNANSWERED | FaultKind.LATE:
                await asyncio.sleep(request.timeout)
                raise Unreachable(f"GET {request.path}: no answer in time")
            case FaultKind.SLOW:
                await asyncio.sleep(SLOW_SECONDS)
            case None | FaultKind.MUTATED:
                pass
            case refusal:
                raise _refused(refusal)

    def cut_watches(self, name: str | None = None) -> None:
        """Break every watch, or those of one name; events on the way are lost."""
        self._end_watches(name, Unreachable("the answer broke off"))

    def expire_watches(self, name: str | None = None) -> None:
        """End watches with "expired", so that the client lists again; events are lost."""
        status = msgspec.json.encode({"type": "ERROR", "object": EXPIRED})
        self._end_watches(name, status + b"\n")

    def _end_watches(self, name: str | None, last: bytes | ApiError) -> None:
        for lines, of in self._streams.items():
            if name in {None, of}:
                while not lines.empty():
                    lines.get_nowait()
                lines.put_nowait(last)

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
            if name not in self._faults.deaf or line.startswith(b'{"type":"ERROR"'):
                yield line

    async def _carry_out(
        self,
        request: Request,
        sent: bytes | None,
        changed: bytes | None,
        content_type: str,
        accept: str,
    ) -> bytes:
        """Carry out a request; `changed` is what admission webhooks made of the body `sent`."""
        old = self._faults.answer_from_the_past(request)
        if old is not None:
            return old
        after_write = (
            self._before_write(request.method, request.path, sent) if request.stores else None
        )
        try:
            answer = await self._cluster.call(
                request.method,
                request.path,
                params=request.params,
                body=changed or b"",
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
        if self._killed.is_set():
            await self._never()
        if self.unreachable:
            await asyncio.sleep(CONNECT_SECONDS)
            raise Unreachable("cannot connect")

    async def _kill(self) -> None:
        self._killed.set()
        await self._never()

    async def _never(self) -> None:
        await asyncio.Event().wait()


async def _late(carry_out: Callable[..., Awaitable[bytes]]) -> None:
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
    selector = params.get("labelSelector", "!=")
    return path.rpartition("/")[2] if "!=" in selector else "copies"


def _refused(kind: FaultKind) -> ApiError:
    headers = {"Retry-After": "2"} if kind is FaultKind.TOO_MANY else {}
    message = DENIAL if kind is FaultKind.DENIED else "injected fault"
    body = msgspec.json.encode({"kind": "Status", "message": message})
    return from_response(REFUSALS[kind], body, headers)


def _mutated(body: bytes | None) -> bytes:
    """Return a ConfigMap with a key that an admission webhook added."""
    document = msgspec.json.decode(body or b"{}")
    return msgspec.json.encode({**document, "data": {**document.get("data", {}), **INJECTED}})
