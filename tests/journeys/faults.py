"""Inject faults into devcluster.

The `fault` fixture of the journeys passes them to the tests.
"""

from typing import Any

from tests.support.cluster import Cluster

PATH = "/devcluster/faults"


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
