"""Find namespaces by label and by prefix, and selectors by what they can select.

The caches and the graph use it, so that a selection looks at the namespaces that it can
select, and a new namespace at the syncs that can select it. The index only narrows a
search: `Selector.matches` decides.
"""

from bisect import bisect_left, insort
from collections.abc import ItemsView, Iterable, Iterator, KeysView, Mapping, ValuesView
from itertools import islice
from typing import TYPE_CHECKING, TypeVar

from configmapsync.globs import literal_prefix

if TYPE_CHECKING:
    from configmapsync.selection import Labels, Namespace, Selector

Key = TypeVar("Key")
# Values of one label by which a selector is found; with more it is found by the label key.
MOST_VALUES = 16
ANY = "^"  # the key of selectors that may select a namespace of any name and labels
LAST = "\U0010ffff"  # sorts after every character of a name
FIRST_BATCH = 32
BATCH_GROWTH = 4


class NamespaceIndex(Mapping[str, "Namespace"]):
    """All namespaces by name, and their names by label and in order."""

    def __init__(self) -> None:
        self._by_name: dict[str, Namespace] = {}
        self._ordered: list[str] = []
        self._by_label: dict[tuple[str, str], dict[str, None]] = {}
        self._by_label_key: dict[str, dict[str, None]] = {}

    def __getitem__(self, name: str) -> "Namespace":
        return self._by_name[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._by_name)

    def __len__(self) -> int:
        return len(self._by_name)

    # The methods of `Mapping` would call `__getitem__` once for each namespace.

    def __contains__(self, name: object) -> bool:
        return name in self._by_name

    def keys(self) -> KeysView[str]:
        """Return a view of the names."""
        return self._by_name.keys()

    def items(self) -> ItemsView[str, "Namespace"]:
        """Return a view of the names with their namespaces."""
        return self._by_name.items()

    def values(self) -> ValuesView["Namespace"]:
        """Return a view of the namespaces."""
        return self._by_name.values()

    def updated(self, namespaces: Mapping[str, "Namespace"]) -> dict[str, "Namespace"]:
        """Return all namespaces by name, of which some are replaced or added."""
        return {**self._by_name, **namespaces}

    def put(self, namespace: "Namespace") -> None:
        """Add or replace a namespace."""
        name = namespace.name
        previous = self._by_name.get(name)
        if previous is None:
            insort(self._ordered, name)
        elif previous.labels != namespace.labels:
            self._remove_labels(previous)
        self._by_name[name] = namespace
        if previous is None or previous.labels != namespace.labels:
            for key, value in namespace.labels.items():
                self._by_label.setdefault((key, value), {})[name] = None
                self._by_label_key.setdefault(key, {})[name] = None

    def remove(self, name: str) -> None:
        """Remove a namespace; a missing one is no error."""
        previous = self._by_name.pop(name, None)
        if previous is not None:
            del self._ordered[bisect_left(self._ordered, name)]
            self._remove_labels(previous)

    def with_prefix(self, prefix: str) -> Iterable[str]:
        """Return the names that begin with a prefix."""
        if not prefix:
            return self._by_name
        ordered = self._ordered
        return ordered[bisect_left(ordered, prefix) : bisect_left(ordered, prefix + LAST)]

    def labelled(self, labels: "Labels") -> Iterable[str]:
        """Return the names of namespaces that can match, from the requirement with the fewest."""
        found = [
            [self._by_label.get((key, value), {}) for value in values]
            for key, values in labels.inside
        ]
        found += [[self._by_label_key.get(key, {})] for key in labels.present]
        if not found:
            return self._by_name
        fewest = min(found, key=lambda groups: sum(map(len, groups)))
        return (name for group in fewest for name in group)

    def _remove_labels(self, namespace: "Namespace") -> None:
        for key, value in namespace.labels.items():
            _discard(self._by_label, (key, value), namespace.name)
            _discard(self._by_label_key, key, namespace.name)


def growing_batches(names: Iterable[str]) -> Iterator[list[str]]:
    """Yield names in batches of growing size.

    A search that mostly ends early looks at few names; one that does not end has few batches.
    """
    size, remaining = FIRST_BATCH, iter(names)
    while batch := list(islice(remaining, size)):
        yield batch
        size *= BATCH_GROWTH


def selector_keys(selector: "Selector") -> frozenset[str]:
    """Return the keys under which a selector is found, one of which each selected namespace has."""
    keys = {f"={name}" for name in selector.exact_names}
    keys.update(ANY + literal_prefix(pattern) for pattern in selector.globs.patterns)
    if selector.labels is not None:
        keys.update(_label_keys(selector.labels))
    return frozenset(keys)


def namespace_keys(namespace: "Namespace") -> Iterator[str]:
    """Yield the keys of all selectors that may select a namespace."""
    name = namespace.name
    yield f"={name}"
    for length in range(len(name) + 1):
        yield ANY + name[:length]
    for key, value in namespace.labels.items():
        yield f"/{key}={value}"
        yield f"/{key}"


def _label_keys(labels: "Labels") -> Iterator[str]:
    """Yield the keys for one requirement that a matching namespace meets."""
    if labels.inside:
        key, values = min(labels.inside, key=lambda requirement: len(requirement[1]))
        if len(values) > MOST_VALUES:
            yield f"/{key}"
        else:
            yield from (f"/{key}={value}" for value in values)
    elif labels.present:
        yield f"/{min(labels.present)}"
    else:
        yield ANY


def _discard(index: dict[Key, dict[str, None]], key: Key, name: str) -> None:
    names = index[key]
    del names[name]
    if not names:
        del index[key]
