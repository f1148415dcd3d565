"""The fixtures of the journeys, for the same steps in a container."""

from tests.journeys.conftest import crd, stage

__all__ = ["crd", "stage"]
