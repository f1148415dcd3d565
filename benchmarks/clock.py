"""Measure when ConfigMaps reach a state, by an independent watch.

`propagation.py` uses it. A copy counts as up to date when its watch event with the
expected content arrives here. This module writes nothing.
"""

import asyncio
import time
from collections.abc import Iterable

import msgspec
from aiohttp import ClientSession, ClientTimeout

# Namespace and name of a ConfigMap.
Place = tuple[str, str]

WATCH = "/api/v1/configmaps?watch=true&timeoutSeconds=7200"
FOREVER = ClientTimeout(total=None)
# Bytes of one line: a ConfigMap has at most 1 MiB, and JSON escapes make it longer.
READ_LIMIT = 1 << 22


class _Metadata(msgspec.Struct, rename="camel"):
    namespace: str = ""
    name: str = ""
    resource_version: str = ""


class _Data(msgspec.Struct):
    edit: str = ""


class _ConfigMap(msgspec.Struct):
    metadata: _Metadata
    data: _Data | None = None


class _Event(msgspec.Struct):
    type: str
    object: _ConfigMap


class Clock:
    """Watches all ConfigMaps and reports when the last of a set has a certain edit.

    Args:
        session: a session with the address and credentials of the API server.
    """

    def __init__(self, session: ClientSession) -> None:
        self._session = session
        self._edits: dict[Place, str] = {}
        self._missing: set[Place] = set()
        self._awaited = ""
        self._complete: asyncio.Future[float] | None = None
        self._version = ""
        self._started = asyncio.Event()
        self.last_event = 0.0

    async def run(self) -> None:
        """Watch until cancelled.

        The API server drops a watch that cannot keep up with a burst, so the watch resumes at the
        last version.
        """
        while True:
            await self._watch()

    async def _watch(self) -> None:
        decoder = msgspec.json.Decoder(_Event)
        since = {"resourceVersion": self._version} if self._version else {}
        async with self._session.get(
            WATCH, params=since, timeout=FOREVER, read_bufsize=READ_LIMIT
        ) as response:
            self._started.set()
            async for line in response.content:
                event = decoder.decode(line)
                assert event.type != "ERROR", line.decode()
                self._note(event, time.monotonic())

    async def started(self) -> None:
        """Wait until the watch is open."""
        await self._started.wait()

    async def quiet(self, seconds: float) -> None:
        """Wait until no event has arrived for `seconds`."""
        while (wait := self.last_event + seconds - time.monotonic()) > 0:  # noqa: ASYNC110 - waits for a time without events
            await asyncio.sleep(wait)

    def when_all_have(self, places: Iterable[Place], edit: str) -> asyncio.Future[float]:
        """Return a future of the monotonic time at which the last of `places` has the edit."""
        self._awaited, self._complete = edit, asyncio.get_running_loop().create_future()
        self._missing = {place for place in places if self._edits.get(place) != edit}
        if not self._missing:
            self._complete.set_result(time.monotonic())
        return self._complete

    @property
    def missing(self) -> int:
        """Return the number of ConfigMaps that do not have the edit yet."""
        return len(self._missing)

    def _note(self, event: _Event, now: float) -> None:
        self.last_event, self._version = now, event.object.metadata.resource_version
        configmap = event.object
        place = (configmap.metadata.namespace, configmap.metadata.name)
        edit = configmap.data.edit if configmap.data and event.type != "DELETED" else ""
        self._edits[place] = edit
        if edit == self._awaited and place in self._missing:
            self._missing.discard(place)
            if not self._missing and self._complete is not None and not self._complete.done():
                self._complete.set_result(now)
