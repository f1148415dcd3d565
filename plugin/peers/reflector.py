"""Find the copies that emberstack/kubernetes-reflector makes.

`importing.py` calls `find`. If a source permits it (`reflection-allowed`), reflector
creates mirrors of it (`reflection-auto-`), and fills a mirror that names it
(`reflects`). A namespace list holds .NET regular expressions over whole names, and a
label selector adds to it. An automatic mirror is deleted with its source, a mirror that
a user created is not.
"""

from collections.abc import Callable

from configmapsync.names import NamespacedName
from configmapsync.selection import Namespace
from plugin.peers.inventory import AnnotatedConfigMap, Inventory
from plugin.peers.selections import Selection, everything, intersection, of_patterns, of_selector
from plugin.peers.selectors import SelectorError, parse_selector
from plugin.peers.wanted import Found, WantedCopies

TOOL = "reflector"
PREFIX = "reflector.v1.k8s.emberstack.com/"
ALLOWED = PREFIX + "reflection-allowed"
AUTO = PREFIX + "reflection-auto"
AUTO_ENABLED = PREFIX + "reflection-auto-enabled"
REFLECTS = PREFIX + "reflects"
IS_AUTOMATIC = PREFIX + "auto-reflects"


def find(configmap: AnnotatedConfigMap, inventory: Inventory) -> Found:
    """Yield the copies that reflector makes of or into a ConfigMap, and remarks."""
    if _is_true(configmap, IS_AUTOMATIC):
        return
    if configmap.annotations.get(REFLECTS):
        yield from _mirror(configmap, inventory)
    if _is_true(configmap, AUTO_ENABLED):
        yield from _automatic(configmap)
    elif _is_true(configmap, ALLOWED):
        text = "permits mirrors and creates none; the rights of the user replace the permission"
        yield configmap.remark(text)


def _automatic(source: AnnotatedConfigMap) -> Found:
    if not _is_true(source, ALLOWED):
        text = "reflector creates no mirrors, because reflection-allowed is not true"
        yield source.remark(text)
        return
    try:
        selection = intersection(_namespaces(source, ALLOWED), _namespaces(source, AUTO))
    except SelectorError as error:
        yield source.remark(str(error), lost=True)
        return
    yield WantedCopies(
        tool=TOOL,
        asked_by=source,
        source=source.key,
        selection=selection,
        follows_deletion=True,
        is_copy=_is_mirror_of(source.key),
    )


def _mirror(mirror: AnnotatedConfigMap, inventory: Inventory) -> Found:
    source = NamespacedName.parse(mirror.annotations[REFLECTS].strip())
    if source is None:
        yield mirror.remark(f"{REFLECTS} is not NAMESPACE/NAME", lost=True)
        return
    permitted, reason = _permits(inventory.configmaps.get(source), mirror, inventory)
    if reason:
        yield mirror.remark(reason)
    if permitted:
        yield WantedCopies(
            tool=TOOL,
            asked_by=mirror,
            source=source,
            selection=Selection(names=frozenset({mirror.namespace})),
            follows_deletion=False,
            is_copy=_is_mirror_of(source),
        )


def _permits(
    source: AnnotatedConfigMap | None, mirror: AnnotatedConfigMap, inventory: Inventory
) -> tuple[bool, str]:
    """Return whether a source permits a mirror, and what the user should know about that."""
    if source is None:
        return True, "its source was not read, so the permission of the source is assumed"
    if not _is_true(source, ALLOWED):
        return False, f"is not copied, because {source} does not permit it"
    try:
        allowed = _namespaces(source, ALLOWED)
    except SelectorError as error:
        return False, f"is not copied, because {source} permits it by a selector: {error}"
    namespace = (inventory.namespaces or {}).get(mirror.namespace)
    if allowed.selects(namespace or Namespace(mirror.namespace)):
        return True, ""
    if namespace is None and allowed.selectors:
        return True, "its namespace was not read, so the permission of the source is assumed"
    return False, f"is not copied, because {source} does not permit it in this namespace"


def _namespaces(source: AnnotatedConfigMap, prefix: str) -> Selection:
    """Return the namespaces of one list and its selector.

    Raises:
        SelectorError: the selector cannot be expressed.
    """
    patterns = source.annotations.get(f"{prefix}-namespaces", "")
    selector = source.annotations.get(f"{prefix}-namespaces-selector", "")
    if not patterns and not selector:
        return everything()
    selection = of_patterns(patterns)
    return selection.union(of_selector(parse_selector(selector))) if selector else selection


def _is_mirror_of(source: NamespacedName) -> Callable[[AnnotatedConfigMap], bool]:
    return lambda configmap: configmap.annotations.get(REFLECTS, "").strip() == str(source)


def _is_true(configmap: AnnotatedConfigMap, annotation: str) -> bool:
    return configmap.annotations.get(annotation, "").strip().lower() == "true"
