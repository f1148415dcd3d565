"""Check that something happens within a promised time, also on a busy machine."""

import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tests.support.cluster import Cluster
from tests.support.control_plane import ControlPlane
from tests.support.devcluster import DevCluster
from tests.support.processes import Process

NANOSECONDS = 1_000_000_000


@contextmanager
def within(seconds: float, cluster: Cluster, *processes: Process) -> Iterator[None]:
    """Fail if the block takes longer.

    The time for which a process of the test, of the cluster or of the product waited for a core
    does not count, where the system reports it.
    """
    everything = [*processes, *_servers(cluster)]
    began, before = time.monotonic(), _waited(everything)
    yield
    took = time.monotonic() - began
    # A process that has ended since is not excused.
    excused = sum(
        max(0.0, now - then) for now, then in zip(_waited(everything), before, strict=True)
    )
    assert took - excused <= seconds, f"took {took:.1f} s, of which {excused:.1f} s without a core"


def _servers(cluster: Cluster) -> list[Process]:
    if isinstance(cluster.server, DevCluster):
        return [cluster.server.process]
    return cluster.server.processes if isinstance(cluster.server, ControlPlane) else []


def _waited(processes: list[Process]) -> list[float]:
    """Return for how long each process and this one have waited for a core."""
    return [_waited_by(name) for name in (*(str(process.id) for process in processes), "self")]


def _waited_by(process: str) -> float:
    """Return for how long the most delayed thread has waited; 0 without the process."""
    waits = [0]
    for thread in Path(f"/proc/{process}/task").glob("*/schedstat"):
        with suppress(OSError):  # the thread has ended
            waits.append(int(thread.read_text(encoding="ascii").split()[1]))
    return max(waits) / NANOSECONDS
