"""Keeps up with a collection: list, watch, resume, list again; it never gives up and never goes quiet unnoticed.

A page of a list is bounded by its bytes (`paging.py`), and other tasks run while its objects are handed on (`pacing.py`). A watch is renewed by
the server within ten minutes, ended by us when it has heard nothing for too long, resumed from the last version, and begun anew when that is too
old. Versions that go back, as after a restore of etcd, begin everything anew. What is done with what comes in is `informer.py`'s.
"""

import asyncio
import random
from collections.abc import Mapping
from typing import NamedTuple, Protocol

import msgspec
import structlog

from kube.client import METADATA, METADATA_LIST, ApiServer
from kube.errors import AnswerTooLarge, ApiError, Gone, Malformed, Silent, from_status
from kube.pacing import Pace
from kube.paging import Pages
from kube.wire import DECODE_ERRORS, ObjectList, decode_event, decode_list, decode_partial, decoding

FIRST_DELAY, LONGEST_DELAY = (
    0.2,
    4.0,
)  # seconds between tries; an API server that is back is noticed within five
HEALTHY_AFTER = 60.0  # seconds; a watch that lived that long has earned a quick resume
WATCH_SECONDS = (
    290,
    590,
)  # how long the server is asked to keep a watch; random, so that not all end together
IDLE_SECONDS = 80.0  # bookmarks come about every minute; longer silence is a dead peer
GRACE_SECONDS = 30.0  # that the server may be late with ending a watch
LIST_SECONDS = (
    60.0  # for one page; the server may have to read 500 objects of a mebibyte each for it
)
PROBE_SECONDS = 10.0  # for a list of one object


class VersionsWentBack(Exception):
    """The API server is at a version below one that it has shown before: its storage was restored from a backup."""


class Seen(NamedTuple):
    """An object in a version that the API server has shown."""

    namespace: str
    name: str
    version: int


