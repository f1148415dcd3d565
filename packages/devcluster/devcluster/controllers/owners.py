"""Collect garbage by owner references: background, foreground and orphan deletion.

A dependent is deleted only if all its owners are gone. An owner is identified by UID,
never by name.
"""

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from devcluster.controllers.actor import Actor
from devcluster.schema.kinds import Kind
from devcluster.storage.store import Event, Object

ORPHAN = "orphan"
FOREGROUND = "foregroundDeletion"

Reference = Mapping[str, Any]


class Place(NamedTuple):
    """Where an object is stored: the name of a piece of work."""

    key: tuple[str, str]
    namespace: str
    name: str


class Owners:
    """Works on places of objects that own or are owned."""

    def __init__(self, actor: Actor) -> None:
        self._actor = actor
        self._dependents: dict[str, set[Place]] = {}  # UID of an owner -> who refers to it

    def begin(self) -> Iterable[Place]:
        """Everything that refers to an owner or waits for its dependents."""
        for key, revision in self._actor.store.everything():
            place = Place(key, *revision.place)
            self._note(place, None, revision.object)
            if _references(revision.object) or _waits(revision.object):
                yield place

    def wakes(self, event: Event) -> Iterable[Place]:
        """Something refers to owners, waits for its dependents, or is gone."""
        place = Place(event.key, *event.new.place)
        old, new = event.old.object if event.old else None, event.new.object
        if event.kind != "DELETED":
            self._note(place, old, new)
            return [place] if _references(new) or _waits(new) else []
        self._note(place, old, None)
        owners = (self._owner(reference, place) for reference in _references(new))
        return [
            *self._dependents.get(new["metadata"]["uid"], ()),
            *(found[0] for found in owners if found is not None),
        ]

    async def settle(self, item: object) -> None:
        """Look at one object as an owner, then as a dependent."""
        if not isinstance(item, Place):
            return
        found, kind = self._actor.store.get(*item), self._actor.catalog.by_key(item.key)
        if found is None or kind is None:
            return
        if _waits(found.object):
            await self._let_go(kind, found.object)
        elif _references(found.object):
            await self._judge(kind, item, found.object)

    async def _let_go(self, kind: Kind, owner: Object) -> None:
        """Orphan the dependents of a waiting owner, or wait for those that block it."""
        uid, finalizers = owner["metadata"]["uid"], owner["metadata"]["finalizers"]
        blocked = False
        for place in list(self._dependents.get(uid, ())):
            found, its_kind = self._actor.store.get(*place), self._actor.catalog.by_key(place.key)
            if found is None or its_kind is None:
                continue
            if ORPHAN in finalizers:
                await self._drop_references(its_kind, found.object, {uid})
                continue
            blocked |= any(
                ref["uid"] == uid and ref.get("blockOwnerDeletion")
                for ref in _references(found.object)
            )
            if not found.object["metadata"].get("deletionTimestamp"):
                await self._judge(its_kind, place, found.object)
        if not blocked:
            metadata = {
                **owner["metadata"],
                "finalizers": [f for f in finalizers if f not in (ORPHAN, FOREGROUND)],
            }
            await self._actor.update(kind, owner, {**owner, "metadata": metadata})

    async def _judge(self, kind: Kind, place: Place, dependent: Object) -> None:
        """A dependent: keep it for the owners that live, or delete it after the last."""
        if dependent["metadata"].get("deletionTimestamp"):
            return
        living, gone, waiting = self._sorted(place, _references(dependent))
        if living:
            if gone or waiting:
                await self._drop_references(kind, dependent, gone | waiting)
        elif waiting:
            has_dependents = bool(self._dependents.get(dependent["metadata"]["uid"]))
            await self._actor.delete(
                kind, dependent, "Foreground" if has_dependents else "Background"
            )
        elif gone:
            await self._actor.delete(kind, dependent)

    def _sorted(
        self, place: Place, references: list[Reference]
    ) -> tuple[set[str], set[str], set[str]]:
        """Return the UIDs of owners that live, that are gone, and that wait for dependents."""
        living: set[str] = set()
        gone: set[str] = set()
        waiting: set[str] = set()
        for reference in references:
            uid = reference["uid"]
            if self._actor.catalog.by_kind(reference["apiVersion"], reference["kind"]) is None:
                living.add(uid)  # of a kind that is not served, so that nothing is known of it
                continue
            owner = self._owner(reference, place)
            if owner is None:
                gone.add(uid)
            elif FOREGROUND in (owner[1]["metadata"].get("finalizers") or ()) and _waits(owner[1]):
                waiting.add(uid)
            else:
                living.add(uid)
        return living, gone, waiting

    def _owner(self, reference: Reference, place: Place) -> tuple[Place, Object] | None:
        kind = self._actor.catalog.by_kind(reference["apiVersion"], reference["kind"])
        if kind is None:
            return None
        where = Place(kind.key, place.namespace if kind.namespaced else "", reference["name"])
        found = self._actor.store.get(*where)
        if found is None or found.object["metadata"]["uid"] != reference["uid"]:
            return None
        return where, found.object

    async def _drop_references(self, kind: Kind, dependent: Object, uids: set[str]) -> None:
        kept = [reference for reference in _references(dependent) if reference["uid"] not in uids]
        if len(kept) != len(_references(dependent)):
            metadata = {**dependent["metadata"], "ownerReferences": kept}
            await self._actor.update(kind, dependent, {**dependent, "metadata": metadata})

    def _note(self, place: Place, old: Object | None, new: Object | None) -> None:
        """Keep the index of dependents."""
        before = {reference["uid"] for reference in _references(old)} if old else set()
        after = {reference["uid"] for reference in _references(new)} if new else set()
        for uid in before - after:
            places = self._dependents.get(uid, set())
            places.discard(place)
            if not places:
                self._dependents.pop(uid, None)
        for uid in after - before:
            self._dependents.setdefault(uid, set()).add(place)


def _references(obj: Object) -> list[Reference]:
    return obj["metadata"].get("ownerReferences") or []


def _waits(obj: Object) -> bool:
    """Whether an object was deleted and waits for what becomes of its dependents."""
    metadata = obj["metadata"]
    return bool(metadata.get("deletionTimestamp")) and any(
        f in (ORPHAN, FOREGROUND) for f in metadata.get("finalizers") or ()
    )
