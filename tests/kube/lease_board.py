"""Stand-ins for an API server with one Lease, without sockets and in virtual time."""

import asyncio
import contextvars
import itertools
import json
import random
from collections import Counter
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from kube.client import MERGE_PATCH
from kube.errors import AlreadyExists, ApiError, Conflict, NotFound, Unreachable
from kube.leader_election import Elector, Timing
from kube.lease_record import LeaseRecord

COLLECTION = "/apis/coordination.k8s.io/v1/namespaces/system/leases"
PATH = f"{COLLECTION}/leader"
EPOCH = datetime(2026, 1, 1, tzinfo=UTC)

Document = dict[str, Any]
# The fate of a request: an error, no answer at all, or carried out with the answer lost.
Trouble = ApiError | Literal["hangs", "answer lost"] | None


def now() -> float:
    return asyncio.get_running_loop().time()


class Board:
    """The Lease and everything that ever happened to it."""

    def __init__(self) -> None:
        self.lease: Document | None = None
        self.history: list[
            tuple[float, str, Document]
        ] = []  # when, in which kind of event, what it was then
        self._version = 100
        self._changed = asyncio.Condition()
        self._serving: set[asyncio.Task[Document]] = set()

    async def serve(self, request: Coroutine[Any, Any, Document]) -> Document:
        """Carry out a request, even if its sender has stopped waiting."""
        serving = asyncio.create_task(request, context=contextvars.Context())
        self._serving.add(serving)
        serving.add_done_callback(self._served)
        await asyncio.wait({serving})
        return serving.result()

    def _served(self, serving: asyncio.Task[Document]) -> None:
        self._serving.discard(serving)
        if not serving.cancelled():
            serving.exception()  # the sender may have stopped waiting

    async def close(self) -> None:
        """Carry out nothing more."""
        for serving in self._serving:
            serving.cancel()
        await asyncio.gather(*self._serving, return_exceptions=True)

    @property
    def spec(self) -> Document:
        assert self.lease is not None
        spec: Document = self.lease["spec"]
        return spec

    @property
    def holder(self) -> str:
        return "" if self.lease is None else self.spec.get("holderIdentity", "")

    async def get(self) -> Document:
        if self.lease is None:
            raise NotFound("there is none")
        return self.lease

    async def post(self, document: Document) -> Document:
        if self.lease is not None:
            raise AlreadyExists("there is one")
        return await self._store("ADDED", document)

    async def patch(self, document: Document) -> Document:
        if self.lease is None:
            raise NotFound("there is none")
        if (
            document.get("metadata", {}).get("resourceVersion", self._version_now)
            != self._version_now
        ):
            raise Conflict("it is another version")
        merged = merge(self.lease, document)
        return self.lease if merged == self.lease else await self._store("MODIFIED", merged)

    async def delete(self) -> None:
        assert self.lease is not None
        gone, self.lease = self.lease, None
        self._version += 1
        await self._tell(
            "DELETED", merge(gone, {"metadata": {"resourceVersion": str(self._version)}})
        )

    async def events_after(self, version: int) -> AsyncIterator[bytes]:
        told = 0
        while True:
            async with self._changed:
                await self._changed.wait_for(lambda: len(self.history) > told)  # noqa: B023 - it is asked now
            for _, kind, lease in self.history[told:]:
                if int(lease["metadata"]["resourceVersion"]) > version:
                    yield json.dumps({"type": kind, "object": lease}).encode() + b"\n"
            told = len(self.history)

    @property
    def _version_now(self) -> str:
        assert self.lease is not None
        return str(self.lease["metadata"]["resourceVersion"])

    async def _store(self, kind: str, document: Document) -> Document:
        self._version += 1
        self.lease = merge(document, {"metadata": {"resourceVersion": str(self._version)}})
        await self._tell(kind, self.lease)
        return self.lease

    async def _tell(self, kind: str, lease: Document) -> None:
        self.history.append((now(), kind, lease))
        async with self._changed:
            self._changed.notify_all()


