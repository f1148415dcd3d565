"""Inject faults into devcluster.

The `fault` fixture of the journeys passes them to the tests.
"""

from typing import Any

from tests.support.cluster import Cluster

PATH = "/devcluster/faults"


def stop_for(cluster: Cluster, seconds: float) -> None:
    """Stop devcluster, which comes back after some seconds; return when it has stopped.

    A test that polls for the refused connections of a short outage may miss it.
    """
    cluster.request_until_closed("POST", "/devcluster/restart", {"seconds": seconds})


class Faults:
    """The faults of one cluster."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster

    def __call__(self, action: str, **details: Any) -> None:
        """Add a fault; its details are those of devcluster's README."""
        self._cluster.create(PATH, {"action": action, **details})

    def hits(self) -> list[int]:
        """Return how many requests each fault has hit."""
        return [fault["hits"] for fault in self._cluster.get(PATH)["faults"]]

    def clear(self) -> None:
        """Remove all faults."""
        self._cluster.delete(PATH)
