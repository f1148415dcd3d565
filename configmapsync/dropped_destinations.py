"""Find the destinations that an edit of a spec may drop.

`permissions.py` asks for the right to remove those copies. Only the two specs are
compared and no namespace is read, so the answer reveals nothing about the cluster. If
the specs cannot show that a namespace stays selected, as with a label selector, it
counts as dropped.
"""

from collections.abc import Iterator

from msgspec.structs import replace

from configmapsync.destination_paths import SELECTOR_PATH
from configmapsync.globs import is_glob
from configmapsync.resource import ConfigMapSync
from configmapsync.selection import Namespace, Selector
from configmapsync.spec import LabelSelector

NAMES_PATH = "spec.destinationNamespaces"
SHORT_PATH = "spec.destinationNamespace"
EXCLUSIONS_PATH = "spec.excludedNamespaces"
COPY_NAME_PATH = "spec.destinationConfigMapName"
EVERY_NAMESPACE = "*"
ANY_NAMESPACE = ""  # in place of namespaces that cannot be enumerated

_EVERYTHING = LabelSelector()


def dropped_destinations(
    previous: ConfigMapSync, sync: ConfigMapSync, protected: frozenset[str]
) -> tuple[tuple[str, str], ...]:
    """Return field path and namespace of each destination that an edit may drop.

    An empty namespace means any namespace, and is then the only one. Both specs must have their
    defaults.
    """
    if previous.destination_name != sync.destination_name:
        return _all_destinations(previous, protected)
    if open_ended := next(_dropped_patterns(previous, sync), None):
        return (open_ended,)
    return tuple(_dropped_names(previous, sync, protected))


def _all_destinations(
    previous: ConfigMapSync, protected: frozenset[str]
) -> tuple[tuple[str, str], ...]:
    """Return all destinations of a sync whose copies get another name."""
    if _open_ended(previous):
        return ((COPY_NAME_PATH, ANY_NAMESPACE),)
    before = _selector_before(previous, protected)
    return tuple(
        (COPY_NAME_PATH, name) for name in _exact_names(previous) if before.matches(Namespace(name))
    )


def _dropped_patterns(previous: ConfigMapSync, sync: ConfigMapSync) -> Iterator[tuple[str, str]]:
    """Yield each glob, selector and new exclusion that may drop unnamed namespaces."""
    if not _open_ended(previous):
        return
    if not _selects_everything(sync):
        names = set(sync.spec.destination_namespaces)
        if any(
            is_glob(name) and name not in names for name in previous.spec.destination_namespaces
        ):
            yield NAMES_PATH, ANY_NAMESPACE
        selector = previous.spec.destination_namespace_selector
        if selector is not None and selector != sync.spec.destination_namespace_selector:
            yield SELECTOR_PATH, ANY_NAMESPACE
    if any(is_glob(name) for name in _new_exclusions(previous, sync)):
        yield EXCLUSIONS_PATH, ANY_NAMESPACE


def _dropped_names(
    previous: ConfigMapSync, sync: ConfigMapSync, protected: frozenset[str]
) -> Iterator[tuple[str, str]]:
    """Yield each named namespace that the previous spec selects and the new one does not."""
    before, after = _selector_before(previous, protected), _selector_after(sync, protected)
    exclusions = [name for name in _new_exclusions(previous, sync) if not is_glob(name)]
    candidates = dict.fromkeys((*_exact_names(previous), *exclusions, sync.source.namespace))
    for name in candidates:
        if before.matches(Namespace(name)) and not after.matches(Namespace(name)):
            excluded = after.excludes(name)
            yield EXCLUSIONS_PATH if excluded else _path_of(previous, name), name


def _path_of(previous: ConfigMapSync, name: str) -> str:
    return SHORT_PATH if previous.spec.destination_namespace == name else NAMES_PATH


def _exact_names(sync: ConfigMapSync) -> Iterator[str]:
    if sync.spec.destination_namespace:
        yield sync.spec.destination_namespace
    yield from (name for name in sync.spec.destination_namespaces if not is_glob(name))


def _new_exclusions(previous: ConfigMapSync, sync: ConfigMapSync) -> Iterator[str]:
    known = set(previous.spec.excluded_namespaces)
    yield from (name for name in sync.spec.excluded_namespaces if name not in known)


def _open_ended(sync: ConfigMapSync) -> bool:
    spec = sync.spec
    return spec.destination_namespace_selector is not None or any(
        map(is_glob, spec.destination_namespaces)
    )


def _selects_everything(sync: ConfigMapSync) -> bool:
    spec = sync.spec
    return (
        EVERY_NAMESPACE in spec.destination_namespaces
        or spec.destination_namespace_selector == _EVERYTHING
    )


def _selector_before(sync: ConfigMapSync, protected: frozenset[str]) -> Selector:
    """Return a selector of all namespaces that may have been selected, with any labels."""
    any_labels = None if sync.spec.destination_namespace_selector is None else _EVERYTHING
    return _with_labels(sync, any_labels, protected)


def _selector_after(sync: ConfigMapSync, protected: frozenset[str]) -> Selector:
    """Return a selector of what is certainly selected; other labels than none may not match."""
    selector = sync.spec.destination_namespace_selector
    return _with_labels(sync, selector if selector == _EVERYTHING else None, protected)


def _with_labels(
    sync: ConfigMapSync, labels: LabelSelector | None, protected: frozenset[str]
) -> Selector:
    spec = sync.spec.model_copy(update={"destination_namespace_selector": labels})
    return Selector.of(replace(sync, spec=spec), protected)
