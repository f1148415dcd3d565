"""Exercise 1: a list, a watch, and what happens when the watch breaks.

Run it with `python -m docs.exercises.watch`. Each indented line is a change that the
handler of the informer got.
"""

import asyncio
import random

from devcluster.http.faults import Fault
from docs.exercises.cluster import Cluster, cluster
from kube.client import CONFIGMAPS
from kube.informer import Informer
from reconciler.known.configmaps import ConfigMapVersion, read_identity

EDITS = 5
CATCH_UP_SECONDS = 5.0


def show(old: ConfigMapVersion | None, new: ConfigMapVersion | None) -> None:
    """Print a change of the cache."""
    if new is not None and new.name == "exercise":
        print("  changed" if old else "  added", new.name, flush=True)


async def main() -> None:
    """Edit a ConfigMap while the watch works, while it is broken, and while history is lost."""
    async with cluster() as made:
        informer = Informer(
            made.connection,
            CONFIGMAPS.path(),
            decode=lambda raw: read_identity(raw)[0],
            rng=random.Random(1),
        )
        informer.on_change(show)
        watching = asyncio.create_task(informer.run())
        await informer.synced.wait()

        print(f"the watch works, {EDITS} edits:", flush=True)
        await made.create("exercise", value="new")
        await edit(made)
        await asyncio.sleep(1)

        print(f"the watch is broken during {EDITS} edits:", flush=True)
        await break_watches(made)
        await edit(made)
        await mend_watches(made)

        print(f"the same, and the API server forgets its history after {EDITS} edits:", flush=True)
        await break_watches(made)
        await edit(made)
        made.running.store.compact()
        await mend_watches(made)

        print(f"the collection was listed {informer.state.lists} times", flush=True)
        watching.cancel()


async def edit(made: Cluster) -> None:
    """Edit the ConfigMap several times."""
    for number in range(EDITS):
        await made.edit("exercise", value=str(number))


async def break_watches(made: Cluster) -> None:
    """Cut every connection, and refuse to open a watch."""
    made.running.faults.add(Fault("fail", verb="watch", status=503))
    made.running.restart(0.0)
    await asyncio.sleep(0.5)


async def mend_watches(made: Cluster) -> None:
    """Permit watches again, and wait until the informer has caught up."""
    made.running.faults.clear()
    await asyncio.sleep(CATCH_UP_SECONDS)


if __name__ == "__main__":
    asyncio.run(main())
