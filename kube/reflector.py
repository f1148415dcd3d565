"""List and watch one collection for as long as the process runs.

`informer.py` is the sink of the objects and events. The pages of a list are bounded by
bytes, and other tasks run in between (`paging.py`). A watch that was silent for too
long is opened again from the last version; if that version is too old, or versions went
back, a new list begins.
"""

import asyncio
import random
from collections.abc import Mapping
from typing import NamedTuple, Protocol

import msgspec
import structlog

from kube.client import METADATA, METADATA_LIST, ApiServer
from kube.errors import AnswerTooLarge, ApiError, Gone, Malformed, Retry, Silent
from kube.paging import Pace, Pages
from kube.watch_events import WatchedEvent, read_event, version_number
from kube.wire import DECODE_ERRORS, ObjectList, decode_list, decode_version, decoding

# Between two tries. An API server that is back is noticed within five seconds.
FIRST_DELAY_SECONDS, MAX_DELAY_SECONDS = 0.2, 4.0
HEALTHY_SECONDS = 60.0  # a watch that lived longer is resumed after the first delay
# The range of the timeout that the API server is asked for; random, so that not all watches end
# at once.
WATCH_SECONDS = (290, 590)
IDLE_SECONDS = 80.0  # bookmarks come about every minute, so a longer silence means a dead peer
GRACE_SECONDS = 30.0  # by which the API server may be late to end a watch
LIST_SECONDS = 60.0  # for one page; the API server may read 500 objects of a mebibyte for it
PROBE_SECONDS = 10.0  # for a list of one object


class VersionsWentBackError(Exception):
    """The API server shows a lower version than before: its storage was restored from a backup."""


class Seen(NamedTuple):
    """An object, in a version that the API server has shown."""

    namespace: str
    name: str
    version: int


