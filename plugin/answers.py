"""Define what `explain` observes of a ConfigMap, and what it answers.

`explaining.py` finds the answers, and `commands/explain.py` reads and prints. No answer
contains a value of a ConfigMap.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from cluster.syncs import SyncRecord
from configmapsync.content import SourceObject
from configmapsync.copies import CopyRecord
from configmapsync.explanations import Explanation
from configmapsync.names import NamespacedName
from configmapsync.selection import Namespace


@dataclass(frozen=True, slots=True)
class Problem(Explanation):
    """One reason why something is not right, in the form of `-o json`.

    Attributes:
        message: of the status; empty without one.
        namespaces: those with this failure; empty if the problem concerns the whole object.
    """

    message: str = ""
    namespaces: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Answer:
    """What is known about one object, in the form of `-o json`.

    Attributes:
        kind: `ConfigMapSync` or `ConfigMap`.
        namespace: of the object.
        name: of the object.
        right: whether it is as it should be; None if nothing says how it should be.
        facts: by label, in the order in which they are printed.
        problems: why it is not right.
    """

    kind: str
    namespace: str
    name: str
    right: bool | None
    facts: dict[str, str]
    problems: tuple[Problem, ...] = ()


@dataclass(slots=True)
class Observation:
    """What was read about a ConfigMap.

    Attributes:
        key: the ConfigMap.
        record: the ConfigMap; None if it does not exist.
        namespace: its namespace; None if it does not exist or was not read.
        syncs: every sync of the cluster; at most the one that `synced_by` of the record names
            if the user may not list them.
        source: the source of the owner; None if it does not exist or was not read.
        unreadable: why the source was not read; None if the user may read it.
        labels_known: whether the user may read the namespace.
        unread: what else the user may not read.
    """

    key: NamespacedName
    record: CopyRecord | None
    namespace: Namespace | None = None
    syncs: Sequence[SyncRecord] = ()
    source: SourceObject | None = None
    unreadable: str | None = None
    labels_known: bool = True
    unread: list[str] = field(default_factory=list)

    @property
    def owner(self) -> SyncRecord | None:
        """Return the sync with the UID on the ConfigMap, or else the one that it names.

        A sync that was created again has another UID, and takes its copies back. None if `syncs`
        has neither.
        """
        if self.record is None:
            return None
        uid, name = self.record.sync_uid, self.record.synced_by
        found = [sync for sync in self.syncs if sync.metadata.uid == uid]
        found = found or [sync for sync in self.syncs if sync.key == name]
        return found[0] if found else None
