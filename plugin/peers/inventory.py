"""Hold the objects that an import reads, and what it finds.

`documents.py` fills the inventory from files and `cluster_reading.py` from a cluster,
and the modules of the tools read it. It holds keys of ConfigMaps and no values.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from configmapsync.names import NamespacedName
from configmapsync.selection import Namespace


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


@dataclass(frozen=True, slots=True)
class AnnotatedConfigMap:
    """A ConfigMap with its labels and annotations.

    Attributes:
        namespace: of the ConfigMap.
        name: of the ConfigMap.
        labels: all labels; from a cluster only the managed-by label if no tool set a label or
            annotation.
        annotations: all annotations; from a cluster none if no tool set a label or annotation.
        keys: the keys of data and binaryData; None if they were not read.
        resource_version: the version that was read; empty for a file.
    """

    namespace: str
    name: str
    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    keys: frozenset[str] | None = None
    resource_version: str = ""

    @property
    def key(self) -> NamespacedName:
        """Return the namespace and name of the ConfigMap."""
        return NamespacedName(self.namespace, self.name)

    def remark(self, text: str, *, lost: bool = False) -> Remark:
        """Return a remark about the ConfigMap."""
        return Remark(str(self), text, lost)

    def __str__(self) -> str:
        return f"ConfigMap {self.key}"


def of_other_kind(kind: str, key: NamespacedName) -> Remark:
    """Return the remark about an annotated object that is no ConfigMap, such as a Secret."""
    text = f"a {kind} is not copied: ConfigMapSync copies ConfigMaps only"
    return Remark(f"{kind} {key}", text, lost=True)


@dataclass(slots=True)
class Inventory:
    """What an import knows.

    Attributes:
        configmaps: by key.
        namespaces: by name; None if no namespaces were read.
        syncs: source and name of the copies of each existing sync, by key of the sync.
        remarks: what was not read, and annotated objects of other kinds.
    """

    configmaps: dict[NamespacedName, AnnotatedConfigMap] = field(default_factory=dict)
    namespaces: dict[str, Namespace] | None = None
    syncs: dict[NamespacedName, tuple[NamespacedName, str]] = field(default_factory=dict)
    remarks: list[Remark] = field(default_factory=list)

    def sorted_configmaps(self) -> Iterator[AnnotatedConfigMap]:
        """Yield the ConfigMaps by namespace and name."""
        for key in sorted(self.configmaps):
            yield self.configmaps[key]
