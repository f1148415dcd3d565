"""Keep each garbage collection short, however many objects the caches hold.

The reconciler and the webhook run `keep_collections_short` beside their work once their
caches are in sync. This module must not decide what is cached.

CPython up to 3.13 walks every tracked object in a full collection. With 5,000 cached
syncs (148,000 objects) a full collection took 101 to 105 ms, twice what a step may
take. So the cached objects are frozen: the collector does not walk them, and a frozen
object is still freed when its last reference goes. The survivors of each later full
collection are frozen as well, so a full collection walks only the objects that became
old since the last one: at most 23 ms while 5,000 syncs are replaced three times. Frozen
cycles that became garbage are reclaimed in a quiet moment, at most once an hour; that
walk takes 138 ms with 5,000 syncs. A process that is never quiet keeps those cycles.
CPython 3.14 collects old objects in increments, which are short by themselves; freezing
does no harm there.
"""

import asyncio
import gc
import time
from typing import Any

# A full collection is due after that many collections of generation 1. Each of these makes at
# most some 8,000 objects old, which a collection walks in 6 ms.
OLD_AFTER = 4
SWEEP_EVERY_SECONDS = 3600.0
QUIET_SECONDS = 10.0
QUIET_CPU_SECONDS = 0.1  # 1 % of a core: events of others, probes and scrapes need less


async def keep_collections_short() -> None:
    """Freeze what is cached now and keep later collections short, until cancelled."""
    thresholds = gc.get_threshold()
    gc.set_threshold(*thresholds[:2], OLD_AFTER)
    gc.callbacks.append(_freeze_survivors)
    try:
        gc.freeze()
        # CPython skips a full collection until a quarter of the objects that the last one
        # walked is new. This one walks nothing, so that the next comes after few objects.
        gc.collect()
        while True:
            await asyncio.sleep(SWEEP_EVERY_SECONDS)
            await _quiet()
            sweep()
    finally:
        gc.callbacks.remove(_freeze_survivors)
        gc.set_threshold(*thresholds)
        gc.unfreeze()


def sweep() -> None:
    """Reclaim frozen cycles too: a collection that walks every object of the process."""
    gc.unfreeze()
    gc.collect()
    gc.freeze()
    gc.collect()


async def _quiet() -> None:
    """Wait for ten seconds in which the process did next to nothing."""
    while True:
        used = time.process_time()
        await asyncio.sleep(QUIET_SECONDS)
        if time.process_time() - used < QUIET_CPU_SECONDS:
            return


def _freeze_survivors(phase: str, info: dict[str, Any]) -> None:
    if phase == "stop" and info["generation"] == 2:
        gc.freeze()