class Sink(Protocol):
    """Takes the objects and events. Its methods must be quick."""

    def reset(self) -> None:
        """Drop every version that was given so far, because versions went back."""

    def list_began(self, version: str) -> None:
        """Start a new list that shows `version`; drop an earlier one that was not completed."""

    def listed(self, items: list[msgspec.Raw]) -> None:
        """Take some objects of the list."""

    def list_complete(self, version: str) -> None:
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
        params: Mapping[str, str],
        accept: str,
        rng: random.Random,
        watch_accept: str | None = None,
    ) -> None:
        self._connection = connection
        self._path = path
        self._sink = sink
        self._params = dict(params)
        self._accept = accept
        self._watch_accept = watch_accept or accept
        self._rng = rng
        self._version: str | None = None
        self._reached = 0  # the highest version that the API server has shown
        self._deleted: Seen | None = None  # the object that was deleted last
        self._pages = Pages(full_objects=accept != METADATA)
        self._pace = Pace()
        self._may_rest = False  # the last event changed nothing
        self._log = structlog.get_logger("reflector").bind(path=path)
        self.problem: ApiError | None = None
        self.last_heard = asyncio.get_running_loop().time()
        self._tried = self.last_heard  # when the last attempt ended
        self.lists = 0  # completed
        self.watches = 0  # opened

    @property
    def last_active(self) -> float:
        """Return when the last byte came or the last attempt ended, on the event loop's clock.

        While the API server is away, attempts go on and fail. A stuck reflector does neither.
        """
        return max(self.last_heard, self._tried)

    async def run(self) -> None:
        """List and watch until cancelled."""
        delay = 0.0
        while True:
            began = asyncio.get_running_loop().time()
            wait = await self._follow_once()
            self._tried = asyncio.get_running_loop().time()
            healthy = asyncio.get_running_loop().time() - began > HEALTHY_SECONDS
            delay = min(MAX_DELAY_SECONDS, max(FIRST_DELAY_SECONDS, delay * 2))
            if healthy:
                delay = FIRST_DELAY_SECONDS
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
                return 0.0
            if error.retry is Retry.SOON:
                self._log.info("watch expired, reconnecting", reason=type(error).__name__)
                return 0.0
            self._note(error)
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
            await self._check_history()
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
            accept=self._watch_accept,
            idle_timeout=IDLE_SECONDS,
            total_timeout=seconds + GRACE_SECONDS,
            may_rest=lambda: self._may_rest,
        )
        async with stream as lines:
            self.watches += 1
            self._heard()
            async for line in lines:
                self._take(line)
                self._heard()
                # A burst of events may be buffered, and reading it would never wait.
                await self._pace.did(len(line))

    async def _check_history(self) -> None:
        """Check, before a watch is resumed, that the storage was not restored from a backup.

        A watch from a version in the future would stay silent without an error. If the restored
        storage has passed that version since, one of two objects has an older version than
        before: the newest one that is held, or the one that was deleted last.

        Raises:
            VersionsWentBackError: the storage was restored.
            Gone: the newest object does not exist any more. It was deleted, or created after the
                backup; a list decides.
            ApiError: the API server did not answer.
        """
        if self._deleted is None:
            await self._probe(self._path, {"limit": "1"})
        elif any(
            version < self._deleted.version for version in await self._versions_of(self._deleted)
        ):
            raise VersionsWentBackError
        newest = self._sink.newest()
        if newest is None:
            return
        versions = await self._versions_of(newest)
        if any(version < newest.version for version in versions):
            raise VersionsWentBackError
        if not versions:
            raise Gone(f"GET {self._path}: the newest object does not exist any more", status=410)

    async def _versions_of(self, seen: Seen) -> list[int]:
        """Return the current version of one object; an empty list if it does not exist.

        It lists one name, so that the right to list is enough.
        """
        collection, _, plural = self._path.rpartition("/")
        path = (
            f"{collection}/namespaces/{seen.namespace}/{plural}" if seen.namespace else self._path
        )
        page = await self._probe(path, {"fieldSelector": f"metadata.name={seen.name}"})
        with decoding(f"GET {path}: the list"):
            return [
                version_number(decode_version(item).resource_version) for item in page.items or []
            ]

    async def _probe(self, path: str, params: Mapping[str, str]) -> ObjectList:
        shown = self._shown
        body = await self._connection.request(
            "GET", path, params=params, accept=METADATA_LIST, timeout=PROBE_SECONDS
        )
        page = self._decode_page(body)
        if version_number(page.metadata.resource_version) < shown:
            raise VersionsWentBackError
        return page

    @property
    def _shown(self) -> int:
        """Return the highest version that the API server has shown, in a watch or after a write.

        A list is a consistent read, so a later list shows no lower version.
        """
        newest = self._sink.newest()
        return max(self._reached, newest.version if newest else 0)

    async def list(self) -> str:
        """List the whole collection and return its version.

        Raises:
            ApiError: a page could not be read.
        """
        token, version = "", ""
        while True:
            shown, token = await self._list_page(token, first=not version)
            version = version or shown
            if not token:
                self._sink.list_complete(version)
                self._reached = max(self._reached, version_number(version))
                self.lists += 1
                return version

    async def _list_page(self, token: str, *, first: bool) -> tuple[str, str]:
        """Give the objects of one page to the sink; return the version and the continue token.

        The memory of the page is free before the next page is requested.
        """
        shown = self._shown if first else 0
        page = self._decode_page(await self._request_page(token))
        version = page.metadata.resource_version
        if first:
            if version_number(version) < shown:
                self._begin_anew()
            self._sink.list_began(version)
        for item in page.items or []:
            self._sink.listed([item])
            await self._pace.did(len(memoryview(item)))
        return version, page.metadata.continue_

    async def _request_page(self, token: str) -> bytes:
        """Request a page, with a lower limit if it is too large."""
        accept = METADATA_LIST if self._accept == METADATA else self._accept
        while True:
            limit = self._pages.limit
            params = {**self._params, "limit": str(limit)} | ({"continue": token} if token else {})
            try:
                body = await self._connection.request(
                    "GET",
                    self._path,
                    params=params,
                    accept=accept,
                    timeout=LIST_SECONDS,
                    max_bytes=self._pages.max_bytes,
                )
            except AnswerTooLarge:
                self._heard()
                if not self._pages.too_large():
                    raise
            else:
                self._heard()
                self._pages.fitted(len(body))
                return body

    def _decode_page(self, body: bytes) -> ObjectList:
        try:
            return decode_list(body)
        except DECODE_ERRORS as error:
            raise Malformed(f"GET {self._path}: the list cannot be decoded") from error

    def _take(self, line: bytes) -> None:
        """Give one event to the sink."""
        event = read_event(line, f"GET {self._path}")
        if event.version < self._reached:
            raise VersionsWentBackError
        self._may_rest = event.kind == "BOOKMARK" or not self._sink.changed(event)
        if event.kind == "DELETED":
            self._deleted = Seen(*event.place, event.version)
        self._reached = event.version
        self._version = str(event.version)

    def _begin_anew(self) -> None:
        """Forget every version and drop the cache."""
        self._log.warning("resource versions went back, dropping the cache", reached=self._shown)
        self._reached, self._deleted = 0, None
        self._sink.reset()

    def _heard(self) -> None:
        self.last_heard = asyncio.get_running_loop().time()
        if self.problem is not None:
            self._log.info("list and watch recovered")
            self.problem = None
            self._sink.recovered()

    def _note(self, error: ApiError) -> None:
        """Log an error once, and again when it changes."""
        if self.problem is None or (type(self.problem), self.problem.message) != (
            type(error),
            error.message,
        ):
            self._log.warning("cannot list or watch", error=str(error))
        self.problem = error
