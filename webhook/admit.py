"""The judgement: one review and one view of the world in, errors and warnings out. Pure.

The order is a promise: first what the object alone shows (`shape`), then what its author may do (`authorization.py`), and only then
anything that could reveal what exists (`judge`). `admission.py` walks through it and does the waiting in between.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

from configmapsync.defaulting import default_document
from configmapsync.fielderrors import FieldError
from configmapsync.names import GROUP, PLURAL, NamespacedName
from configmapsync.resource import ConfigMapSync, ConflictPolicy
from configmapsync.selection import Namespace, Selector, select
from webhook.review import Document, Request, Review
from webhook.targets import Targets

JUDGED_OPERATIONS = frozenset({"CREATE", "UPDATE"})

# More in one answer is no longer read, and the API server cuts warnings off.
WARNED_OF_AT_MOST = 8


@dataclass(frozen=True, slots=True)
class View:
    """What may be known of the world for one judgement.

    Attributes:
        namespaces: all namespaces, those that the spec names confirmed by a live read.
        protected: namespaces that only an exact name selects.
        cycle: the ConfigMaps of a loop that the sync would close, or None.
        contested: destinations that another sync writes, with that sync.
        visible: those of the other syncs that the requesting user may see.
        source_exists: whether the source ConfigMap is there; None where nobody could tell.
        in_the_way: destinations where a ConfigMap stands that no sync manages.
    """

    namespaces: Mapping[str, Namespace]
    protected: frozenset[str]
    cycle: tuple[NamespacedName, ...] | None = None
    contested: tuple[tuple[NamespacedName, NamespacedName], ...] = ()
    visible: frozenset[NamespacedName] = frozenset()
    source_exists: bool | None = None
    in_the_way: tuple[NamespacedName, ...] = ()
