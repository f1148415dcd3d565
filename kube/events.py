"""Emit Kubernetes Events, which `kubectl describe` and `kubectl events` show.

`reconciler/reports/events.py` calls `emit`, which only enqueues an event; a task of its
own sends it. `event_correlator.py` decides which occurrences are one event. This module
must not delay its callers, and may lose events.
"""

import asyncio
from collections.abc import Callable
from datetime import datetime
from typing import Any

import structlog

from kube.client import EVENTS, Client
from kube.errors import AlreadyExists, ApiError, NotFound, Retry
from kube.event_correlator import Correlator, ObjectReference, Occurrence, Series
from kube.rbac import Rule

RULES = (Rule("events", ("create", "patch")),)
QUEUE_LIMIT = 1000  # events
MESSAGE_LIMIT = 1024  # characters, the limit of events.k8s.io
CLUSTER_SCOPED = "default"  # the namespace for events of objects without one
RETRY_SECONDS = (1.0, 2.0, 4.0, 8.0)  # between the tries of one event


class EventRecorder:
    """Sends Events in the background, for one component."""

    def __init__(
        self, client: Client, *, component: str, instance: str, clock: Callable[[], datetime]
    ) -> None:
        """Create a recorder; nothing is sent before `run` or `drain`.

        Args:
            client: of the API server.
            component: the source of the events, as `kubectl describe` shows it.
            instance: the process of the component.
            clock: the time of day, in UTC.
        """
        self._client = client
        self._component = component
        self._instance = instance
        self._clock = clock
        self._correlator = Correlator()
        self._queue: dict[str, Series] = {}
        self._enqueued = asyncio.Event()
        self._sending = asyncio.Lock()
        self._last_problem = ""
        self._handlers: list[Callable[[Series], None]] = []
        self._log = structlog.get_logger("events")

    def on_event(self, handler: Callable[[Series], None]) -> None:
        """Call `handler` for each later occurrence of an event; it must be quick and not fail."""
        self._handlers.append(handler)

    def emit(
        self,
        regarding: ObjectReference,
        type: str,  # noqa: A002 - its name in every Event
        reason: str,
        message: str,
        action: str = "",
    ) -> None:
        """Enqueue an event, or drop it if there are too many; never fail.

        Args:
            regarding: the object that the event is about.
            type: `Normal` or `Warning`.
            reason: the reason word.
            message: a sentence for people, cut to `MESSAGE_LIMIT`.
            action: what the component did, in one word.
        """
        series = self._correlator.note(
            Occurrence(regarding, type, reason, message[:MESSAGE_LIMIT], action), self._clock()
        )
        if series is None:
            return
        for handler in self._handlers:
            handler(series)
        if len(self._queue) >= QUEUE_LIMIT and series.name not in self._queue:
            self._log_problem("too many events are queued, the newest are dropped")
            return
        self._queue[series.name] = series
        self._enqueued.set()

    async def run(self) -> None:
        """Send enqueued events until cancelled."""
        while True:
            await self._enqueued.wait()
            self._enqueued.clear()
            await self.drain()

    async def drain(self) -> None:
        """Send or drop every enqueued event; the caller must bound the time."""
        async with self._sending:
            while self._queue:
                await self._send(self._queue.pop(next(iter(self._queue))))

    async def _send(self, series: Series) -> None:
        """Store the series; retry a transient error a few times."""
        for wait in (*RETRY_SECONDS, None):
            try:
                await self._store(series)
            except ApiError as error:
                if wait is None or error.retry is not Retry.TRANSIENT:
                    self._log_problem(f"an event was not written: {error}")
                    return
                await asyncio.sleep(max(wait, error.retry_after or 0.0))
            else:
                self._last_problem = ""
                return

    async def _store(self, series: Series) -> None:
        if series.stored:
            try:
                await self._update(series)
            except NotFound:
                series.stored = False  # the API server deletes events after an hour
            else:
                return
        try:
            await self._client.create(EVENTS, _namespace(series), self._document(series))
        except AlreadyExists:
            await self._update(series)  # the answer to an earlier try was lost
        series.stored = True

    async def _update(self, series: Series) -> None:
        change = {
            "count": series.count,
            "lastTimestamp": series.last,
            "message": series.latest.message,
        }
        await self._client.patch(EVENTS, _namespace(series), series.name, change)

    def _document(self, series: Series) -> dict[str, Any]:
        latest = series.latest
        return {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {"name": series.name, "namespace": _namespace(series)},
            "involvedObject": latest.regarding,
            "type": latest.type,
            "reason": latest.reason,
            "message": latest.message,
            "action": latest.action,
            "count": series.count,
            "firstTimestamp": series.first,
            "lastTimestamp": series.last,
            "source": {"component": self._component},
            "reportingComponent": self._component,
            "reportingInstance": self._instance,
        }

    def _log_problem(self, problem: str) -> None:
        """Log a problem once, until an event is written or the problem changes."""
        if problem != self._last_problem:
            self._log.warning("events are lost", error=problem)
        self._last_problem = problem


def _namespace(series: Series) -> str:
    return series.latest.regarding.namespace or CLUSTER_SCOPED
