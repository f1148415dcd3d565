"""Drives `configmapsync/graph/decisions.py`: decides which claims count, in small steps, and wakes the syncs whose refusals changed.

`triggers.py` reports changes of syncs and namespaces. `observing.py` waits here before it plans a sync. Nothing here writes.
"""

import asyncio
from collections.abc import Callable

import structlog

from configmapsync.graph.decisions import Decisions, Progress
from configmapsync.names import NamespacedName


class Decider:
    """One task that decides everything; other work runs between its steps."""

    def __init__(self, decisions: Decisions, wake: Callable[[NamespacedName], None]) -> None:
        """Put the parts together.

        Args:
            decisions: the decisions.
            wake: enqueues a sync.
        """
        self._decisions = decisions
        self._wake = wake
        self._waiting: dict[NamespacedName, list[asyncio.Future[None]]] = {}
        self._work = asyncio.Event()
        self._log = structlog.get_logger("decider")

    def changed(self) -> None:
        """Decide again what a change of a sync or namespace has left undecided."""
        self._work.set()

    async def decided(self, sync: NamespacedName) -> None:
        """Wait until the refusals of a sync are known. Syncs that are waited for are decided first.

        Raises:
            RuntimeError: the decision failed; the reconcile is retried with backoff.
        """
        if self._decisions.decided(sync):
            return
        future = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(sync, []).append(future)
        self._work.set()
        await future

    async def run(self) -> None:
        """Decide until cancelled."""
        while True:
            await self._work.wait()
            self._work.clear()
            try:
                for news in self._decisions.decide(first=self._waiting):
                    self._announce(news)
                    await asyncio.sleep(0)
            except Exception as error:  # noqa: BLE001 - a mistake of ours must not end the process; the waiting syncs retry
                self._log.exception("deciding failed")
                self._fail(error)

    def _announce(self, news: Progress) -> None:
        """Wake the syncs that changed, but for those whose reconcile waits here and sees the news anyway."""
        for sync in news.changed - self._waiting.keys():
            self._log.debug("woken", sync=str(sync), trigger="rival")
            self._wake(sync)
        for sync in news.syncs & self._waiting.keys():
            for future in self._waiting.pop(sync):
                if not future.done():
                    future.set_result(None)

    def _fail(self, error: Exception) -> None:
        waiting, self._waiting = self._waiting, {}
        for future in (future for futures in waiting.values() for future in futures):
            if not future.done():
                future.set_exception(RuntimeError(f"cannot decide which syncs may write: {error}"))
