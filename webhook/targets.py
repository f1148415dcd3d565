"""Which field of a spec names which destination: errors point at it. Pure.

What is selected is decided in `configmapsync.selection`; this is only about where in the spec the reason stands.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from configmapsync.resource import ConfigMapSync
from configmapsync.selection import Selector

SELECTOR_PATH = "spec.destinationNamespaceSelector"


@dataclass(frozen=True, slots=True)
class Targets:
    """Attributes: the path of every namespace given by exact name, and the paths of what may come to select any namespace."""

    named: Mapping[str, str]
    open_ended: tuple[str, ...]

    def path_to(self, namespace: str) -> str:
        """Return the field that makes `namespace` a destination."""
        return self.named.get(namespace) or next(iter(self.open_ended), "spec")


def targets_of(sync: ConfigMapSync, selector: Selector) -> Targets:
    """Return the targets of a sync whose defaults are filled in; excluded names are none."""
    spec = sync.spec
    entries = [(f"spec.destinationNamespaces[{index}]", name) for index, name in enumerate(spec.destination_namespaces)]
    if spec.destination_namespace:
        entries.insert(0, ("spec.destinationNamespace", spec.destination_namespace))
    named: dict[str, str] = {}
    for path, name in entries:
        if name in selector.exact_names:
            named.setdefault(name, path)
    open_ended = [path for path, name in entries if _is_glob(name)]
    if spec.destination_namespace_selector is not None:
        open_ended.append(SELECTOR_PATH)
    return Targets(named, tuple(open_ended))


def _is_glob(name: str) -> bool:
    return "*" in name or "?" in name
