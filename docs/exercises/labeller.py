"""Exercise 2: a small operator, which reacts to events. It loses some of them.

Run it with `python -m docs.exercises.labeller`. The operator labels each ConfigMap with
the number of its keys. Make it level-triggered, as `labeller_solution.py` does.
"""

import asyncio
import random

from devcluster.http.faults import Fault
from docs.exercises.cluster import NAMESPACE, Cluster, cluster
from docs.exercises.keys import LABEL, KeyCount, read_key_count
from kube.client import CONFIGMAPS
from kube.errors import ApiError
from kube.informer import Informer


class Labeller:
    """Labels a ConfigMap when an event says that it changed."""

    def __init__(self, made: Cluster) -> None:
        self._client = made.client
        self._tasks: set[asyncio.Task[None]] = set()
        self.informer = Informer(
            made.connection, CONFIGMAPS.path(NAMESPACE), decode=read_key_count, rng=random.Random(1)
        )
        self.informer.on_change(self._changed)

    async def run(self) -> None:
        """Work until cancelled."""
        await self.informer.run()

    def _changed(self, old: KeyCount | None, new: KeyCount | None) -> None:
        if new is not None and new.label != str(new.keys):
            task = asyncio.create_task(self._write(new))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _write(self, seen: KeyCount) -> None:
        patch = {"metadata": {"labels": {LABEL: str(seen.keys)}}}
        try:
            await self._client.patch(CONFIGMAPS, seen.namespace, seen.name, patch)
        except ApiError as error:
            print(f"  the label of {seen.name} was not written: {error}", flush=True)


async def story(labeller: type) -> bool:
    """Create a ConfigMap while the API server is overloaded; return whether it gets its label."""
    async with cluster() as made:
        working = labeller(made)
        task = asyncio.create_task(working.run())
        await working.informer.synced.wait()
        fault = Fault("fail", verb="patch", name="exercise", status=503, times=2)
        made.running.faults.add(fault)
        await made.create("exercise", one="1", two="2")
        await asyncio.sleep(3)
        task.cancel()
        label = await made.label("exercise", LABEL)
    print(f"the label is {label}, and it should be 2", flush=True)
    return label == "2"


if __name__ == "__main__":
    asyncio.run(story(Labeller))
