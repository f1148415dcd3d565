"""The solution of exercise 2: events become names, and a failed name is tried again."""

import asyncio
import random

from docs.exercises.cluster import NAMESPACE, Cluster
from docs.exercises.keys import LABEL, KeyCount, read_key_count
from docs.exercises.labeller import story
from kube.backoff import Backoff
from kube.client import CONFIGMAPS
from kube.errors import ApiError
from kube.informer import Informer
from kube.workqueue import WorkQueue


class NoMetrics:
    """Counts nothing."""

    def added(self, depth: int) -> None:
        """Ignore an added name."""

    def got(self, depth: int, waited: float) -> None:
        """Ignore a name that was taken."""

    def done(self, worked: float) -> None:
        """Ignore a finished name."""

    def retried(self) -> None:
        """Ignore a retry."""


class Labeller:
    """Makes the label of each ConfigMap right, whatever events came."""

    def __init__(self, made: Cluster) -> None:
        rng = random.Random(1)
        self._client = made.client
        self._queue: WorkQueue[str] = WorkQueue(NoMetrics())
        self._backoff: Backoff[str] = Backoff(rng)
        self.informer = Informer(
            made.connection, CONFIGMAPS.path(NAMESPACE), decode=read_key_count, rng=rng
        )
        self.informer.on_change(self._changed)

    async def run(self) -> None:
        """Work until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self.informer.run())
            tasks.create_task(self._work())

    def _changed(self, old: KeyCount | None, new: KeyCount | None) -> None:
        if (changed := new or old) is not None:
            self._queue.add(changed.name)  # a name: what the event said is not passed on

    async def _work(self) -> None:
        while (name := await self._queue.get()) is not None:
            try:
                await self._reconcile(name)
            except ApiError as error:
                print(f"  the label of {name} was not written: {error}", flush=True)
                self._queue.add_after(name, self._backoff.failed(name))
            else:
                self._backoff.forget(name)
            finally:
                self._queue.done(name)

    async def _reconcile(self, name: str) -> None:
        seen = self.informer.get(NAMESPACE, name)
        if seen is not None and seen.label != str(seen.keys):
            patch = {"metadata": {"labels": {LABEL: str(seen.keys)}}}
            await self._client.patch(CONFIGMAPS, NAMESPACE, name, patch)


if __name__ == "__main__":
    asyncio.run(story(Labeller))
