"""Simulate a cluster and a reconciler in virtual time, as the base of the rules.

Each simulation has its own event loop with virtual time (looptime). Nothing runs while
no rule lets time pass. The delays of requests (`fake_connection.py`) decide how far the
reconciler gets meanwhile.
"""

import asyncio
import itertools
import logging
import random
import traceback
from collections.abc import Coroutine, Mapping, MutableMapping
from contextlib import ExitStack
from typing import Any, ClassVar, TypeVar
from unittest import mock

import looptime
import structlog

from devcluster.errors import ApiStatus
from devcluster.storage.registry import Registry
from tests.randomized.cluster import CONFIGMAPS, NAMESPACES, SYNCS, InMemoryCluster, encoded
from tests.randomized.expected import Document, ExpectedState, Key
from tests.randomized.fault_plan import FaultPlan
from tests.randomized.replica import Replica, owned_task
from tests.randomized.spinning import stop_spinning
from tests.randomized.write_checks import WriteChecker

NAMESPACE_LABELS = {
    "home": {},
    "web": {"tier": "front"},
    "team-a": {"tier": "front", "team": "a"},
    "team-b": {"team": "b"},
    "kube-system": {},
}
# Before each action of a user; a rule can let more time pass.
PAUSES_SECONDS = (
    0.0,
    0.0,
    0.003,
    0.03,
    0.4,
    3.0,
)
SOON_SECONDS = 5.0
# Between checks for convergence: longer than any backoff, contention window or grace period.
CHECK_INTERVALS_SECONDS = (
    5.0,
    60.0,
    640.0,
    640.0,
    640.0,
    640.0,
)
QUIET_SECONDS = 3600.0  # no write may happen in this time at the end
YEAR_SECONDS = 365 * 24 * 3600.0

Result = TypeVar("Result")


