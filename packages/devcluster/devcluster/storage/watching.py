"""Stream the changes of one kind, from the version that the client knows.

The store fills the queue of a watch and the HTTP shell empties it. An object that
begins to match the selector is ADDED, one that stops matching is DELETED.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from typing import Any

import msgspec

from devcluster.errors import ApiStatus
from devcluster.http.options import ListOptions
from devcluster.schema.kinds import Kind
from devcluster.storage.listing import both, expired, too_large
from devcluster.storage.selectors import field_predicate, label_predicate
from devcluster.storage.store import Event, Object, Revision, Store, TooOldError

BOOKMARK_EVERY = 60.0  # seconds, as the real server
BOOKMARK_BEFORE_END = 2.0
MOST_LINES = (
    100  # in one piece, so that neither many small events nor a few large ones hold the others up
)
ERROR = b'{"type":"ERROR"'
Form = Callable[[Object], Any]


@dataclass(frozen=True, slots=True)
class View:
    """How one watch shows objects.

    Attributes:
        name: of the form. Watches with the same name share encoded objects; empty shares nothing.
        make: the form itself.
    """

    name: str
    make: Form


class Watch:
    """One client's watch of one kind."""

    def __init__(
        self, store: Store, kind: Kind, namespace: str | None, options: ListOptions, view: View
    ) -> None:
        """Begin it: nothing that happens from now on is missed.

        Raises:
            ApiStatus: 400, a selector cannot be read.
        """
        self._store = store
        self._kind = kind
        self._namespace = namespace
        self._options = options
        self._view = view
        self._predicate = both(
            label_predicate(options.label_selector),
            field_predicate(options.field_selector, kind.key, custom=kind.custom is not None),
        )
        self._queue: asyncio.Queue[Event] = asyncio.Queue()
        self._reached = store.version
        self._stop = store.subscribe(self._take)

    def close(self) -> None:
        """End it."""
        self._stop()

    async def chunks(self) -> AsyncIterator[bytes]:
        """Yield events as lines of JSON, all that are ready at once, until the timeout."""
        initial = self._initial()
        while (
            not self._queue.empty()
        ):  # what happened while the answer was prepared is in there already
            self._queue.get_nowait()
        for first in range(0, len(initial), MOST_LINES):
            yield b"".join(initial[first : first + MOST_LINES])
        if initial and initial[-1].startswith(ERROR):
            return
        loop = asyncio.get_running_loop()
        end = loop.time() + self._options.timeout if self._options.timeout else None
        bookmark = self._next_bookmark(loop.time(), end, at_least_one=True)
        while True:
            wait = min((at for at in (end, bookmark) if at is not None), default=None)
            try:
                async with asyncio.timeout_at(wait):
                    event = await self._queue.get()
            except TimeoutError:
                if wait == end:
                    return
                if not self._queue.empty():
                    continue  # a bookmark must not overtake an event
                yield self._bookmark({})
                bookmark = self._next_bookmark(loop.time(), end)
                continue
            if chunk := b"".join(self._ready_lines(event)):
                yield chunk

    def _ready_lines(self, first: Event) -> Iterator[bytes]:
        """The lines of an event and of those that wait behind it."""
        events = [first]
        while len(events) < MOST_LINES and not self._queue.empty():
            events.append(self._queue.get_nowait())
        for event in events:
            self._reached = event.new.version
            if (line := self._line(event)) is not None:
                yield line

    def _next_bookmark(
        self, now: float, end: float | None, *, at_least_one: bool = False
    ) -> float | None:
        """When it is due: about every minute, and once more shortly before the end."""
        if not self._options.bookmarks:
            return None
        regular = now + BOOKMARK_EVERY
        if end is None:
            return regular
        last = end - BOOKMARK_BEFORE_END
        if last - now >= 1:
            return min(regular, last)
        return now + 1 if at_least_one else None

    def _take(self, event: Event) -> None:
        if event.key != self._kind.key:
            return
        if self._namespace is None or event.new.place[0] == self._namespace:
            self._queue.put_nowait(event)

    def _initial(self) -> list[bytes]:
        """Return the lines that come before any new event."""
        options = self._options
        if options.initial_events and options.at_version > self._store.version:
            return [_error(too_large(options.at_version, self._store.version))]
        if options.initial_events is False and options.at_version == 0:
            return []
        if options.initial_events or options.at_version == 0:
            revisions = self._store.items(self._kind.key, self._namespace)
            lines = [
                self._encode("ADDED", revision) for revision in revisions if self._selects(revision)
            ]
            if options.initial_events and options.bookmarks:
                lines.append(self._bookmark({"annotations": {"k8s.io/initial-events-end": "true"}}))
            return lines
        try:
            events = self._store.since(self._kind.key, options.at_version)
        except TooOldError as error:
            return [_error(expired(str(error)))]
        inside = (
            event
            for event in events
            if self._namespace is None or event.new.place[0] == self._namespace
        )
        return [line for event in inside if (line := self._line(event)) is not None]

    def _selects(self, revision: Revision | None) -> bool:
        return revision is not None and (
            self._predicate is None or self._predicate(revision.object)
        )

    def _line(self, event: Event) -> bytes | None:
        was = self._selects(event.old)
        if event.kind == "DELETED":
            return self._encode("DELETED", event.new) if was else None
        now = self._selects(event.new)
        if now:
            return self._encode("MODIFIED" if was else "ADDED", event.new)
        if was and event.old is not None:
            metadata = {**event.old.object["metadata"], "resourceVersion": str(event.new.version)}
            return self._encode(
                "DELETED", Revision({**event.old.object, "metadata": metadata}, event.new.version)
            )
        return None

    def _encode(self, kind: str, revision: Revision) -> bytes:
        view = self._view
        body = (
            revision.encoded(view.name, view.make)
            if view.name
            else msgspec.json.encode(view.make(revision.object))
        )
        return b'{"type":"%s","object":%s}\n' % (kind.encode(), body)

    def _bookmark(self, metadata: dict[str, Any]) -> bytes:
        metadata = {"resourceVersion": str(max(self._reached, self._store.version)), **metadata}
        obj = {"kind": self._kind.kind, "apiVersion": self._kind.api_version, "metadata": metadata}
        return msgspec.json.encode({"type": "BOOKMARK", "object": obj}) + b"\n"


def _error(status: ApiStatus) -> bytes:
    return ERROR + b',"object":%s}\n' % msgspec.json.encode(status.as_document())
