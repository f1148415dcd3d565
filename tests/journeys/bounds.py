"""Check that something happens within a promised time, also on a busy machine."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
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
    began, waited = time.monotonic(), _waited(everything)
    yield
    took = time.monotonic() - began
    excused = _waited(everything) - waited
    assert took - excused <= seconds, f"took {took:.1f} s, of which {excused:.1f} s without a core"


def _servers(cluster: Cluster) -> list[Process]:
    if isinstance(cluster.server, DevCluster):
        return [cluster.server.process]
    return cluster.server.processes if isinstance(cluster.server, ControlPlane) else []


def _waited(processes: list[Process]) -> float:
    """Return for how long processes have waited for a core, each by its most delayed thread."""
    return sum(_waited_by(str(process.id)) for process in processes) + _waited_by("self")


def _waited_by(process: str) -> float:
    threads = Path(f"/proc/{process}/task").glob("*/schedstat")
    waits = [int(each.read_text(encoding="ascii").split()[1]) for each in threads]
    return max(waits, default=0) / NANOSECONDS
