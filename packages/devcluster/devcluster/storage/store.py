"""The objects, one rising version, and the history from which watches resume. Pure.

A stored object is never changed; a write replaces it. So a page of a list can be
continued later, and all watches share one event. It knows no HTTP and no kinds.
"""

from bisect import bisect_left, insort
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import msgspec

HISTORY = 20_000  # events kept for watches that resume
SNAPSHOTS = 256  # lists kept for their next page

ResourceKey = tuple[str, str]  # group, plural
Place = tuple[str, str]  # namespace, name
Object = dict[str, Any]


class Revision:
    """One state of one object, with its JSON made at most once for each form it is asked for in."""

    __slots__ = ("_forms", "object", "version")

    def __init__(self, obj: Object, version: int) -> None:
        self.object = obj
        self.version = version
        self._forms: dict[str, bytes] = {}

    def encoded(self, form: str, make: Callable[[Object], Any]) -> bytes:
        """The JSON of `make(object)`, remembered under `form`."""
        known = self._forms.get(form)
        if known is None:
            known = self._forms[form] = msgspec.json.encode(make(self.object))
        return known

    @property
    def place(self) -> Place:
        """Where the object is found."""
        metadata = self.object["metadata"]
        return metadata.get("namespace", ""), metadata["name"]


class Event(NamedTuple):
    """One change."""

    kind: str  # ADDED, MODIFIED, DELETED
    key: ResourceKey
    new: Revision  # for DELETED the last state, with a version of its own
    old: Revision | None


class TooOldError(Exception):
    """The history does not reach back that far; `oldest` is where it begins."""

    def __init__(self, wanted: int, oldest: int) -> None:
        super().__init__(f"too old resource version: {wanted} ({oldest})")


class Store:
    """All objects of one cluster."""

    def __init__(self) -> None:
        self.version = 1
        self._objects: dict[ResourceKey, dict[Place, Revision]] = {}
        self._order: dict[ResourceKey, list[Place]] = {}
        self._history: deque[Event] = deque()
        self._began: dict[ResourceKey, int] = {}
        self._compacted = 0
        self._listeners: list[Callable[[Event], None]] = []

    def begin(self, key: ResourceKey) -> None:
        """A kind is served from now on: what was before its time cannot be watched."""
        self._began.setdefault(key, self.version)

    def forget(self, key: ResourceKey) -> None:
        """A kind is served no longer."""
        self._began.pop(key, None)

    def get(self, key: ResourceKey, namespace: str, name: str) -> Revision | None:
        """One object."""
        return self._objects.get(key, {}).get((namespace, name))

    def items(self, key: ResourceKey, namespace: str | None = None) -> list[Revision]:
        """All objects of a kind, or those of one namespace, in order of namespace and name."""
        objects, order = self._objects.get(key, {}), self._order.get(key, [])
        if namespace is None:
            return [objects[place] for place in order]
        first = bisect_left(order, (namespace, ""))
        last = bisect_left(order, (namespace + "\0", ""))
        return [objects[place] for place in order[first:last]]

    def keys(self) -> list[ResourceKey]:
        """The kinds of which there are objects."""
        return [key for key, objects in self._objects.items() if objects]

    def everything(self) -> Iterator[tuple[ResourceKey, Revision]]:
        """Every object there is."""
        for key in self.keys():
            for revision in self.items(key):
                yield key, revision

    def put(self, key: ResourceKey, obj: Object) -> Revision:
        """Store an object in its next version, in place of what was there."""
        self.version += 1
        metadata = {**obj["metadata"], "resourceVersion": str(self.version)}
        revision = Revision({**obj, "metadata": metadata}, self.version)
        place = revision.place
        objects = self._objects.setdefault(key, {})
        old = objects.get(place)
        if old is None:
            insort(self._order.setdefault(key, []), place)
        objects[place] = revision
        self._tell(Event("MODIFIED" if old else "ADDED", key, revision, old))
        return revision

    def remove(self, key: ResourceKey, namespace: str, name: str) -> Revision:
        """Take an object out; returns its last state, in a version of its own."""
        self.version += 1
        place = (namespace, name)
        old = self._objects[key].pop(place)
        order = self._order[key]
        del order[bisect_left(order, place)]
        metadata = {**old.object["metadata"], "resourceVersion": str(self.version)}
        last = Revision({**old.object, "metadata": metadata}, self.version)
        self._tell(Event("DELETED", key, last, old))
        return last

    def since(self, key: ResourceKey, version: int) -> list[Event]:
        """What happened to a kind after `version`.

        Raises:
            TooOldError: that is longer ago than the history reaches.
        """
        oldest = max(self._compacted, self._began.get(key, 0))
        if version < oldest:
            raise TooOldError(version, oldest)
        return [
            event for event in self._history if event.new.version > version and event.key == key
        ]

    def at(self, key: ResourceKey, namespace: str | None, version: int) -> list[Revision]:
        """What `items` returned at a former version."""
        state = {revision.place: revision for revision in self.items(key)}
        for event in reversed(self.since(key, version)):
            if event.old is None:
                state.pop(event.new.place, None)
            else:
                state[event.old.place] = event.old
        return [
            state[place] for place in sorted(state) if namespace is None or place[0] == namespace
        ]

    def compact(self) -> None:
        """Forget the history: a watch that resumes from before now gets a 410."""
        self._history.clear()
        self._compacted = self.version

    def skip(self, versions: int) -> None:
        """Never give these versions out, and forget what was before."""
        self.version += versions
        self.compact()

    def subscribe(self, listener: Callable[[Event], None]) -> Callable[[], None]:
        """Call `listener` for every event from now on; returns what ends that."""
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)

    def dump(self) -> dict[str, Any]:
        """Everything that a snapshot needs."""
        objects = [
            {"group": key[0], "plural": key[1], "object": revision.object}
            for key, revision in self.everything()
        ]
        return {"version": self.version, "objects": objects}

    def load(self, snapshot: dict[str, Any]) -> None:
        """Become what a snapshot holds; its history is not kept."""
        for entry in snapshot["objects"]:
            key, obj = (entry["group"], entry["plural"]), entry["object"]
            revision = Revision(obj, int(obj["metadata"]["resourceVersion"]))
            self._objects.setdefault(key, {})[revision.place] = revision
            insort(self._order.setdefault(key, []), revision.place)
        self.version = snapshot["version"]
        self._compacted = self.version

    def _tell(self, event: Event) -> None:
        self._history.append(event)
        if len(self._history) > HISTORY:
            self._compacted = max(self._compacted, self._history.popleft().new.version)
        for listener in list(self._listeners):
            listener(event)
