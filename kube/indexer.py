"""Keep records by namespace and name, and find them by other values.

`informer.py` decides what is kept. An index is a function from a record to the values
under which the record is found.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from typing import Generic, Protocol, TypeVar

from kube.wire import Place


class Record(Protocol):
    """What can be cached: it knows where its object is and in which version."""

    @property
    def namespace(self) -> str:
        """Where the object is; empty for cluster-scoped kinds."""

    @property
    def name(self) -> str:
        """What it is called."""

    @property
    def resource_version(self) -> str:
        """In which version it was seen."""


def place_of(record: Record) -> Place:
    """Return the namespace and the name of a record."""
    return (record.namespace, record.name)


R = TypeVar("R", bound=Record)
IndexFunction = Callable[[R], Iterable[str]]


class Indexer(Generic[R]):
    """Records with indexes.

    Attributes:
        records: by place; only `put` and `remove` may change them.
    """

    def __init__(self, indexes: Mapping[str, IndexFunction[R]]) -> None:
        """Create an empty indexer.

        Args:
            indexes: by name, what a record is to be found under.
        """
        self.records: dict[Place, R] = {}
        self._indexes = indexes
        self._indexed: dict[str, defaultdict[str, dict[Place, None]]] = {
            name: defaultdict(dict) for name in indexes
        }

    def by_index(self, index: str, value: str) -> tuple[R, ...]:
        """Return the records that `index` finds under `value`."""
        places = self._indexed[index].get(value)
        return tuple(self.records[place] for place in places) if places else ()

    def put(self, new: R) -> None:
        """Keep a record in place of the previous one."""
        place = place_of(new)
        old = self.records.get(place)
        self.records[place] = new
        for index, function in self._indexes.items():
            before, after = tuple(function(old)) if old is not None else (), tuple(function(new))
            if before != after:
                self._drop(index, place, before)
                for value in after:
                    self._indexed[index][value][place] = None

    def remove(self, place: Place) -> R | None:
        """Remove and return a record; None if there is none."""
        old = self.records.pop(place, None)
        if old is not None:
            for index, function in self._indexes.items():
                self._drop(index, place, function(old))
        return old

    def _drop(self, index: str, place: Place, values: Iterable[str]) -> None:
        entries = self._indexed[index]
        for value in values:
            entries[value].pop(place, None)
            if not entries[value]:
                del entries[value]
