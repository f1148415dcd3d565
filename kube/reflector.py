"""List and watch one collection for as long as the process runs.

`informer.py` is the sink of the objects and events. The pages of a list are bounded by
bytes, and other tasks run in between (`paging.py`). A watch that was silent for too
long is opened again from the last version; if that version is too old, or versions went
back, a new list begins.
"""

import asyncio
import random
from collections.abc import Mapping
from typing import Protocol

import msgspec
import structlog

from kube.client import METADATA, METADATA_LIST, ApiServer
from kube.errors import ApiError, Gone, Malformed, Retry, Silent
from kube.history import History, Seen, VersionsWentBackError
from kube.paging import Pace, Pages
from kube.watch_state import WatchState
from kube.wire import WatchedEvent, read_event, version_number

# Between two tries. An API server that is back is noticed within five seconds.
FIRST_DELAY_SECONDS, MAX_DELAY_SECONDS = 0.2, 4.0
HEALTHY_SECONDS = 60.0  # a watch that lived longer is resumed after the first delay
# The range of the timeout that the API server is asked for; random, so that not all watches end
# at once.
WATCH_SECONDS = (290, 590)
# Bookmarks come about every minute, so a longer silence means a dead peer. The flag
# `watch_idle_timeout` of `runtime/settings.py` can only shorten it.
IDLE_SECONDS = 80.0
GRACE_SECONDS = 30.0  # by which the API server may be late to end a watch
LIST_SECONDS = 60.0  # for one page; the API server may read 500 objects of a mebibyte for it


class Sink(Protocol):
    """Takes the objects and events. Its methods must be quick."""

    def reset(self) -> None:
        """Let the next list replace every object, because versions went back."""

    def list_began(self, version: int) -> None:
        """Start a new list that shows `version`; drop an earlier one that was not completed."""

    def listed(self, item: msgspec.Raw) -> None:
        """Take an object of the list."""

    def list_complete(self, version: int) -> None:
        """End the list: an object that was on no page is gone."""

    def newest(self) -> Seen | None:
        """Return the held object with the highest version; None if no object is held."""

    def recovered(self) -> None:
        """Take note that the API server answers again after at least one failed attempt."""

    def changed(self, event: WatchedEvent) -> bool:
        """Take an event of the kind `ADDED`, `MODIFIED` or `DELETED`.

        Returns:
            Whether it changed anything. The next event is awaited with less haste if not.
        """


class Reflector:
    """Lists and watches one collection."""

    def __init__(
        self,
        connection: ApiServer,
        path: str,
        sink: Sink,
        *,
        params: Mapping[str, str] | None,
        accept: str,
        rng: random.Random,
        watch_accept: str | None = None,
    ) -> None:
        self._connection = connection
        self._path = path
        self._sink = sink
        self._params = params or {}
        self._accept = accept
        self._watch_accept = watch_accept or accept
        self._rng = rng
        self._version: int | None = None
        self._history = History(connection, path, sink.newest)
        self._pages = Pages(
            self._request_page, f"GET {path}: the list", full_objects=accept != METADATA
        )
        self._pace = Pace()
        self._may_rest = False  # the last event changed nothing
        self._log = structlog.get_logger("reflector").bind(path=path)
        self.state = WatchState(path)

    async def run(self) -> None:
        """List and watch until cancelled."""
        loop, delay = asyncio.get_running_loop(), 0.0
        while True:
            began = loop.time()
            wait = await self._follow_once()
            self.state.last_active = loop.time()
            if loop.time() - began > HEALTHY_SECONDS:
                delay = 0.0
            delay = min(MAX_DELAY_SECONDS, max(FIRST_DELAY_SECONDS, delay * 2))
            await asyncio.sleep(max(wait, delay * self._rng.uniform(0.5, 1.0)))

    async def _follow_once(self) -> float:
        """List and watch until the watch ends; return the seconds that the server asks to wait."""
        try:
            await self._follow()
        except VersionsWentBackError:
            self._version = None
            self._begin_anew()
        except ApiError as error:
            if isinstance(error, Gone | Malformed):
                self._version = None  # with the same version the same answer would come again
            if isinstance(error, Silent):
                self._log.info("watch idle timeout, reconnecting")
            elif error.retry is Retry.SOON:
                self._log.info("watch expired, reconnecting", reason=type(error).__name__)
            else:
                self.state.failed(error)
                return error.retry_after or 0.0
        except Exception:  # noqa: BLE001 - the watch must go on after any error; a new list repairs what it left
            self._version = None
            self._log.exception("watch failed unexpectedly, relisting")
        return 0.0

    async def _follow(self) -> None:
        """List if there is no version to resume from, and watch until the watch ends."""
        if self._version is None:
            self._version = await self.list()
        else:
            await self._history.check()
        seconds = self._rng.randint(*WATCH_SECONDS)
        params = {
            **self._params,
            "watch": "true",
            "allowWatchBookmarks": "true",
            "resourceVersion": str(self._version),
            "timeoutSeconds": str(seconds),
        }
        stream = self._connection.stream(
            self._path,
            params=params,
            accept=self._watch_accept,
            idle_timeout=IDLE_SECONDS,
            total_timeout=seconds + GRACE_SECONDS,
            may_rest=lambda: self._may_rest,
        )
        async with stream as lines:
            self.state.watches += 1
            self._heard()
            async for line in lines:
                self._take(line)
                self._heard()
                # A burst of events may be buffered, and reading it would never wait.
                await self._pace.did(len(line))

    async def list(self) -> int:
        """List the whole collection and return its version.

        Raises:
            ApiError: a page could not be read.
        """
        version, token = await self._list_page("")
        while token:
            _, token = await self._list_page(token)
        self._sink.list_complete(version)
        self._history.listed(version)
        self.state.lists += 1
        return version

    async def _list_page(self, token: str) -> tuple[int, str]:
        """Give the objects of one page to the sink; return the version and the continue token.

        The memory of the page is free before the next page is requested.
        """
        shown = 0 if token else self._history.shown
        page = await self._pages.read(token)
        version = version_number(page.metadata.resource_version)
        if not token:
            if version < shown:
                self._begin_anew()
            self._sink.list_began(version)
        for item in page.items or []:
            self._sink.listed(item)
            await self._pace.did(len(memoryview(item)))
        return version, page.metadata.continue_

    async def _request_page(self, params: Mapping[str, str], max_bytes: int) -> bytes:
        accept = METADATA_LIST if self._accept == METADATA else self._accept
        body = await self._connection.request(
            "GET",
            self._path,
            params={**self._params, **params},
            accept=accept,
            timeout=LIST_SECONDS,
            max_bytes=max_bytes,
        )
        self._heard()
        return body

    def _take(self, line: bytes) -> None:
        """Give one event to the sink."""
        event = read_event(line, f"GET {self._path}")
        self._history.watched(event)
        self._may_rest = event.kind == "BOOKMARK" or not self._sink.changed(event)
        self._version = event.version

    def _begin_anew(self) -> None:
        """Forget every version and mark the cache as stale: the next list replaces it."""
        self._log.warning(
            "resource versions went back, dropping the cache", reached=self._history.shown
        )
        self._history.clear()
        self._sink.reset()

    def _heard(self) -> None:
        if self.state.heard():
            self._sink.recovered()
