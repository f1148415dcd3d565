"""Hold the objects that an import reads, and what it finds.

`plugin/peers/reading.py` fills the inventory from files or from a cluster, and the
modules of the tools read it. It holds keys of ConfigMaps and no values.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from configmapsync.names import NamespacedName
from configmapsync.selection import Namespace


@dataclass(frozen=True, slots=True)
class AnnotatedObject:
    """A ConfigMap, or another object with annotations of one of the tools.

    Attributes:
        kind: such as ConfigMap or Secret.
        key: of the object.
        labels: of the object.
        annotations: of the object.
        keys: the keys of data and binaryData; None if they were not read.
    """

    kind: str
    key: NamespacedName
    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)
    keys: frozenset[str] | None = None

    def __str__(self) -> str:
        return f"{self.kind} {self.key}"


@dataclass(slots=True)
class Inventory:
    """What an import knows.

    Attributes:
        configmaps: by key.
        others: objects of other kinds that have annotations.
        namespaces: by name; None if no namespaces were read.
        syncs: source and name of the copies of each existing sync, by key of the sync.
    """

    configmaps: dict[NamespacedName, AnnotatedObject] = field(default_factory=dict)
    others: list[AnnotatedObject] = field(default_factory=list)
    namespaces: dict[str, Namespace] | None = None
    syncs: dict[NamespacedName, tuple[NamespacedName, str]] = field(default_factory=dict)

    def sorted_configmaps(self) -> Iterator[AnnotatedObject]:
        """Yield the ConfigMaps by namespace and name."""
        for key in sorted(self.configmaps):
            yield self.configmaps[key]


@dataclass(frozen=True, slots=True, order=True)
class Remark:
    """One thing that the user must know.

    Attributes:
        subject: the object, such as `ConfigMap default/app`.
        text: what the tool does, and what the sync does instead.
        lost: whether something that the tool does cannot be expressed.
    """

    subject: str
    text: str
    lost: bool = False

    def __str__(self) -> str:
        return f"{'not expressible' if self.lost else 'note'}: {self.subject}: {self.text}"
