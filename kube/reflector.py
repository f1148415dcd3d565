"""Keeps up with a collection: list, watch, resume, list again; it never gives up and never goes quiet unnoticed.

Pages are small and the loop runs between them. A watch is renewed by the server within ten minutes, ended by us when it has heard nothing for too
long, resumed from the last version, and begun anew when that is too old. What is done with what comes in is `informer.py`'s.
"""

import asyncio
import random
from collections.abc import Mapping
from typing import Protocol

import msgspec
import structlog

from kube.api_server import ApiServer
from kube.connection import ACCEPT_METADATA, ACCEPT_METADATA_LIST
from kube.errors import ApiError, Gone, Malformed, Silent, from_status
from kube.wire import decode_event, decode_list, decode_partial

PAGE = 500
FIRST_DELAY, LONGEST_DELAY = 0.2, 4.0  # seconds between tries; an API server that is back is noticed within five
HEALTHY_AFTER = 60.0  # seconds; a watch that lived that long has earned a quick resume
WATCH_SECONDS = (290, 590)  # how long the server is asked to keep a watch; random, so that not all end together
IDLE_SECONDS = 80.0  # bookmarks come about every minute; longer silence is a dead peer
GRACE_SECONDS = 30.0  # that the server may be late with ending a watch
LIST_SECONDS = 60.0  # for one page, which may hold 500 objects of a mebibyte each


class Sink(Protocol):
    """Where the reflector puts what comes in. It must not await, and must be quick."""

    def list_began(self) -> None:
        """A new list begins; whatever came of an earlier one that was not completed is void."""

    def listed(self, items: list[msgspec.Raw]) -> None:
        """Some of the objects that the list holds."""

    def list_complete(self, version: str) -> None:
        """All pages of the list were given; what was in none of them is gone."""

    def changed(self, kind: str, item: msgspec.Raw) -> None:
        """An object was added, modified or deleted (`ADDED`, `MODIFIED`, `DELETED`)."""


class Reflector:
    """Lists and watches one collection for as long as it runs."""

    def __init__(
        self,
        connection: ApiServer,
        path: str,
        sink: Sink,
        *,
        params: Mapping[str, str],
        accept: str,
        rng: random.Random,
    ) -> None:
        self._connection = connection
        self._path = path
        self._sink = sink
        self._params = dict(params)
        self._accept = accept
        self._rng = rng
        self._version: str | None = None
        self._log = structlog.get_logger("reflector").bind(path=path)
        self.problem: ApiError | None = None
        self.last_heard = asyncio.get_running_loop().time()
        self.lists = 0  # that came whole
        self.watches = 0  # that were opened

    async def run(self) -> None:
        """List and watch until cancelled."""
        delay = 0.0
        while True:
            began = asyncio.get_running_loop().time()
            wait = await self._follow_guarded()
            healthy = asyncio.get_running_loop().time() - began > HEALTHY_AFTER
            delay = FIRST_DELAY if healthy else min(LONGEST_DELAY, max(FIRST_DELAY, delay * 2))
            await asyncio.sleep(max(wait, delay * self._rng.uniform(0.5, 1.0)))

    async def _follow_guarded(self) -> float:
        """Follow until it ends, in whatever way; returns the seconds that the server asks us to wait."""
        try:
            await self._follow()
        except Gone:
            self._version = None
            self._log.info("the version is too old, listing again")
        except Silent:
            self._log.info("nothing was heard for long, watching anew")  # bookmarks are usual, and not promised
        except ApiError as error:
            self._note(error)
            if isinstance(error, Malformed):
                self._version = None  # resumed from the same version, the same event would come again
            return error.retry_after or 0.0
        except Exception:  # noqa: BLE001 - whatever happens, we must not go blind; it is logged whole, and a new list mends what it left
            self._version = None
            self._log.exception("the watch failed unexpectedly, listing again")
        return 0.0

    async def _follow(self) -> None:
        """One list where one is needed, and one watch to its end."""
        if self._version is None:
            self._version = await self.list()
        seconds = self._rng.randint(*WATCH_SECONDS)
        params = {
            **self._params,
            "watch": "true",
            "allowWatchBookmarks": "true",
            "resourceVersion": self._version,
            "timeoutSeconds": str(seconds),
        }
        stream = self._connection.stream(
            self._path,
            params=params,
            accept=self._accept,
            idle_timeout=IDLE_SECONDS,
            total_timeout=seconds + GRACE_SECONDS,
        )
        async with stream as lines:
            self.watches += 1
            self._heard()
            async for line in lines:
                self._version = self._take(line)
                self._heard()

    async def list(self) -> str:
        """Read every page of the collection; returns the version it shows.

        Raises:
            ApiError: it did not come whole.
        """
        self._sink.list_began()
        accept = ACCEPT_METADATA_LIST if self._accept == ACCEPT_METADATA else self._accept
        token, version = "", ""
        while True:
            params = {**self._params, "limit": str(PAGE)} | ({"continue": token} if token else {})
            body = await self._connection.request("GET", self._path, params=params, accept=accept, timeout=LIST_SECONDS)
            self._heard()
            try:
                page = decode_list(body)
            except msgspec.DecodeError as error:
                raise Malformed(f"GET {self._path}: the list cannot be read") from error
            version = version or page.metadata.resource_version
            self._sink.listed(page.items or [])
            token = page.metadata.continue_
            if not token:
                self._sink.list_complete(version)
                self.lists += 1
                return version

    def _take(self, line: bytes) -> str:
        """Hand one event on; returns the version the watch has reached."""
        try:
            event = decode_event(line)
            if event.type == "ERROR":
                raise from_status(event.object)
            metadata = decode_partial(event.object).metadata
        except msgspec.DecodeError as error:
            raise Malformed(f"GET {self._path}: an event cannot be read") from error
        if event.type != "BOOKMARK":
            self._sink.changed(event.type, event.object)
        return metadata.resource_version

    def _heard(self) -> None:
        self.last_heard = asyncio.get_running_loop().time()
        if self.problem is not None:
            self._log.info("the API server answers again")
            self.problem = None

    def _note(self, error: ApiError) -> None:
        """Say what is wrong once, and again only when it changes."""
        if self.problem is None or (type(self.problem), self.problem.message) != (type(error), error.message):
            self._log.warning("cannot list or watch", error=str(error))
        self.problem = error
