"""Read the content of sources, or answer from what the watches brought.

`observe.py` calls `Sources`. An edited source comes with the watch (`caches.py`); one
whose content is not cached yet, or not any more, is read: with a request of its own, or
with a list while many reads of its namespace are in flight. This module must not decide
what a missing source means.
"""

import asyncio
from collections import Counter
from collections.abc import Callable

import msgspec

from configmapsync.content import SourceObject
from configmapsync.copies import CopyRecord
from configmapsync.names import MANAGED_BY_LABEL, MANAGED_BY_VALUE, NamespacedName
from kube.client import CONFIGMAPS, Client
from kube.errors import ApiError, Malformed, NotFound
from kube.paging import Pace, Pages
from kube.rbac import Rule
from kube.wire import PartialObject, decode_as
from reconciler.known.caches import UNREAD, Caches
from reconciler.known.configmaps import ConfigMapVersion, read_copy, read_source

RULES = (Rule("configmaps", ("get", "list"), why="reads the content of sources"),)
# A read may return an older version than the watch has seen. More reads do not help if the
# cluster was restored from a backup.
MOST_READS = 3
# Reads in flight in one namespace; from then on further reads wait for a list.
MANY_READS = 8
# A list goes on while at least every eighth object of a page is a wanted source.
LEAST_SHARE = 8
# After a page with fewer sources the namespace is not listed again for so long.
PAUSE_SECONDS = 60.0

Raw = bytes | msgspec.Raw
Waiting = dict[NamespacedName, "asyncio.Future[Raw | None]"]


class Sources:
    """Reads sources; `Caches.contents` keeps the most recently used ones."""

    def __init__(self, client: Client, caches: Caches) -> None:
        """Create the reads.

        Args:
            client: of the API server.
            caches: the versions and the content that the watches brought.
        """
        self._caches = caches
        self._contents = caches.contents
        self._reads = SourceReads(client, self._prefetch)

    async def read(self, key: NamespacedName) -> SourceObject | None:
        """Return the source, from the cache if it is current; None if it does not exist.

        A read that is older than the cached version is repeated; the third counts in any case.

        Raises:
            ApiError: the source could not be read.
        """
        source = None
        for _ in range(MOST_READS):
            if (kept := self.kept(key)) is not None:
                return kept
            self._caches.expect_version(key)
            source, is_current = self._accept(key, await self._reads.get(key))
            if is_current:
                break
        if source is not None:
            self._contents.keep(source)
        return source

    def kept(self, key: NamespacedName) -> SourceObject | None:
        """Return the current source if its content is cached; else None."""
        version = self._caches.version_of(key)
        return None if version is None else self._contents.get(key, version)

    def _prefetch(self, key: NamespacedName, raw: Raw) -> bool:
        """Keep a listed source that a later read will ask for; return whether it is kept."""
        if not self._contents.has_room or not self._caches.syncs_of_source(key):
            return False
        if self.kept(key) is None:
            self._caches.expect_version(key)
            source, is_current = self._accept(key, raw)
            if source is not None and is_current:
                self._contents.keep(source)
        return True

    def _accept(self, key: NamespacedName, raw: Raw | None) -> tuple[SourceObject | None, bool]:
        """Return a read source, and whether the watches report every later change of it.

        The watch of versions excludes ConfigMaps with the label of copies. Only the first read
        records its version in a cache: after that, the event of a newer version must still enqueue
        the other syncs of the source.
        """
        if raw is None:
            self._caches.forget_expected(key)
            return None, True
        source = read_source(raw)
        held: CopyRecord | ConfigMapVersion | None
        if source.labels.get(MANAGED_BY_LABEL) == MANAGED_BY_VALUE:
            self._caches.forget_expected(key)
            if self._caches.copy_at(key) is None:
                self._caches.copies.record(read_copy(raw))
            held = self._caches.copy_at(key)
        else:
            held = self._caches.versions.get(*key)
            if held is not None and held.resource_version == UNREAD:
                held = ConfigMapVersion(*key, source.resource_version)
                self._caches.versions.record(held)
        if held is None:
            return source, False  # it was deleted, or another read has not found it
        read, known = source.resource_version, held.resource_version
        return source, int(read or UNREAD) >= int(known or UNREAD)


