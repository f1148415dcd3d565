"""Run one unchanged reconciler on fake connections, and kill it at any await.

Several replicas share one event loop. Each task belongs to the replica whose task
created it, so that a kill ends the tasks of one replica only.
"""

import asyncio
import functools
import random
import weakref
from collections.abc import Coroutine
from contextvars import Context, ContextVar, copy_context
from datetime import datetime, timedelta
from typing import Any, cast

from prometheus_client import CollectorRegistry

from kube.connection import Connection
from kube.leader_election import Elector, LeaseLostError
from kube.lease_record import LeaseRecord
from reconciler.app import App
from reconciler.settings import ReconcilerSettings
from tests.randomized.cluster import InMemoryCluster
from tests.randomized.fake_connection import BeforeWrite, FakeConnection
from tests.randomized.fault_plan import FaultPlan
from tests.randomized.freezing import freezable

LEASE_NAMESPACE = "kube-system"

_owner: ContextVar["Replica"] = ContextVar("owner")


class Replica:
    """A reconciler that runs in the background of this event loop."""

    def __init__(
        self,
        cluster: InMemoryCluster,
        faults: FaultPlan,
        before_write: BeforeWrite,
        identity: str | None = None,
        skew_seconds: float = 0.0,
    ) -> None:
        """Start the reconciler.

        Args:
            cluster: answers its requests.
            faults: the faults to inject.
            before_write: called with method, path and body before a write of an object; its
                result is called after the write.
            identity: of this candidate for the Lease; None if it is the only replica.
            skew_seconds: by which its time of day is ahead.
        """
        self.identity = identity
        self.ended = asyncio.Event()
        self.awake = asyncio.Event()
        self.awake.set()
        self._skew = timedelta(seconds=skew_seconds)
        self.tasks: weakref.WeakSet[asyncio.Task[Any]] = weakref.WeakSet()
        self._cluster = cluster
        self._faults = faults
        self._lease_connections: list[FakeConnection] = []
        self._elector = self._candidate(identity) if identity is not None else None
        fence = self._elector.check if self._elector else None
        self.connection = FakeConnection(
            cluster, faults, before_write, killed=self.ended, fence=fence
        )
        self._stop = asyncio.Event()
        context = copy_context()
        context.run(_owner.set, self)
        self._running = asyncio.create_task(self._run(elects=identity is not None), context=context)
        self._running.add_done_callback(lambda _: self.ended.set(), context=Context())

    @property
    def problem(self) -> str | None:
        """Return why the reconciler ended by itself; None while it runs or if it lost the Lease."""
        if not self._running.done() or self._running.cancelled():
            return None
        error = self._running.exception()
        return f"the reconciler ended: {error!r}" if error is not None else None

    @property
    def leads(self) -> bool:
        """Return whether this replica holds the Lease, or is the only one."""
        return self._elector is None or self._elector.leading

    def freeze(self) -> None:
        """Let no task continue until `wake`, as SIGSTOP does; its clocks run on."""
        self.awake.clear()

    def wake(self) -> None:
        """Let the tasks continue."""
        self.awake.set()

    def cut_off(self, unreachable: bool) -> None:
        """Disconnect the replica from the API server, or connect it again."""
        for connection in (self.connection, *self._lease_connections):
            connection.unreachable = unreachable
            if unreachable:
                connection.cut_watches()

    async def stop(self) -> None:
        """Stop as on SIGTERM: finish writes in flight and release the Lease."""
        self._stop.set()
        await asyncio.wait({self._running})
        await self.kill()

    async def kill(self) -> None:
        """Cancel every task at once, as a power failure does; no later request is carried out."""
        self.ended.set()
        self.awake.set()
        victims = [task for task in self.tasks if not task.done()]
        for victim in victims:
            victim.cancel()
        await asyncio.gather(*victims, return_exceptions=True)

    async def _run(self, *, elects: bool) -> None:
        rng = random.Random(1)  # noqa: S311 - jitter
        app = App(
            _settings(elects),
            cast("Connection", self.connection),
            self._elector,
            CollectorRegistry(),
            self._now,
            rng,
        )
        try:
            await app.run(self._stop)
        except* LeaseLostError:
            pass  # the process ends, and the kubelet starts it again

    def _now(self) -> datetime:
        return self._cluster.now() + self._skew

    def _candidate(self, identity: str) -> Elector:
        """Return the elector; like in the product, it has a connection of its own."""
        connection = FakeConnection(self._cluster, self._faults, _unchecked, killed=self.ended)
        self._lease_connections.append(connection)
        settings = _settings(elects=True)
        record = LeaseRecord(
            connection,
            LEASE_NAMESPACE,
            settings.leader_election_name,
        )
        return Elector(
            record,
            identity,
            settings.lease_timing(),
            now=asyncio.get_running_loop().time,
            clock=self._now,
            rng=random.Random(identity),  # noqa: S311 - jitter
        )


def owned_task(
    loop: asyncio.AbstractEventLoop, coroutine: Coroutine[Any, Any, Any], **options: Any
) -> asyncio.Task[Any]:
    """Create a task of the replica whose task creates it; the task factory of a simulation."""
    context: Context | None = options.get("context")
    owner = context.get(_owner) if context is not None else _owner.get(None)
    if owner is None:
        return asyncio.Task(coroutine, loop=loop, **options)
    if owner.identity is None:  # the only replica is never frozen
        task = asyncio.Task(coroutine, loop=loop, **options)
    else:
        task = asyncio.Task(_run(coroutine, owner.awake), loop=loop, **options)
        # A task that is cancelled before it begins has not begun the coroutine.
        task.add_done_callback(lambda _: coroutine.close())
    owner.tasks.add(task)
    return task


async def _run(coroutine: Coroutine[Any, Any, Any], awake: asyncio.Event) -> Any:
    return await freezable(coroutine, awake.is_set, awake.wait)


def current_replica() -> Replica | None:
    """Return the replica of the current task; None for a request that outlives its replica."""
    return _owner.get(None)


def _unchecked(_method: str, _path: str, _body: bytes | None) -> Any:
    return lambda: None


@functools.cache
def _settings(elects: bool) -> ReconcilerSettings:
    return ReconcilerSettings(
        health_address="127.0.0.1:0",
        leader_elect=elects,
        leader_election_namespace=LEASE_NAMESPACE,
    )