def merge(document: Document, patch: Document) -> Document:
    """RFC 7386."""
    merged = dict(document)
    for key, value in patch.items():
        if value is None:
            merged.pop(key, None)
        else:
            merged[key] = merge(merged.get(key, {}), value) if isinstance(value, dict) else value
    return merged


@dataclass
class Line:
    """Stands where a `Connection` is: from one candidate to the board."""

    board: Board
    trouble: Callable[[str], Trouble] = lambda _method: None
    delay: Callable[[], float] = lambda: 0.01  # seconds, each way
    answered: Callable[[], object] = lambda: None
    watches_end: bool = False
    asked: list[tuple[float, str]] = field(default_factory=list)

    async def request(
        self,
        method: str,
        path: str,
        *,
        body: bytes = b"{}",
        content_type: str = "application/json",
        timeout: float,  # noqa: ASYNC109 - as in Connection
        **_options: Any,
    ) -> bytes:
        assert path == (COLLECTION if method == "POST" else PATH)
        assert content_type == (MERGE_PATCH if method == "PATCH" else "application/json")
        self.asked.append((now(), method))
        try:
            async with asyncio.timeout(timeout):
                answer = json.dumps(await self._answer(method, json.loads(body))).encode()
                self.answered()
                return answer
        except TimeoutError as error:
            raise Unreachable("no answer in time") from error

    async def _answer(self, method: str, document: Document) -> Document:
        trouble = self.trouble(method)
        if trouble == "hangs":
            await asyncio.Event().wait()
        done = await self.board.serve(self._carry_out(method, document, trouble))
        await asyncio.sleep(self.delay())
        if trouble == "answer lost":
            raise Unreachable("broken off")
        return done

    async def _carry_out(self, method: str, document: Document, trouble: Trouble) -> Document:
        await asyncio.sleep(self.delay())
        if isinstance(trouble, ApiError):
            raise trouble
        if method == "GET":
            return await self.board.get()
        return await (self.board.post(document) if method == "POST" else self.board.patch(document))

    @asynccontextmanager
    async def stream(
        self,
        path: str,
        *,
        params: Mapping[str, str],
        idle_timeout: float,
        total_timeout: float,
        **_options: Any,
    ) -> AsyncIterator[AsyncIterator[bytes]]:
        assert path == COLLECTION
        assert (params["fieldSelector"], params["watch"]) == ("metadata.name=leader", "true")
        assert idle_timeout > 15
        assert total_timeout > 15
        self.asked.append((now(), "WATCH"))
        trouble = self.trouble("WATCH")
        if isinstance(trouble, ApiError):
            raise trouble
        yield self._events(int(params["resourceVersion"]), silent=trouble is not None)

    async def _events(self, version: int, *, silent: bool) -> AsyncIterator[bytes]:
        if silent:
            await asyncio.Event().wait()
        if self.watches_end:
            return
        async for event in self.board.events_after(version):
            await asyncio.sleep(self.delay())
            yield event

    def count(self) -> Counter[str]:
        return Counter(method for _, method in self.asked)


class Candidate:
    """An elector with its line and its clocks."""

    def __init__(
        self,
        board: Board,
        identity: str,
        timing: Timing | None = None,
        *,
        wall_clock: Callable[[], datetime] | None = None,
        seed: int = 1,
        tick: float = 0.0,
    ) -> None:
        """Prepare; each reading of the clock advances it by `tick` seconds."""
        ticks = itertools.count()
        self.line = Line(board)
        self.stopped_for = 0.0  # seconds that its own clock has gone on while nothing of it ran
        self.elector = Elector(
            LeaseRecord(self.line, "system", "leader"),  # type: ignore[arg-type]
            identity,
            timing or Timing(),
            now=lambda: now() + self.stopped_for + next(ticks) * tick,
            clock=wall_clock or (lambda: EPOCH + timedelta(seconds=now())),
            rng=random.Random(seed),  # noqa: S311 - jitter, not secrets
        )
        self.terms: list[float] = []  # when it began to lead
        self.done = asyncio.Event()  # its work is done: the block ends well
        self.task: asyncio.Task[None]  # of who has started it

    async def run(self) -> None:
        async with self.elector.leadership():
            self.terms.append(now())
            await self.done.wait()
