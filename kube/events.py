"""Kubernetes Events: what happened to an object, for whoever runs `kubectl describe` or `kubectl events`.

Telling is never worth failing for, nor waiting for: `emit` only notes, and a task of its own sends. What happens again while it still waits
is sent once. Which occurrences are one event is decided in `event_correlator.py`.
"""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import structlog

from kube.client import EVENTS, Client
from kube.errors import (
    AlreadyExists,
    ApiError,
    NotFound,
    Retry,
)
from kube.event_correlator import Correlator, ObjectReference, Occurrence, Series
from kube.rbac import Rule

__all__ = ["EventRecorder", "ObjectReference"]

RULES = (Rule("events", ("create", "patch")),)
WAITING_LIMIT = 1000  # events; who has more than that to tell is not listened to anyway
MESSAGE_LIMIT = 1024  # characters, as events.k8s.io has it
CLUSTER_SCOPED = "default"  # where the API server wants the events of objects without a namespace
WAITS = (1.0, 2.0, 4.0, 8.0)  # seconds between the tries of one event


class EventRecorder:
    """Sends Events in the background, for one component."""

    def __init__(
        self,
        client: Client,
        *,
        component: str,
        instance: str,
        clock: Callable[[], datetime],
    ) -> None:
        """Prepare; nothing is sent before `run` or `drain`.

        Args:
            client: of the API server.
            component: who tells, as `kubectl describe` shows it.
            instance: which of its processes.
            clock: the time of day.
        """
        self._client = client
        self._component = component
        self._instance = instance
        self._clock = clock
        self._correlator = Correlator()
        self._waiting: dict[str, Series] = {}
        self._news = asyncio.Event()
        self._sending = asyncio.Lock()
        self._complaint = ""
        self._log = structlog.get_logger("events")

    def emit(
        self,
        regarding: ObjectReference,
        type: str,  # noqa: A002 - its name in every Event
        reason: str,
        message: str,
        action: str = "",
    ) -> None:
        """Tell that something happened; returns at once and never fails.

        Args:
            regarding: to what.
            type: `Normal` or `Warning`.
            reason: one word, why.
            message: a sentence for people; what is beyond 1,024 characters is cut.
            action: one word, what was done about it.
        """
        series = self._correlator.note(
            Occurrence(regarding, type, reason, message[:MESSAGE_LIMIT], action), self._clock()
        )
        if series is None:
            return
        if len(self._waiting) >= WAITING_LIMIT and series.name not in self._waiting:
            self._complain("too many events wait, the newest are dropped")
            return
        self._waiting[series.name] = series
        self._news.set()

    async def run(self) -> None:
        """Send what is told, until cancelled."""
        while True:
            await self._news.wait()
            self._news.clear()
            await self.drain()

    async def drain(self) -> None:
        """Send everything told so far, or give it up. Without an API server that may take long: the caller bounds it."""
        async with self._sending:
            while self._waiting:
                await self._send(self._waiting.pop(next(iter(self._waiting))))

    async def _send(self, series: Series) -> None:
        """Try a few times, as long as it may pass."""
        for wait in (*WAITS, None):
            try:
                await self._store(series)
            except ApiError as error:
                if wait is None or error.retry is not Retry.TRANSIENT:
                    self._complain(f"an event was not written: {error}")
                    return
                await asyncio.sleep(max(wait, error.retry_after or 0.0))
            else:
                self._complaint = ""
                return

    async def _store(self, series: Series) -> None:
        if series.stored:
            try:
                await self._update(series)
            except NotFound:
                series.stored = False  # events live for an hour; this one begins anew
            else:
                return
        try:
            await self._create(series)
        except AlreadyExists:
            await self._update(series)  # the answer to our first try was lost
        series.stored = True

    async def _create(self, series: Series) -> None:
        await self._client.create(EVENTS, _namespace(series), self._document(series))

    async def _update(self, series: Series) -> None:
        change = {
            "count": series.count,
            "lastTimestamp": _timestamp(series.last),
            "message": series.latest.message,
        }
        await self._client.patch(EVENTS, _namespace(series), series.name, change)

    def _document(self, series: Series) -> dict[str, Any]:
        told = series.latest
        regarding = told.regarding
        return {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {"name": series.name, "namespace": _namespace(series)},
            "involvedObject": {
                "apiVersion": regarding.api_version,
                "kind": regarding.kind,
                "namespace": regarding.namespace,
                "name": regarding.name,
                "uid": regarding.uid,
            },
            "type": told.type,
            "reason": told.reason,
            "message": told.message,
            "action": told.action,
            "count": series.count,
            "firstTimestamp": _timestamp(series.first),
            "lastTimestamp": _timestamp(series.last),
            "source": {"component": self._component},
            "reportingComponent": self._component,
            "reportingInstance": self._instance,
        }

    def _complain(self, what: str) -> None:
        """Say it once, until an event is written again or the complaint is another one."""
        if what != self._complaint:
            self._log.warning("events are lost", error=what)
        self._complaint = what


def _namespace(series: Series) -> str:
    return series.latest.regarding.namespace or CLUSTER_SCOPED


def _timestamp(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
