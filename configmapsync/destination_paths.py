"""Which field of a spec names which destination: errors point at it. Pure.

What is selected is decided in `configmapsync.selection`; this is only about where in the spec the reason stands.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from configmapsync.globs import Globs, is_glob
from configmapsync.resource import ConfigMapSync
from configmapsync.selection import Labels, Namespace, Selector

SELECTOR_PATH = "spec.destinationNamespaceSelector"


@dataclass(frozen=True, slots=True)
class Targets:
    """Where the destinations of one sync stand.

    Attributes:
        named: the path of every namespace given by exact name.
        globs: the path of every glob.
        has_selector: whether a label selector adds to them.
    """

    named: Mapping[str, str]
    globs: Mapping[str, str]
    has_selector: bool

    @property
    def open_ended(self) -> tuple[str, ...]:
        """The paths of what may come to select any namespace."""
        return (*self.globs.values(), *((SELECTOR_PATH,) if self.has_selector else ()))

    def path_to(self, namespace: str) -> str:
        """Return the field that makes `namespace` a destination."""
        if namespace in self.named:
            return self.named[namespace]
        idle = set(Globs(self.globs).idle((namespace,)))
        return next((path for glob, path in self.globs.items() if glob not in idle), SELECTOR_PATH)


def targets_of(sync: ConfigMapSync, selector: Selector) -> Targets:
    """Return the targets of a sync; excluded names are none."""
    named: dict[str, str] = {}
    globs: dict[str, str] = {}
    for path, name in _entries(sync):
        (globs if is_glob(name) else named).setdefault(name, path)
    excluded = selector.excluded.among(named)
    wanted = {name: path for name, path in named.items() if name not in excluded}
    return Targets(wanted, globs, sync.spec.destination_namespace_selector is not None)


def idle_targets(
    sync: ConfigMapSync, namespaces: Mapping[str, Namespace], protected: frozenset[str]
) -> Iterator[tuple[str, str]]:
    """Yield path and value of each glob, and of the label selector, that selects no namespace by itself."""
    reachable = Selector.of(sync, protected).reachable(namespaces)
    entries = [(path, name) for path, name in _entries(sync) if is_glob(name)]
    idle = set(Globs(name for _, name in entries).idle(reachable))
    yield from ((path, f'"{name}"') for path, name in entries if name in idle)
    if (selector := sync.spec.destination_namespace_selector) is not None:
        labels = Labels.of(selector)
        if not any(labels.match(namespace.labels) for namespace in reachable.values()):
            yield SELECTOR_PATH, "the selector"


def _entries(sync: ConfigMapSync) -> Iterator[tuple[str, str]]:
    if sync.spec.destination_namespace:
        yield "spec.destinationNamespace", sync.spec.destination_namespace
    for index, name in enumerate(sync.spec.destination_namespaces):
        yield f"spec.destinationNamespaces[{index}]", name
