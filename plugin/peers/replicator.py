"""Find the copies that mittwald/kubernetes-replicator makes.

`importing.py` calls `find`. A source pushes copies by name (`replicate-to`) and by
label (`replicate-to-matching`); a target pulls its content (`replicate-from`) if the
source permits it. Names are Go regular expressions; `^` and `$` are added to the list
item as a whole, so in `a|b` they belong to one alternative each. A pull only adds keys,
while a sync makes a copy equal to its source.
"""

from configmapsync.names import NamespacedName, is_reserved_key
from configmapsync.selection import Namespace
from plugin.peers.inventory import AnnotatedConfigMap, Inventory
from plugin.peers.selections import Selection, of_patterns, of_selector
from plugin.peers.selectors import SelectorError, parse_selector
from plugin.peers.wanted import Found, WantedCopies

TOOL = "replicator"
PREFIX = "replicator.v1.mittwald.de/"
TO = PREFIX + "replicate-to"
TO_MATCHING = PREFIX + "replicate-to-matching"
FROM = PREFIX + "replicate-from"
ALLOWED = PREFIX + "replication-allowed"
ALLOWED_NAMESPACES = PREFIX + "replication-allowed-namespaces"
STRIP_LABELS = PREFIX + "strip-labels"
KEEP_OWNERS = PREFIX + "keep-owner-references"
REPLICATED_KEYS = PREFIX + "replicated-keys"
REPLICATED_VERSION = PREFIX + "replicated-from-version"
TRUE = frozenset({"1", "t", "T", "true", "TRUE", "True"})
MOST_LISTED = 8


def find(configmap: AnnotatedConfigMap, inventory: Inventory) -> Found:
    """Yield the copies that replicator makes of or into a ConfigMap, and remarks."""
    annotations = configmap.annotations
    if FROM in annotations:  # replicator ignores the other annotations then
        yield from _pulled(configmap, inventory)
    elif TO in annotations or TO_MATCHING in annotations:
        yield from _pushed(configmap)
    elif annotations.get(ALLOWED) in TRUE:
        text = "permits copies and makes none; the rights of the user replace the permission"
        yield configmap.remark(text)


def _pushed(source: AnnotatedConfigMap) -> Found:
    selection = of_patterns(source.annotations.get(TO, ""), searched=True)
    if TO_MATCHING in source.annotations:
        try:
            requirements = parse_selector(source.annotations[TO_MATCHING])
        except SelectorError as error:
            yield source.remark(str(error), lost=True)
        else:
            selection = selection.union(of_selector(requirements))
    if source.annotations.get(KEEP_OWNERS) == "true":
        text = "keeps owner references; a sync never copies them, because they end at a namespace"
        yield source.remark(text, lost=True)
    # Any value of strip-labels strips them, also "false".
    copies_labels = STRIP_LABELS not in source.annotations
    reserved = sorted(label for label in source.labels if is_reserved_key(label))
    if copies_labels and reserved:
        shown = ", ".join(reserved[:MOST_LISTED])
        text = f"the labels {shown} are copied only if copyMetadata names them without a glob"
        yield source.remark(text)
    yield WantedCopies(
        tool=TOOL,
        asked_by=source,
        source=source.key,
        selection=selection,
        follows_deletion=True,
        is_copy=lambda configmap: REPLICATED_VERSION in configmap.annotations,
        labels=("*",) if copies_labels else (),
    )


def _pulled(target: AnnotatedConfigMap, inventory: Inventory) -> Found:
    source = NamespacedName.parse(target.annotations[FROM].strip())
    if source is None:
        yield target.remark(f"{FROM} is not NAMESPACE/NAME", lost=True)
        return
    found = inventory.configmaps.get(source)
    permitted, reason = _permits(found, target)
    if reason:
        yield target.remark(reason)
    if not permitted:
        return
    if own := _own_keys(found, target):
        text = f"has keys of its own ({', '.join(own[:MOST_LISTED])}), which a sync would remove"
        yield target.remark(text, lost=True)
        return
    text = "replicator empties it when the source is deleted; the sync keeps the last content"
    yield target.remark(text)
    yield WantedCopies(
        tool=TOOL,
        asked_by=target,
        source=source,
        selection=Selection(names=frozenset({target.namespace})),
        follows_deletion=False,
        is_copy=lambda configmap: configmap.annotations.get(FROM, "").strip() == str(source),
    )


def _permits(source: AnnotatedConfigMap | None, target: AnnotatedConfigMap) -> tuple[bool, str]:
    """Return whether a source permits a copy, and what the user should know about that."""
    if source is None:
        return True, "its source was not read, so the permission of the source is assumed"
    namespaces = source.annotations.get(ALLOWED_NAMESPACES)
    if source.annotations.get(ALLOWED) not in TRUE or namespaces is None:
        reason = f"is not copied, because {source} does not permit it (unless --allow-all is set)"
        return False, reason
    if of_patterns(namespaces, searched=True).selects(Namespace(target.namespace)):
        return True, ""
    return False, f"is not copied, because {source} does not permit it in this namespace"


def _own_keys(source: AnnotatedConfigMap | None, target: AnnotatedConfigMap) -> list[str]:
    """Return the keys of a target that do not come from its source, sorted."""
    replicated = target.annotations.get(REPLICATED_KEYS, "").split(",")
    from_source = source.keys if source and source.keys is not None else frozenset(replicated)
    return sorted((target.keys or frozenset()) - from_source - frozenset(replicated))
