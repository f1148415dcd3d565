"""Exercise 3: kill the reconciler between two writes, and look for what it leaves.

Run it with `python -m docs.exercises.crash`. The copy is created, but the reconciler
gets no answer and is killed. Then the sync is deleted while no reconciler runs.
"""

import asyncio
import signal
import sys
from pathlib import Path

import msgspec

from devcluster.http.faults import Fault
from docs.exercises.cluster import NAMESPACE, Cluster, cluster
from kube.client import CONFIGMAPS, NAMESPACES, Kind
from kube.errors import NotFound

ROOT = Path(__file__).parents[2]
SYNCS = Kind("apps.nishaf.info", "v1", "configmapsyncs")
TEAM = "team"
SYNC = {
    "apiVersion": "apps.nishaf.info/v1",
    "kind": "ConfigMapSync",
    "metadata": {"name": "sync"},
    "spec": {"configMapName": "exercise", "destinationNamespace": TEAM},
}
WAIT_SECONDS = 20.0


async def main() -> bool:
    """Return whether the copy goes with its sync, although the reconciler was killed."""
    async with cluster(ROOT / "config" / "crd" / "bases") as made:
        await made.client.create(NAMESPACES, "", {"metadata": {"name": TEAM}})
        await made.create("exercise", key="value")
        # The API server carries the request out and sends no answer.
        drop = made.running.faults.add(Fault("drop", verb="create", namespace=TEAM, times=1))
        reconciler = await start(made)
        await made.client.create(SYNCS, NAMESPACE, SYNC)
        async with asyncio.timeout(WAIT_SECONDS):
            while not drop.hits:
                await asyncio.sleep(0.01)
        reconciler.send_signal(signal.SIGKILL)
        await reconciler.wait()
        print(f"killed; the copy exists: {await exists(made, CONFIGMAPS, TEAM, 'exercise')}")

        await delete(made)
        print(f"sync deleted; it still exists: {await exists(made, SYNCS, NAMESPACE, 'sync')}")

        reconciler = await start(made)
        async with asyncio.timeout(WAIT_SECONDS):
            while await exists(made, SYNCS, NAMESPACE, "sync"):
                await asyncio.sleep(0.1)
        await asyncio.sleep(3)  # a sync that is gone already does not show when it is done
        reconciler.terminate()
        await reconciler.wait()
        orphan = await exists(made, CONFIGMAPS, TEAM, "exercise")
        print(f"the reconciler has run again; the copy exists: {orphan}")
        print("an orphan is left" if orphan else "nothing is left")
    return not orphan


async def start(made: Cluster) -> asyncio.subprocess.Process:
    """Start the reconciler, without its log."""
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "reconciler", "--kubeconfig", str(made.kubeconfig)),
        *("--health-address", "127.0.0.1:0"),
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )


async def delete(made: Cluster) -> None:
    """Delete the sync as it is now."""
    found = msgspec.json.decode(await made.client.get(SYNCS, NAMESPACE, "sync"))["metadata"]
    await made.client.delete(
        SYNCS, NAMESPACE, "sync", uid=found["uid"], resource_version=found["resourceVersion"]
    )


async def exists(made: Cluster, kind: Kind, namespace: str, name: str) -> bool:
    """Return whether an object exists."""
    try:
        await made.client.get(kind, namespace, name)
    except NotFound:
        return False
    return True


if __name__ == "__main__":
    sys.exit(0 if asyncio.run(main()) else 1)