class Simulation:
    """One run from its beginning to its end.

    Attributes:
        replicas: how many reconcilers run; with more than one they elect a leader.
    """

    replicas: ClassVar[int] = 1

    def __init__(self) -> None:
        super().__init__()
        self._errors: list[str] = []
        self._former_logs = structlog.get_config()
        structlog.configure(
            processors=[self._collect_log_error],
            wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR),
            cache_logger_on_first_use=False,
        )
        self._patches = _without_work_for_the_process()
        self.quiet = QUIET_SECONDS
        self.held: set[Key] = set()
        self._loop = looptime.new_event_loop(noop_cycles=0)
        self._loop.set_exception_handler(self._collect_loop_error)
        self._loop.set_task_factory(owned_task)
        stop_spinning(self._loop)
        self.cluster = InMemoryCluster(self._loop.time)
        self.write_checker = WriteChecker(self.cluster)
        self.expected = ExpectedState(self.cluster)
        self.faults = self._fault_plan()
        self._numbers = itertools.count()
        self._run(self.cluster.begin(NAMESPACE_LABELS))
        self._replicas = [self._run(self._start()) for _ in range(self.replicas)]

    def teardown(self) -> None:
        """Wait for convergence, check the result, and check that the reconciler stays quiet."""
        try:
            self._check_end()
        finally:
            self._close()

    def pass_time(self, seconds: float) -> None:
        """Let the reconciler work for a time; a killed one is replaced at once."""
        self._run(self._advance(seconds))

    def check(self) -> None:
        """Check what must never be wrong."""
        problems = [replica.problem for replica in self._replicas if replica.problem]
        wrong = [*self.write_checker.violations, *self._errors, *problems]
        assert not wrong, "\n".join(wrong)

    def put(self, kind: tuple[str, str], document: Document) -> bool:
        """Create or replace an object as a user does; return whether the API server accepted it."""
        namespace, name = document["metadata"].get("namespace", ""), document["metadata"]["name"]
        if self.cluster.find(kind, namespace, name) is None:
            return self._request("POST", _path(kind, namespace), document)
        return self._request("PUT", _path(kind, namespace, name), document)

    def patch(self, kind: tuple[str, str], key: Key, change: Mapping[str, Any]) -> bool:
        """Merge a change into an object."""
        return self._request("PATCH", _path(kind, *key), change, "application/merge-patch+json")

    def remove(self, kind: tuple[str, str], key: Key) -> bool:
        """Delete an object."""
        return self._request("DELETE", _path(kind, *key), None)

    def kill(self) -> None:
        """Kill the reconciler that leads at its current await, and start the next one."""
        self._run(self._restart(self._leader()))

    def stop(self) -> None:
        """Stop the reconciler that leads, as on SIGTERM, and start the next one."""
        self._run(self._stop_leader())

    def cut_watches(self, name: str | None = None) -> None:
        """Break every watch, or those of one name."""
        for replica in self._replicas:
            replica.connection.cut_watches(name)

    def expire_watches(self, name: str | None = None) -> None:
        """End every watch, or those of one name, so that the reconciler lists again."""
        for replica in self._replicas:
            replica.connection.expire_watches(name)

    def _close(self) -> None:
        """Kill every replica and close the event loop."""
        self._run(self._end())
        self._loop.close()
        self._patches.close()
        structlog.configure(**self._former_logs)

    def _check_end(self) -> None:
        self.check()
        self.faults.clear()
        for key in self.held:
            self.patch(CONFIGMAPS, key, {"metadata": {"finalizers": None}})
        problems = self._run(self._converge())
        self.check()
        assert not problems, "\n".join(problems)
        before = self._writes()
        self.pass_time(self.quiet)
        self.check()
        assert self._writes() == before, "a write happened after convergence"

    async def _converge(self) -> list[str]:
        """Let time pass until the run has converged and no write happens any more.

        Returns:
            The problems that are left after the longest allowed time.
        """
        problems: list[str] = []
        await asyncio.gather(*self.faults.late)
        for seconds in CHECK_INTERVALS_SECONDS:
            written = self._writes()
            await self.cluster.end_namespaces()
            await self._advance(seconds)
            problems = list(self.expected.problems())
            if not problems and seconds > SOON_SECONDS and self._writes() == written:
                break
        return problems

    def _pause(self) -> float:
        """Return the seconds before an action of a user."""
        return self.faults.rng.choice(PAUSES_SECONDS)

    def _fault_plan(self) -> FaultPlan:
        return FaultPlan(random.Random(0))  # noqa: S311 - delays of requests

    def _writes(self) -> int:
        """Return how many writes the running reconcilers made."""
        return sum(replica.connection.writes for replica in self._replicas)

    def _leader(self) -> Replica:
        return next((each for each in self._replicas if each.leads), self._replicas[0])

    async def _start(self) -> Replica:
        number = next(self._numbers)
        identity = f"replica-{number}" if self.replicas > 1 else None
        return Replica(self.cluster, self.faults, self.write_checker.before_write, identity)

    async def _restart(self, replica: Replica) -> None:
        """Kill a replica and start another one in its place."""
        await replica.kill()
        self._replicas[self._replicas.index(replica)] = await self._start()

    async def _stop_leader(self) -> None:
        """Stop the replica that leads, as on SIGTERM, and start another one in its place."""
        leader = self._leader()
        await leader.stop()
        self._replicas[self._replicas.index(leader)] = await self._start()

    async def _end(self) -> None:
        for replica in self._replicas:
            await replica.kill()
        await asyncio.gather(*self.faults.late)

    async def _advance(self, seconds: float) -> None:
        """Let time pass; each replica that ends is replaced at once."""
        end = self._loop.time() + seconds
        while (left := end - self._loop.time()) > 0:
            ends = {asyncio.create_task(each.ended.wait()): each for each in self._replicas}
            done, pending = await asyncio.wait(
                ends, timeout=left, return_when=asyncio.FIRST_COMPLETED
            )
            for waiting in pending:
                waiting.cancel()
            if not done:
                return  # time has passed; virtual time may end a moment early, by its resolution
            for waited in done:
                if ends[waited].problem is None:
                    await self._restart(ends[waited])
            self.check()

    def _request(
        self,
        method: str,
        path: str,
        document: Document | None,
        content_type: str = "application/json",
    ) -> bool:
        self.pass_time(self._pause())
        body = encoded(document) if document is not None else b""
        try:
            self._run(self.cluster.call(method, path, body=body, content_type=content_type))
        except ApiStatus:
            return False
        return True

    def _run(self, coroutine: Coroutine[Any, Any, Result]) -> Result:
        return self._loop.run_until_complete(coroutine)

    def _collect_loop_error(
        self, _loop: asyncio.AbstractEventLoop, context: dict[str, Any]
    ) -> None:
        """Collect unhandled errors of tasks; a killed process leaves many cancelled ones."""
        if not isinstance(context.get("exception"), asyncio.CancelledError | type(None)):
            self._errors.append(str(context))

    def _collect_log_error(
        self, _logger: Any, _method: str, event: MutableMapping[str, Any]
    ) -> str:
        """Collect errors in the log, because the reconciler survives its own defects."""
        self._errors.append(f"{event}\n{traceback.format_exc()}")
        raise structlog.DropEvent


def _without_work_for_the_process() -> ExitStack:
    """Leave out what the reconciler does for its process, which here is that of the tests.

    It measures the lag of the event loop four times a second, which virtual time does not
    have, and it arranges the collection of garbage. The cluster tracks no managed fields, which
    is a tenth of the work of a run.
    """
    stack = ExitStack()
    stack.enter_context(mock.patch("runtime.metrics.LAG_INTERVAL_SECONDS", YEAR_SECONDS))
    stack.enter_context(mock.patch("reconciler.app.keep_collections_short", _forever))
    stack.enter_context(mock.patch.object(Registry, "_tracked", _untracked))
    return stack


def _untracked(_registry: Registry, _target: Any, new: Document, *_: Any) -> Document:
    return new


async def _forever() -> None:
    await asyncio.Event().wait()


def _path(kind: tuple[str, str], namespace: str, name: str = "") -> str:
    group, plural = kind
    base = f"/apis/{group}/v1" if group else "/api/v1"
    scope = f"/namespaces/{namespace}" if namespace else ""
    return f"{base}{scope}/{plural}" + (f"/{name}" if name else "")


__all__ = ["CONFIGMAPS", "NAMESPACES", "SYNCS", "Simulation"]
