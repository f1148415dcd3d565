"""Find the copies that AppsCode's config-syncer makes, which was kubed before.

The annotation `kubed.appscode.com/sync` holds a label selector of namespaces; empty or
`true` means every namespace. Copies go with their source, and carry all of its labels
and annotations. Copies in other clusters (`sync-contexts`) cannot be expressed.
"""

from collections.abc import Iterator

from configmapsync.names import is_reserved_key
from plugin.peers.inventory import AnnotatedObject, Inventory, Remark
from plugin.peers.selections import of_selector
from plugin.peers.selectors import SelectorError, parse_selector
from plugin.peers.wanted import Found, WantedCopies

TOOL = "config-syncer"
PREFIX = "kubed.appscode.com/"
SYNC = PREFIX + "sync"
CONTEXTS = PREFIX + "sync-contexts"
ORIGIN = PREFIX + "origin"
ORIGIN_NAME = PREFIX + "origin.name"
ORIGIN_NAMESPACE = PREFIX + "origin.namespace"
MOST_LISTED = 8


def find(inventory: Inventory) -> Found:
    """Return the copies that config-syncer makes, and remarks."""
    wanted: list[WantedCopies] = []
    remarks: list[Remark] = []
    for configmap in inventory.sorted_configmaps():
        if ORIGIN in configmap.annotations:
            continue  # a copy
        if configmap.annotations.get(CONTEXTS):
            text = "copies to other clusters (sync-contexts); install the operator there"
            remarks.append(Remark(str(configmap), text, lost=True))
        if SYNC in configmap.annotations:
            wanted += _copies(configmap, remarks)
    return wanted, remarks


def _copies(source: AnnotatedObject, remarks: list[Remark]) -> Iterator[WantedCopies]:
    value = source.annotations[SYNC]
    try:
        requirements = () if value == "true" else parse_selector(value)
    except SelectorError as error:
        remarks.append(Remark(str(source), str(error), lost=True))
        return
    reserved = sorted(key for key in {*source.labels, *source.annotations} if _is_lost(key))
    if reserved:
        shown = ", ".join(reserved[:MOST_LISTED])
        text = f"{shown}: copied only if copyMetadata names them without a glob"
        remarks.append(Remark(str(source), text))
    yield WantedCopies(
        tool=TOOL,
        subject=str(source),
        source=source.key,
        name=source.key.name,
        selection=of_selector(requirements),
        follows_deletion=True,
        is_copy=lambda configmap: (
            (
                configmap.labels.get(ORIGIN_NAMESPACE),
                configmap.labels.get(ORIGIN_NAME),
            )
            == source.key
        ),
        labels=("*",),
        annotations=("*",),
    )


def _is_lost(key: str) -> bool:
    """Return whether the user may miss a label or annotation that no glob copies."""
    return is_reserved_key(key) and not key.startswith((PREFIX, "kubectl.kubernetes.io/"))
