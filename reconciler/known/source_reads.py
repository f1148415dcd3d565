"""Send the reads of sources: one by one, or as a list where many lie in one namespace.

`sources.py` calls it. A start with a thousand syncs reads their sources in a few pages.
A list ends as soon as a page holds few sources, so that a large namespace with few
sources is never listed whole.
"""

import asyncio
from collections import Counter
from collections.abc import Callable

import msgspec

from configmapsync.names import NamespacedName
from kube.client import CONFIGMAPS, Client
from kube.errors import AnswerTooLarge, ApiError, Malformed, NotFound
from kube.paging import Pace, Pages
from kube.wire import decode_list, decode_partial, decoding

# Reads in flight in one namespace; from then on further reads wait for a list.
MANY_READS = 8
# A list goes on while at least every eighth object of a page is a wanted source.
LEAST_SHARE = 8
# After a page with fewer sources the namespace is not listed again for so long.
PAUSE_SECONDS = 60.0

Raw = bytes | msgspec.Raw
Waiting = dict[NamespacedName, "asyncio.Future[Raw | None]"]


class SourceReads:
    """Reads ConfigMaps, with a list in place of many single reads."""

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
        if namespace in self._lists:
            return True
        now = asyncio.get_running_loop().time()
        if self._not_before.get(namespace, now) > now:
            return False
        self._not_before.pop(namespace, None)
        return self._single[namespace] >= MANY_READS

    async def _from_list(self, key: NamespacedName) -> Raw | None:
        """Wait for the list to pass `key`; None if the list ends before or does not hold it."""
        future = asyncio.get_running_loop().create_future()
        waiting = self._lists.get(key.namespace)
        if waiting is None:
            waiting = self._lists[key.namespace] = {}
            task = asyncio.create_task(self._list(key.namespace, waiting))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        earlier = waiting.get(key)
        if earlier is not None:
            return await asyncio.shield(earlier)
        waiting[key] = future
        return await asyncio.shield(future)

    async def _list(self, namespace: str, waiting: Waiting) -> None:
        """List a namespace page by page, while its pages are worth their bytes."""
        pages, pace, token = Pages(full_objects=True), Pace(), ""
        try:
            while True:
                items, token = await self._page(namespace, pages, token)
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
                if not future.done():
                    future.set_result(None)

    async def _page(
        self, namespace: str, pages: Pages, token: str
    ) -> tuple[list[msgspec.Raw], str]:
        """Return the objects of one page, and the continue token."""
        while True:
            params = {"limit": str(pages.limit)} | ({"continue": token} if token else {})
            try:
                body = await self._client.list(
                    CONFIGMAPS, namespace, params=params, max_bytes=pages.max_bytes
                )
            except AnswerTooLarge:
                if not pages.too_large():
                    raise
                continue
            pages.fitted(len(body))
            with decoding("the list of ConfigMaps"):
                page = decode_list(body)
            return page.items or [], page.metadata.continue_

    def _offer(self, waiting: Waiting, item: msgspec.Raw) -> bool:
        """Give an object to the read that waits for it, or else to the cache."""
        with decoding("a listed ConfigMap"):
            metadata = decode_partial(item).metadata
        if not metadata.name:
            raise Malformed("a listed ConfigMap has no name")
        key = NamespacedName(metadata.namespace, metadata.name)
        future = waiting.pop(key, None)
        if future is None:
            return self._prefetch(key, item)
        if not future.done():
            future.set_result(item)
        return True
