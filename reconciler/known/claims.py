"""Decide in the background which syncs may write to which destinations.

`caches.py` puts changes into `Decisions`, `triggers.py` wakes the `Decider`, and
`observe.py` waits for the decision on a sync. The rules are in
`configmapsync/graph/decisions.py`. Nothing here may write.
"""

import asyncio
from collections.abc import Callable

import structlog

from configmapsync.graph.decisions import Decisions, Progress
from configmapsync.names import NamespacedName


class Decider:
    """Runs the decisions in small steps, with other work in between."""

    def __init__(self, decisions: Decisions, enqueue: Callable[[NamespacedName], None]) -> None:
        """Create a decider.

        Args:
            decisions: the claims of all syncs, and what was decided on them.
            enqueue: enqueues a sync whose refusals changed.
        """
        self._decisions = decisions
        self._enqueue = enqueue
        self._waiting: dict[NamespacedName, asyncio.Future[None]] = {}
        self._work = asyncio.Event()
        self._log = structlog.get_logger("decider")

    def changed(self) -> None:
        """Start to decide what a change of a sync or namespace has left undecided."""
        self._work.set()

    async def decided(self, sync: NamespacedName) -> None:
        """Wait until the refusals of a sync are decided; such syncs are decided first.

        Raises:
            RuntimeError: the decision failed; retry with backoff.
        """
        if self._decisions.decided(sync):
            return
        decided = self._waiting.setdefault(sync, asyncio.get_running_loop().create_future())
        self._work.set()
        await asyncio.shield(decided)

    async def run(self) -> None:
        """Decide until cancelled."""
        while True:
            await self._work.wait()
            self._work.clear()
            try:
                for progress in self._decisions.decide(first=self._waiting):
                    self._announce(progress)
                    await asyncio.sleep(0)
            except Exception as error:  # noqa: BLE001 - a defect must not end the process; the waiting syncs retry
                self._log.exception("cannot decide on claims")
                self._fail(error)

    def _announce(self, progress: Progress) -> None:
        """Enqueue the syncs whose refusals changed, except those whose reconcile waits here."""
        for sync in progress.changed - self._waiting.keys():
            self._log.debug("enqueued", sync=str(sync), trigger="rival")
            self._enqueue(sync)
        for sync in progress.syncs & self._waiting.keys():
            self._waiting.pop(sync).set_result(None)

    def _fail(self, error: Exception) -> None:
        waiting, self._waiting = self._waiting, {}
        for decided in waiting.values():
            decided.set_exception(RuntimeError(f"cannot decide which syncs may write: {error}"))
