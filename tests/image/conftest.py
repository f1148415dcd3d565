"""The stage of the journeys, for the same story told in a container."""

from tests.journeys.conftest import crd, stage

__all__ = ["crd", "stage"]
