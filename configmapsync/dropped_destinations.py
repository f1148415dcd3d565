"""Find the destinations that an edit of a spec may drop.

`permissions.py` asks for the right to remove those copies. Only the two specs are
compared and no namespace is read, so the answer reveals nothing about the cluster. If
the specs cannot show that a namespace stays selected, as with a label selector, it
counts as dropped.
"""

from collections.abc import Iterator
from dataclasses import replace

from configmapsync.destination_paths import SELECTOR_PATH
from configmapsync.globs import is_glob
from configmapsync.resource import ConfigMapSync
from configmapsync.selection import Labels, Namespace, Selector
from configmapsync.spec import ConfigMapSyncSpec, LabelSelector

NAMES_PATH = "spec.destinationNamespaces"
EXCLUSIONS_PATH = "spec.excludedNamespaces"
COPY_NAME_PATH = "spec.destinationConfigMapName"
EVERY_NAMESPACE = "*"
ANY_NAMESPACE = ""  # in place of namespaces that cannot be enumerated

_ANY_LABELS = Labels.of(LabelSelector())


def dropped_destinations(
    previous: ConfigMapSync, sync: ConfigMapSync, protected: frozenset[str]
) -> tuple[tuple[str, str], ...]:
    """Return field path and namespace of each destination that an edit may drop.

    An empty namespace means any namespace, and is then the only one. Both specs must have their
    defaults.
    """
    before, after = Selector.of(previous, protected), Selector.of(sync, protected)
    # The labels of a namespace are not known. A selector of the previous spec may have matched
    # them, and a selector of the new spec certainly matches them only if it is empty.
    before = replace(before, labels=before.labels and _ANY_LABELS)
    after = replace(after, labels=_ANY_LABELS if after.labels == _ANY_LABELS else None)
    renamed = previous.destination_name != sync.destination_name
    if before.open_ended:
        path = COPY_NAME_PATH if renamed else _path_of_pattern(previous.spec, sync.spec, after)
        if path:
            return ((path, ANY_NAMESPACE),)
    if renamed:
        return tuple((COPY_NAME_PATH, name) for name in _names(previous.spec, before))
    return tuple(_dropped_names(previous, sync, before, after))


def _path_of_pattern(
    previous: ConfigMapSyncSpec, spec: ConfigMapSyncSpec, after: Selector
) -> str | None:
    """Return the path of the glob, selector or new exclusion that may drop unnamed namespaces."""
    if EVERY_NAMESPACE not in spec.destination_namespaces and after.labels is None:
        gone = {*previous.destination_namespaces} - {*spec.destination_namespaces}
        if any(map(is_glob, gone)):
            return NAMES_PATH
        selector = previous.destination_namespace_selector
        if selector is not None and selector != spec.destination_namespace_selector:
            return SELECTOR_PATH
    return EXCLUSIONS_PATH if any(map(is_glob, _new_exclusions(previous, spec))) else None


def _dropped_names(
    previous: ConfigMapSync, sync: ConfigMapSync, before: Selector, after: Selector
) -> Iterator[tuple[str, str]]:
    """Yield each named namespace that the previous spec selects and the new one does not."""
    exclusions = (name for name in _new_exclusions(previous.spec, sync.spec) if not is_glob(name))
    for name in _names(previous.spec, before, *exclusions, sync.source.namespace):
        if after.excluded.matches(name):
            yield EXCLUSIONS_PATH, name
        elif not after.matches(Namespace(name)):
            short = previous.spec.destination_namespace == name
            yield "spec.destinationNamespace" if short else NAMES_PATH, name


def _names(previous: ConfigMapSyncSpec, before: Selector, *others: str) -> Iterator[str]:
    """Yield the names of the previous spec and others that it selects, each once."""
    named = (name for name in previous.destination_patterns if not is_glob(name))
    return (name for name in dict.fromkeys((*named, *others)) if before.matches(Namespace(name)))


def _new_exclusions(previous: ConfigMapSyncSpec, spec: ConfigMapSyncSpec) -> list[str]:
    known = set(previous.excluded_namespaces)
    return [name for name in spec.excluded_namespaces if name not in known]