class Sink(Protocol):
    """Where the reflector puts what comes in. It must not await, and must be quick."""

    def reset(self) -> None:
        """Versions went back: no version that was given so far means anything, and the next list holds the truth."""

    def list_began(self, version: str) -> None:
        """A new list begins, which shows `version`; whatever came of an earlier one that was not completed is void."""

    def listed(self, items: list[msgspec.Raw]) -> None:
        """Some of the objects that the list holds."""

    def list_complete(self, version: str) -> None:
        """All pages of the list were given; what was in none of them is gone."""

    def newest(self) -> Seen | None:
        """The object with the highest version of all that are held; None where none is."""

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
        self._reached = 0  # the highest version that the API server has shown
        self._deleted: Seen | None = None  # the object that was deleted last
        self._pages = Pages(whole_objects=accept != METADATA)
        self._pace = Pace()
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
            wait = await self._follow_once()
            healthy = asyncio.get_running_loop().time() - began > HEALTHY_AFTER
            delay = FIRST_DELAY if healthy else min(LONGEST_DELAY, max(FIRST_DELAY, delay * 2))
            await asyncio.sleep(max(wait, delay * self._rng.uniform(0.5, 1.0)))

    async def _follow_once(self) -> float:
        """Follow until it ends, in whatever way; returns the seconds that the server asks us to wait."""
        try:
            await self._follow()
        except Gone:
            self._version = None
            self._log.info("the version is too old, listing again")
        except VersionsWentBack:
            self._version = None
            self._begin_anew()
        except Silent:
            self._log.info(
                "nothing was heard for long, watching anew"
            )  # bookmarks are usual, and not promised
        except ApiError as error:
            self._note(error)
            if isinstance(error, Malformed):
                self._version = (
                    None  # resumed from the same version, the same event would come again
                )
            return error.retry_after or 0.0
        except Exception:  # noqa: BLE001 - whatever happens, we must not go blind; it is logged whole, and a new list mends what it left
            self._version = None
            self._log.exception("the watch failed unexpectedly, listing again")
        return 0.0

    async def _follow(self) -> None:
        """One list where one is needed, and one watch to its end."""
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
                await self._pace.did(
                    len(line)
                )  # a burst of events may be buffered: reading it would never wait

    async def _check_history(self) -> None:
        """Find out before a watch is resumed whether the storage was restored from a backup meanwhile.

        A watch from a version of the future would stay silent for ever. Where the restored cluster has passed the version that was reached, an
        object betrays it: the newest one that is held, or the one that was deleted last, is there in an older version.

        Raises:
            VersionsWentBack: it was restored.
            Gone: the newest object is not there any more: it was deleted, or made after the backup. A list will show it.
            ApiError: the API server did not say.
        """
        if self._deleted is None:
            await self._probe(self._path, {"limit": "1"})
        elif any(
            version < self._deleted.version for version in await self._versions_of(self._deleted)
        ):
            raise VersionsWentBack
        newest = self._sink.newest()
        if newest is None:
            return
        versions = await self._versions_of(newest)
        if any(version < newest.version for version in versions):
            raise VersionsWentBack
        if not versions:
            raise Gone(f"GET {self._path}: the newest object is not there any more", status=410)

    async def _versions_of(self, seen: Seen) -> list[int]:
        """Return the version of one object as it is now; nothing where it does not exist.

        It is a list of one name, for which the right to list suffices.
        """
        collection, _, plural = self._path.rpartition("/")
        path = (
            f"{collection}/namespaces/{seen.namespace}/{plural}" if seen.namespace else self._path
        )
        page = await self._probe(path, {"fieldSelector": f"metadata.name={seen.name}"})
        with decoding(f"GET {path}: the list"):
            return [
                _number(decode_partial(item).metadata.resource_version) for item in page.items or []
            ]

    async def _probe(self, path: str, params: Mapping[str, str]) -> ObjectList:
        shown = self._shown
        body = await self._connection.request(
            "GET", path, params=params, accept=METADATA_LIST, timeout=PROBE_SECONDS
        )
        page = self._decode_page(body)
        if _number(page.metadata.resource_version) < shown:
            raise VersionsWentBack
        return page

    @property
    def _shown(self) -> int:
        """The highest version that the API server has shown until now, to the watch or in an answer to a write.

        A list is a consistent read: one that is asked for after that shows no lower version.
        """
        newest = self._sink.newest()
        return max(self._reached, newest.version if newest else 0)

    async def list(self) -> str:
        """Read every page of the collection; returns the version it shows.

        Raises:
            ApiError: it did not come whole.
        """
        token, version = "", ""
        while True:
            shown, token = await self._list_page(token, first=not version)
            version = version or shown
            if not token:
                self._sink.list_complete(version)
                self._reached = max(self._reached, _number(version))
                self.lists += 1
                return version

    async def _list_page(self, token: str, *, first: bool) -> tuple[str, str]:
        """Hand on the objects of one page; returns its version and where the next page begins.

        The page is let go with the end of this function, before the next one is asked for.
        """
        shown = self._shown if first else 0
        page = self._decode_page(await self._request_page(token))
        version = page.metadata.resource_version
        if first:
            if _number(version) < shown:
                self._begin_anew()
            self._sink.list_began(version)
        for item in page.items or []:
            self._sink.listed([item])
            await self._pace.did(len(memoryview(item)))
        return version, page.metadata.continue_

    async def _request_page(self, token: str) -> bytes:
        """Ask for a page, and for a smaller one in its place as long as it is too large."""
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
            raise Malformed(f"GET {self._path}: the list cannot be read") from error

    def _take(self, line: bytes) -> str:
        """Hand one event on; returns the version the watch has reached."""
        try:
            event = decode_event(line)
            if event.type == "ERROR":
                raise from_status(event.object)
            metadata = decode_partial(event.object).metadata
        except DECODE_ERRORS as error:
            raise Malformed(f"GET {self._path}: an event cannot be read") from error
        version = _number(metadata.resource_version)
        if version < self._reached:
            raise VersionsWentBack
        if event.type != "BOOKMARK":
            self._sink.changed(event.type, event.object)
        if event.type == "DELETED":
            self._deleted = Seen(metadata.namespace, metadata.name, version)
        self._reached = version
        return metadata.resource_version

    def _begin_anew(self) -> None:
        """Forget every version: the API server counts anew."""
        self._log.warning("resource versions went back, dropping the cache", reached=self._shown)
        self._reached, self._deleted = 0, None
        self._sink.reset()

    def _heard(self) -> None:
        self.last_heard = asyncio.get_running_loop().time()
        if self.problem is not None:
            self._log.info("the API server answers again")
            self.problem = None

    def _note(self, error: ApiError) -> None:
        """Say what is wrong once, and again only when it changes."""
        if self.problem is None or (type(self.problem), self.problem.message) != (
            type(error),
            error.message,
        ):
            self._log.warning("cannot list or watch", error=str(error))
        self.problem = error


def _number(version: str) -> int:
    """Versions of one cluster are comparable as integers.

    Raises:
        Malformed: it is no version.
    """
    if not version.isdecimal():
        raise Malformed("a resourceVersion is no number")
    return int(version)
