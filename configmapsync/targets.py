"""Which field of a spec names which destination: errors point at it. Pure.

What is selected is decided in `configmapsync.selection`; this is only about where in the spec the reason stands.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from configmapsync.globs import is_glob, matches
from configmapsync.resource import ConfigMapSync
from configmapsync.selection import Selector

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
        by_glob = (path for glob, path in self.globs.items() if matches(glob, namespace))
        return self.named.get(namespace) or next(by_glob, SELECTOR_PATH)


def targets_of(sync: ConfigMapSync, selector: Selector) -> Targets:
    """Return the targets of a sync whose defaults are filled in; excluded names are none."""
    named: dict[str, str] = {}
    globs: dict[str, str] = {}
    for path, name in _entries(sync):
        if is_glob(name):
            globs[name] = path
        elif not selector.excludes(name):
            named.setdefault(name, path)
    return Targets(named, globs, sync.spec.destination_namespace_selector is not None)


def each_open_ended(sync: ConfigMapSync) -> Iterator[tuple[str, str, ConfigMapSync]]:
    """Yield path and value of each glob and of the selector, with a sync that selects by it alone."""
    for path, name in _entries(sync):
        if is_glob(name):
            yield path, f'"{name}"', _selecting_only(sync, destination_namespaces=(name,))
    if (selector := sync.spec.destination_namespace_selector) is not None:
        yield SELECTOR_PATH, "the selector", _selecting_only(sync, destination_namespace_selector=selector)


def _entries(sync: ConfigMapSync) -> Iterator[tuple[str, str]]:
    if sync.spec.destination_namespace:
        yield "spec.destinationNamespace", sync.spec.destination_namespace
    for index, name in enumerate(sync.spec.destination_namespaces):
        yield f"spec.destinationNamespaces[{index}]", name


def _selecting_only(sync: ConfigMapSync, **form: object) -> ConfigMapSync:
    bare: dict[str, object] = {
        "destination_namespace": None,
        "destination_namespaces": (),
        "destination_namespace_selector": None,
    }
    return sync.model_copy(update={"spec": sync.spec.model_copy(update=bare | form)})
