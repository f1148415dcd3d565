"""Kubernetes Events: what happened to an object, for whoever runs `kubectl describe` or `kubectl events`.

The same thing happening again raises a count instead of making a new object, and many different messages of one reason become one. Telling is never
worth failing for: the recorder has a queue of its own, drops what does not fit, and never raises into its caller.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import msgspec
import structlog

from kube.connection import MERGE_PATCH, Connection
from kube.errors import ApiError, NotFound

WAITING_LIMIT = 1000  # events; more than that at once is noise
REMEMBERED = 4096  # series; the oldest is forgotten and begins anew
SERIES_LASTS = timedelta(minutes=10)
DISTINCT_MESSAGES = 10  # of one object and reason within a series; beyond them, one combined event counts on
MESSAGE_LIMIT = 1024  # the API server refuses longer ones


@dataclass(frozen=True, slots=True)
class ObjectReference:
    """What an event is about."""

    api_version: str
    kind: str
    namespace: str
    name: str
    uid: str


@dataclass(frozen=True, slots=True)
class _Told:
    """One thing to tell."""

    regarding: ObjectReference
    kind: str
    reason: str
    message: str
    at: datetime


@dataclass(slots=True)
class _Series:
    """An Event object and how often it was told."""

    path: str
    count: int
    last: datetime


@dataclass(slots=True)
class _Messages:
    """The distinct messages of one object and reason lately."""

    since: datetime
    seen: set[str] = field(default_factory=set)


class EventRecorder:
    """Writes Events in the background."""

    def __init__(self, connection: Connection, component: str, instance: str, clock: Callable[[], datetime]) -> None:
        self._connection = connection
        self._component = component
        self._instance = instance
        self._clock = clock
        self._waiting: asyncio.Queue[_Told] = asyncio.Queue(WAITING_LIMIT)
        self._series: OrderedDict[tuple[str, str, str], _Series] = OrderedDict()
        self._messages: OrderedDict[tuple[str, str], _Messages] = OrderedDict()
        self._log = structlog.get_logger("events")

    def emit(self, regarding: ObjectReference, kind: str, reason: str, message: str) -> None:
        """Tell that something happened; returns at once.

        Args:
            regarding: to what.
            kind: `Normal` or `Warning`.
            reason: one word.
            message: a sentence.
        """
        told = _Told(regarding, kind, reason, message[:MESSAGE_LIMIT], self._clock())
        try:
            self._waiting.put_nowait(self._combined(told))
        except asyncio.QueueFull:
            self._log.warning("an event was dropped, too many wait", reason=reason)

    async def run(self) -> None:
        """Write what was told until cancelled."""
        while True:
            told = await self._waiting.get()
            try:
                await self._write(told)
            except ApiError as error:
                self._log.warning("an event could not be written", reason=told.reason, error=str(error))
            finally:
                self._waiting.task_done()

    async def drain(self) -> None:
        """Wait until everything told so far is written."""
        await self._waiting.join()

    def _combined(self, told: _Told) -> _Told:
        """The same, or, where one reason has told too many different things lately, a message that stands for all of them."""
        key = (told.regarding.uid, told.reason)
        messages = self._messages.get(key)
        if messages is None or told.at - messages.since > SERIES_LASTS:
            messages = self._messages[key] = _Messages(since=told.at)
            _forget_oldest(self._messages)
        messages.seen.add(told.message)
        if len(messages.seen) <= DISTINCT_MESSAGES:
            return told
        messages.seen.discard(told.message)
        return _Told(told.regarding, told.kind, told.reason, "(combined from similar events)", told.at)

    async def _write(self, told: _Told) -> None:
        key = (told.regarding.uid, told.reason, told.message)
        series = self._series.get(key)
        if series is not None and told.at - series.last <= SERIES_LASTS and await self._count(series, told):
            return
        self._series[key] = await self._create(told)
        _forget_oldest(self._series)

    async def _count(self, series: _Series, told: _Told) -> bool:
        """Raise the count of an Event; False where it has expired meanwhile."""
        patch = {"count": series.count + 1, "lastTimestamp": _timestamp(told.at)}
        try:
            await self._connection.request(
                "PATCH", series.path, body=msgspec.json.encode(patch), content_type=MERGE_PATCH
            )
        except NotFound:
            return False
        series.count += 1
        series.last = told.at
        return True

    async def _create(self, told: _Told) -> _Series:
        regarding = told.regarding
        event: dict[str, Any] = {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {"generateName": f"{regarding.name[:200]}.", "namespace": regarding.namespace},
            "involvedObject": {
                "apiVersion": regarding.api_version,
                "kind": regarding.kind,
                "namespace": regarding.namespace,
                "name": regarding.name,
                "uid": regarding.uid,
            },
            "type": told.kind,
            "reason": told.reason,
            "message": told.message,
            "count": 1,
            "firstTimestamp": _timestamp(told.at),
            "lastTimestamp": _timestamp(told.at),
            "source": {"component": self._component},
            "reportingComponent": self._component,
            "reportingInstance": self._instance,
        }
        collection = f"/api/v1/namespaces/{regarding.namespace}/events"
        answer = await self._connection.request("POST", collection, body=msgspec.json.encode(event))
        name = msgspec.json.decode(answer)["metadata"]["name"]
        return _Series(f"{collection}/{name}", 1, told.at)


def _forget_oldest(remembered: "OrderedDict[Any, Any]") -> None:
    if len(remembered) > REMEMBERED:
        remembered.popitem(last=False)


def _timestamp(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")
