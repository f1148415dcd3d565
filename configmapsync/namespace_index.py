"""Find namespaces by label and by prefix, and selectors by what they can select.

The caches, the graph and the webhook use it, so that a selection looks at the
namespaces that it can select, and a new namespace at the syncs that can select it. The
index only narrows a search: `Selector.matches` decides.
"""

from bisect import bisect_left, insort
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import TYPE_CHECKING

from configmapsync.globs import literal_prefix

if TYPE_CHECKING:
    from configmapsync.selection import Labels, Namespace, Selector

# Values of one label by which a selector is found; with more it is found by the label key.
MOST_VALUES = 16
ANY = "^"  # the key of selectors that may select a namespace of any name and labels
LAST = "\U0010ffff"  # sorts after every character of a name
FIRST_BATCH = 32
BATCH_GROWTH = 4


class NamespaceIndex(dict[str, "Namespace"]):
    """All namespaces by name, found by label and by prefix. Only `put` and `remove` change it."""

    def __init__(self) -> None:
        super().__init__()
        self._ordered: list[str] = []
        self._by_label: dict[str, dict[str, None]] = {}  # by `key` and by `key=value`

    def put(self, namespace: "Namespace") -> None:
        """Add or replace a namespace."""
        name = namespace.name
        previous = self.get(name)
        if previous is None or previous.labels != namespace.labels:
            self.remove(name)
            insort(self._ordered, name)
            for key in _label_texts(namespace):
                self._by_label.setdefault(key, {})[name] = None
        self[name] = namespace

    def remove(self, name: str) -> None:
        """Remove a namespace; a missing one is no error."""
        previous = self.pop(name, None)
        if previous is None:
            return
        del self._ordered[bisect_left(self._ordered, name)]
        for key in _label_texts(previous):
            del self._by_label[key][name]
            if not self._by_label[key]:
                del self._by_label[key]

    def with_prefix(self, prefix: str) -> Iterable[str]:
        """Return the names that begin with a prefix."""
        ordered = self._ordered
        return ordered[bisect_left(ordered, prefix) : bisect_left(ordered, prefix + LAST)]

    def labelled(self, labels: "Labels") -> Iterable[str]:
        """Return at least the names that match: those of the requirement that the fewest meet."""
        found = [
            [self._by_label.get(f"{key}={value}", {}) for value in values]
            for key, values in labels.inside
        ]
        found += [[self._by_label.get(key, {})] for key in labels.present]
        if not found:
            return self
        fewest = min(found, key=lambda groups: sum(map(len, groups)))
        return (name for group in fewest for name in group)


def _label_texts(namespace: "Namespace") -> Iterator[str]:
    for key, value in namespace.labels.items():
        yield key
        yield f"{key}={value}"


def growing_batches(names: Iterable[str]) -> Iterator[list[str]]:
    """Yield names in batches of growing size.

    A search that mostly ends early looks at few names; one that does not end has few batches.
    """
    size, remaining = FIRST_BATCH, iter(names)
    while batch := list(islice(remaining, size)):
        yield batch
        size *= BATCH_GROWTH


def selector_keys(selector: "Selector") -> frozenset[str]:
    """Return the keys of a selector; each namespace that it selects has one of them."""
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
    for text in _label_texts(namespace):
        yield f"/{text}"


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
