"""Cache one collection, with indexes and handlers.

The processes, `plan` and the plugin make an `Informer` for each kind that they cache,
and `reflector.py` feeds it. The cache must not go back in time: an event or an answer
that is older than the record is dropped, except after a restore of the storage.
"""

import asyncio
import random
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Generic

import msgspec
import structlog

from kube.client import JSON, ApiServer
from kube.history import Seen
from kube.own_writes import OwnWrites
from kube.reflector import Reflector
from kube.store import IndexFunction, R, Store, number, place_of, version_of
from kube.watch_state import WatchState
from kube.wire import Place, WatchedEvent, decode_version

Handler = Callable[[R | None, R | None], None]


class Informer(Generic[R]):
    """The collection at one path, as records.

    Attributes:
        synced: set once the first list is complete.
        state: of the list and watch, for health checks and metrics.
    """

    def __init__(
        self,
        connection: ApiServer,
        path: str,
        *,
        decode: Callable[[msgspec.Raw], R | None],
        confirms: Callable[[R, msgspec.Raw], bool] = lambda _record, _raw: False,
        keeps: Callable[[Place], bool] = lambda _place: True,
        rng: random.Random,
        params: Mapping[str, str] | None = None,
        accept: str = JSON,
        watch_accept: str | None = None,
        indexes: Mapping[str, IndexFunction[R]] | None = None,
    ) -> None:
        """Prepare; nothing is read before `run`.

        Args:
            connection: the way to the API server.
            path: of the collection.
            decode: makes a record of an object; None for one that is not kept.
            confirms: returns whether a record is right for an object of the same version; one
                made of the answer to a write may not be. If not, the object is decoded.
            keeps: returns whether the decoder may keep an object of that place. If not, a watch
                event of the object is not decoded, and its record is dropped.
            rng: for jitter.
            params: of the list and the watch, such as `labelSelector`.
            accept: in which form objects are asked for.
            watch_accept: in which form the watch asks for objects, if not like the list.
            indexes: by name, what a record is to be found under.
        """
        self._decode = decode
        self._confirms = confirms
        self._keeps = keeps
        self._store = Store(indexes or {})
        self._own_writes = OwnWrites()
        self._was_reset = False  # versions went back, and no list has come whole since
        self._handlers: list[Handler[R]] = []
        self._reset_handlers: list[Callable[[], None]] = []
        self._recovery_handlers: list[Callable[[], None]] = []
        self._log = structlog.get_logger("informer").bind(path=path)
        self._reflector = Reflector(
            connection, path, self, params=params, accept=accept, watch_accept=watch_accept, rng=rng
        )
        self.synced = asyncio.Event()
        self.state: WatchState = self._reflector.state

    @property
    def revision(self) -> int:
        """Return the number of changes so far, also of those that call no handler."""
        return self._store.revision

    async def run(self) -> None:
        """List and watch until cancelled."""
        await self._reflector.run()

    async def read_once(self) -> None:
        """List the collection and watch nothing: for a caller that looks only once.

        Raises:
            ApiError: a page could not be read.
        """
        await self._reflector.list()

    def get(self, namespace: str, name: str) -> R | None:
        """Return the record of one object; None if there is none."""
        return self._store.records.get((namespace, name))

    def by_index(self, index: str, value: str) -> tuple[R, ...]:
        """Return all records that `index` finds under `value`."""
        return self._store.by_index(index, value)

    def values(self) -> Iterator[R]:
        """Iterate over every record."""
        return iter(self._store.records.values())

    def __len__(self) -> int:
        return len(self._store.records)

    def on_change(self, handler: Handler[R]) -> None:
        """Call `handler(old, new)` for later changes, except by `record` and `forget`; be quick."""
        self._handlers.append(handler)

    def on_reset(self, handler: Callable[[], None]) -> None:
        """Call `handler()` after versions went back and the new list is cached."""
        self._reset_handlers.append(handler)

    def on_recovery(self, handler: Callable[[], None]) -> None:
        """Call `handler()` when the API server answers again after at least one failed attempt."""
        self._recovery_handlers.append(handler)

    @contextmanager
    def writing(self, namespace: str, name: str, generation: int | None = None) -> Iterator[None]:
        """Hold the events of an object while the block writes it.

        The event of the write can arrive before its answer. At the end of the block, when the
        answer is recorded, an event that is not newer is dropped. After an error the event counts.

        Args:
            namespace: of the object.
            name: of the object.
            generation: of the object, which the write keeps. An event with another one is an edit
                of the spec by another client, and does not wait for the write.
        """
        place = (namespace, name)
        self._own_writes.begin(place, generation)
        try:
            yield
        finally:
            if (event := self._own_writes.end(place)) is not None:
                self._handle(event)

    def record(self, new: R) -> None:
        """Cache the answer to a request of this process, before the watch brings it.

        No handler is called, so the answer must be a read, or a write with a precondition on the
        cached version. After another write, changes of other clients in between would be missed.
        A record of version 0 only marks a key as watched: every version is newer.
        """
        place, version = place_of(new), version_of(new)
        passed = 0 < version <= self._store.reached and not self._own_writes.has_event(place)
        if place not in self._store.records and passed:
            return  # the watch has brought it already, and its deletion after that
        if self._store.is_news(new):
            self._store.put(new)
            if version == 0:
                self._store.note_listed(place)  # a list in progress may have passed the key already

    def learn(self, new: R) -> None:
        """Cache what was read and call the handlers, as if the watch had brought it.

        The watch calls no handler for it any more. An object that the watch has deleted since
        is not cached.
        """
        if place_of(new) in self._store.records or version_of(new) > self._store.reached:
            self._change(new)

    def forget(self, namespace: str, name: str, version: str | None = None) -> None:
        """Remove an object that a request of this process deleted or did not find; call no handler.

        Args:
            namespace: of the object.
            name: of the object.
            version: the last one that is certainly gone, so that a later object of the same name
                stays; by default the cached one.
        """
        place = (namespace, name)
        held = self._store.records.get(place)
        if held is not None:
            gone = version_of(held) if version is None else number(version)
            if version_of(held) <= gone:
                self._store.remove(place)
                self._store.note_removed(place, gone)

    def reset(self) -> None:
        """Mark every record as stale, because versions went back."""
        self._was_reset = True
        self._own_writes.drop_events()
        self._store.mark_stale()

    def newest(self) -> Seen | None:
        """Return the record with the highest version; None if there is none."""
        return self._store.newest()

    def list_began(self, version: int) -> None:
        """Begin a list of that version."""
        self._store.begin_list(version)
        self._own_writes.drop_events()

    def listed(self, item: msgspec.Raw) -> None:
        """Take an object of the list."""
        self._take(item)

    def list_complete(self, version: int) -> None:
        """End a list: drop what it did not hold, unless it was recorded after the list was made."""
        for place in self._store.end_list(version):
            self._delete(place)
        if self._was_reset:
            self._was_reset = False
            self._call(self._reset_handlers)
        self.synced.set()

    def recovered(self) -> None:
        """Call the handlers of `on_recovery`."""
        self._call(self._recovery_handlers)

    def changed(self, event: WatchedEvent) -> bool:
        """Take an event of the watch; return whether a record changed."""
        before = self.revision
        self._store.advance(event.version)
        if not self._own_writes.hold(event):
            self._handle(event)
        return self.revision != before

    def _handle(self, event: WatchedEvent) -> None:
        if event.kind == "DELETED":
            self._take_out(event.place, event.version)
        elif not self._is_echo(event):
            if self._keeps(event.place):
                self._take(event.item)
            else:
                self._take_out(event.place, event.version)

    def _is_echo(self, event: WatchedEvent) -> bool:
        """Return whether the record is as new as the event, by the answer to an own request."""
        held = self._store.records.get(event.place)
        if held is None:
            return event.version <= self._store.removed.get(event.place, 0)
        known = version_of(held)
        if event.version != known:
            return event.version < known
        return self._confirms(held, event.item)

    def _take(self, item: msgspec.Raw) -> None:
        """Cache an object if the decoder keeps it.

        The record of an object that cannot be decoded stays: one object must not stop the others.
        """
        try:
            record = self._decode(item)
        except Exception:  # noqa: BLE001 - decoding is the owner's, and may fail in any way
            namespace, name = decode_version(item).place
            self._log.exception("cannot decode an object", namespace=namespace, name=name)
            self._store.note_listed((namespace, name))
            return
        if record is None:
            shown = decode_version(item)
            self._take_out(shown.place, number(shown.resource_version))
            return
        self._store.note_listed(place_of(record))
        self._change(record)

    def _take_out(self, place: Place, version: int) -> None:
        """Delete the record of an object unless it is newer."""
        self._store.note_gone(place, version)
        if place in self._store.records and self._store.version_at(place) <= version:
            self._delete(place)

    def _change(self, new: R) -> None:
        old = self._store.records.get(place_of(new))
        if self._store.is_news(new) and old != new:
            self._store.put(new)
            self._call(self._handlers, old, new)

    def _delete(self, place: Place) -> None:
        old = self._store.remove(place)
        if old is not None:
            self._call(self._handlers, old, None)

    def _call(self, handlers: Iterable[Callable[..., None]], *values: R | None) -> None:
        for handler in handlers:
            try:
                handler(*values)
            except Exception:  # noqa: BLE001 - an error in one handler must not stop the others
                name = getattr(handler, "__qualname__", repr(handler))
                self._log.exception("a handler failed", handler=name)
