"""Finalize deleted CustomResourceDefinitions: their objects are deleted first."""

from collections.abc import Iterable
from typing import Any

from devcluster.controllers.actor import Actor
from devcluster.storage.store import Event, Object

DEFINITIONS = ("apiextensions.k8s.io", "customresourcedefinitions")
# The registry adds this finalizer when a deletion is requested.
FINALIZER = "customresourcecleanup.apiextensions.k8s.io"


class Definitions:
    """Works on names of definitions."""

    def __init__(self, actor: Actor) -> None:
        self._actor = actor
        self._ending: dict[
            tuple[str, str], str
        ] = {}  # where the objects are stored -> the definition's name

    def begin(self) -> Iterable[str]:
        """Every definition that was on its way out when the server stopped."""
        return [
            name
            for revision in self._actor.store.items(DEFINITIONS)
            for name in self._noted(revision.object)
        ]

    def wakes(self, event: Event) -> Iterable[str]:
        """A definition was deleted, or an object of one that is on its way out is gone."""
        if event.key != DEFINITIONS:
            ending = self._ending.get(event.key)
            return [ending] if ending is not None and event.kind == "DELETED" else []
        if event.kind == "DELETED":
            self._ending.pop(_key(event.new.object), None)
            return []
        return self._noted(event.new.object)

    async def settle(self, item: object) -> None:
        """Delete the objects; when none is left, take the finalizer off."""
        found = self._actor.store.get(DEFINITIONS, "", str(item))
        if found is None or FINALIZER not in (found.object["metadata"].get("finalizers") or ()):
            return
        key = _key(found.object)
        for kind, revision in self._actor.served(key, ""):
            if not revision.object["metadata"].get("deletionTimestamp"):
                await self._actor.delete(kind, revision.object)
        current, kind_of_definitions = (
            self._actor.store.get(DEFINITIONS, "", str(item)),
            self._actor.catalog.by_key(DEFINITIONS),
        )
        if current is None or kind_of_definitions is None or self._actor.store.items(key):
            return
        await self._actor.update(
            kind_of_definitions, current.object, _without_finalizer(current.object)
        )

    def _noted(self, definition: Object) -> list[str]:
        if not definition["metadata"].get("deletionTimestamp"):
            return []
        name: str = definition["metadata"]["name"]
        self._ending[_key(definition)] = name
        return [name]


def _key(definition: Object) -> tuple[str, str]:
    return definition["spec"]["group"], definition["spec"]["names"]["plural"]


def _without_finalizer(definition: Object) -> dict[str, Any]:
    metadata = definition["metadata"]
    kept = [name for name in metadata.get("finalizers") or () if name != FINALIZER]
    return {**definition, "metadata": {**metadata, "finalizers": kept}}
