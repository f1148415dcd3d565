"""Find the spec field that selects a destination.

The errors and warnings of the webhook and of the plugin name these field paths, and the
rights of a sync are listed by them. `selection.py` decides what is selected.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from configmapsync.globs import Globs, compiled, is_glob
from configmapsync.namespace_index import growing_batches
from configmapsync.resource import ConfigMapSync
from configmapsync.selection import Namespace, Selector

SELECTOR_PATH = "spec.destinationNamespaceSelector"


@dataclass(frozen=True, slots=True)
class DestinationPaths:
    """The field paths of the destinations of one sync.

    Attributes:
        named: the path of each exact name, by namespace.
        globs: the path of each glob, by glob.
        has_selector: whether the spec has a label selector.
    """

    named: Mapping[str, str]
    globs: Mapping[str, str]
    has_selector: bool

    @property
    def open_ended(self) -> tuple[str, ...]:
        """Return the paths of globs and selector, which can select a future namespace."""
        return (*self.globs.values(), *((SELECTOR_PATH,) if self.has_selector else ()))

    def path_to(self, namespace: str) -> str:
        """Return the path that selects `namespace`, which must be a destination."""
        if namespace in self.named:
            return self.named[namespace]
        unmatched = set(Globs(self.globs).unmatched((namespace,)))
        matched = (path for glob, path in self.globs.items() if glob not in unmatched)
        return next(matched, SELECTOR_PATH)


def destination_paths(sync: ConfigMapSync, selector: Selector) -> DestinationPaths:
    """Return the field paths of the destinations of a sync, without excluded names."""
    named: dict[str, str] = {}
    globs: dict[str, str] = {}
    for path, name in _entries(sync):
        (globs if is_glob(name) else named).setdefault(name, path)
    excluded = selector.excluded.among(named)
    wanted = {name: path for name, path in named.items() if name not in excluded}
    return DestinationPaths(wanted, globs, sync.spec.destination_namespace_selector is not None)


def unmatched_patterns(
    paths: DestinationPaths, selector: Selector, namespaces: Mapping[str, Namespace]
) -> Iterator[tuple[str, str]]:
    """Yield each glob or label selector that alone selects no namespace.

    The first value is its path, the second names it in a message.

    Args:
        paths: of the destinations.
        selector: the compiled selection.
        namespaces: all namespaces by name.
    """
    unmatched = selector.globs
    for names in growing_batches(selector.near_globs(namespaces)):
        if not unmatched:
            break
        unmatched = compiled(unmatched.unmatched(selector.reachable(names)))
    for glob in unmatched.patterns:
        yield paths.globs[glob], f'"{glob}"'
    labels = selector.labels
    if labels is not None and not any(
        labels.match(namespaces[name].labels)
        for names in growing_batches(selector.near_labels(namespaces))
        for name in selector.reachable(names)
    ):
        yield SELECTOR_PATH, "the selector"


def _entries(sync: ConfigMapSync) -> Iterator[tuple[str, str]]:
    if sync.spec.destination_namespace:
        yield "spec.destinationNamespace", sync.spec.destination_namespace
    for index, name in enumerate(sync.spec.destination_namespaces):
        yield f"spec.destinationNamespaces[{index}]", name
