"""Define what a module of a tool returns: the copies that the tool makes, and remarks.

`importing.py` groups these values, and `syncs.py` makes a sync of each group.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from configmapsync.names import NamespacedName
from plugin.peers.inventory import AnnotatedConfigMap, Remark
from plugin.peers.selections import Selection


@dataclass(frozen=True, slots=True)
class WantedCopies:
    """Copies of one source under one name, as one ConfigMap asks for them.

    Attributes:
        tool: the name of the tool.
        asked_by: the ConfigMap whose annotations ask for the copies; they have its name.
        source: the ConfigMap that is copied.
        selection: the namespaces of the copies.
        follows_deletion: whether the copies are deleted with the source.
        labels: names or globs of labels that are copied from the source.
        annotations: names or globs of annotations that are copied from the source.
        is_copy: whether an existing ConfigMap is such a copy.
    """

    tool: str
    asked_by: AnnotatedConfigMap
    source: NamespacedName
    selection: Selection
    follows_deletion: bool
    is_copy: Callable[[AnnotatedConfigMap], bool]
    labels: tuple[str, ...] = ()
    annotations: tuple[str, ...] = ()


Found = Iterator[WantedCopies | Remark]
