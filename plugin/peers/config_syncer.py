"""Find the copies that AppsCode's config-syncer makes, which was kubed before.

`importing.py` calls `find`. The annotation `kubed.appscode.com/sync` holds a label
selector of namespaces; empty or `true` means every namespace. Copies are deleted with
their source, and have all of its labels and annotations. Copies in other clusters
(`sync-contexts`) cannot be expressed.
"""

from configmapsync.names import is_reserved_key
from plugin.peers.inventory import AnnotatedConfigMap, Inventory
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


def find(source: AnnotatedConfigMap, _inventory: Inventory) -> Found:
    """Yield the copies that config-syncer makes of a ConfigMap, and remarks."""
    if ORIGIN in source.annotations:
        return  # a copy
    if source.annotations.get(CONTEXTS):
        text = "copies to other clusters (sync-contexts); install the operator there"
        yield source.remark(text, lost=True)
    if SYNC not in source.annotations:
        return
    value = source.annotations[SYNC]
    try:
        requirements = () if value == "true" else parse_selector(value)
    except SelectorError as error:
        yield source.remark(str(error), lost=True)
        return
    if reserved := sorted(key for key in {*source.labels, *source.annotations} if _is_lost(key)):
        shown = ", ".join(reserved[:MOST_LISTED])
        yield source.remark(f"{shown}: copied only if copyMetadata names them without a glob")
    yield WantedCopies(
        tool=TOOL,
        asked_by=source,
        source=source.key,
        selection=of_selector(requirements),
        follows_deletion=True,
        is_copy=lambda configmap: (
            source.key
            == (configmap.labels.get(ORIGIN_NAMESPACE), configmap.labels.get(ORIGIN_NAME))
        ),
        labels=("*",),
        annotations=("*",),
    )


def _is_lost(key: str) -> bool:
    """Return whether a label or annotation of the user is reserved, so that no glob copies it."""
    return is_reserved_key(key) and not key.startswith((PREFIX, "kubectl.kubernetes.io/"))