class SourceReads:
    """Reads ConfigMaps: with single requests, or with a list in place of many of them.

    A start with a thousand syncs reads their sources in a few pages. A list ends as soon as a page
    holds few sources, so that a large namespace with few sources is never listed whole.
    """

    def __init__(self, client: Client, prefetch: Callable[[NamespacedName, Raw], bool]) -> None:
        """Create the reads.

        Args:
            client: of the API server.
            prefetch: is offered each listed object that no read waits for, and returns whether it
                keeps the object.
        """
        self._client = client
        self._prefetch = prefetch
        self._single: Counter[str] = Counter()  # reads in flight, by namespace
        self._lists: dict[str, Waiting] = {}  # the reads that wait for the list of a namespace
        self._not_before: dict[str, float] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def get(self, key: NamespacedName) -> Raw | None:
        """Return one ConfigMap in JSON; None if it does not exist.

        Raises:
            ApiError: it could not be read.
        """
        if self._should_list(key.namespace):
            listed = await self._from_list(key)
            if listed is not None:
                return listed
        self._single[key.namespace] += 1
        try:
            return await self._client.get(CONFIGMAPS, *key)
        except NotFound:
            return None
        finally:
            self._single[key.namespace] -= 1
            if not self._single[key.namespace]:
                del self._single[key.namespace]

    def _should_list(self, namespace: str) -> bool:
        now = asyncio.get_running_loop().time()
        may_begin = self._not_before.get(namespace, now) <= now
        return namespace in self._lists or (may_begin and self._single[namespace] >= MANY_READS)

    async def _from_list(self, key: NamespacedName) -> Raw | None:
        """Wait for the list to pass `key`; None if the list ends before or does not hold it."""
        waiting = self._lists.get(key.namespace)
        if waiting is None:
            self._not_before.pop(key.namespace, None)
            waiting = self._lists[key.namespace] = {}
            task = asyncio.create_task(self._list(key.namespace, waiting))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        found = waiting.setdefault(key, asyncio.get_running_loop().create_future())
        return await asyncio.shield(found)

    async def _list(self, namespace: str, waiting: Waiting) -> None:
        """List a namespace page by page, while its pages are worth their bytes."""
        pages = Pages(
            lambda params, max_bytes: self._client.list(
                CONFIGMAPS, namespace, params=params, max_bytes=max_bytes
            ),
            "the list of ConfigMaps",
            full_objects=True,
        )
        pace, token = Pace(), ""
        try:
            while True:
                page = await pages.read(token)
                items, token = page.items or [], page.metadata.continue_
                useful = 0
                for item in items:
                    useful += self._offer(waiting, item)
                    await pace.did(len(memoryview(item)))
                if useful * LEAST_SHARE < len(items):
                    now = asyncio.get_running_loop().time()
                    self._not_before[namespace] = now + PAUSE_SECONDS
                    return
                if not token:
                    return
        except ApiError:
            return  # the single reads that follow report the error
        finally:
            del self._lists[namespace]
            for future in waiting.values():
                future.set_result(None)

    def _offer(self, waiting: Waiting, item: msgspec.Raw) -> bool:
        """Give an object to the read that waits for it, or else to the cache."""
        metadata = decode_as(item, PartialObject, "a listed ConfigMap").metadata
        if not metadata.name:
            raise Malformed("a listed ConfigMap has no name")
        key = NamespacedName(metadata.namespace, metadata.name)
        future = waiting.pop(key, None)
        if future is None:
            return self._prefetch(key, item)
        future.set_result(item)
        return True
