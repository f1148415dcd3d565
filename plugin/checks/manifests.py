"""Read the objects of files that the checks need: syncs, namespaces and ConfigMaps.

`plugin/commands/check.py` calls it. Other objects and other YAML are skipped, because a
folder may hold them. What cannot be read is a finding.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from configmapsync.names import GROUP, KIND, NamespacedName
from dryrun.texts import texts
from dryrun.yaml_nodes import Node, YamlError, load_all
from plugin.checks.findings import Finding, Severity, position

DEFAULT_NAMESPACE = "default"
CORE_KINDS = frozenset({"ConfigMap", "Namespace"})


@dataclass(frozen=True, slots=True)
class Manifest:
    """One object of a file.

    Attributes:
        file: the name of the file.
        node: the object.
    """

    file: str
    node: Node

    @property
    def kind(self) -> str:
        """Return the kind; empty if it is missing."""
        return self._text("kind")

    @property
    def api_version(self) -> str:
        """Return the API version; empty if it is missing."""
        return self._text("apiVersion")

    def _text(self, field: str) -> str:
        node = self.node.get(field)
        return node.value if node is not None and isinstance(node.value, str) else ""

    @property
    def is_sync(self) -> bool:
        """Return whether the object is a ConfigMapSync, or was meant to be one."""
        group = self.api_version.partition("/")[0]
        return group == GROUP or (self.kind == KIND and not group)

    @property
    def metadata(self) -> dict[str, Any]:
        """Return the metadata as it stands in the file; empty if it is no map."""
        metadata = self.node.get("metadata")
        return metadata.plain() if metadata and isinstance(metadata.value, dict) else {}

    @property
    def key(self) -> NamespacedName:
        """Return namespace (or `default`) and name (or `generateName`), which may be empty."""
        texts = texts_of(self.metadata)
        name = texts.get("name") or texts.get("generateName", "")
        return NamespacedName(texts.get("namespace") or DEFAULT_NAMESPACE, name)

    def finding(self, path: str, message: str, severity: Severity = Severity.ERROR) -> Finding:
        """Return a finding about the field at `path`, or about the object if it is empty."""
        return Finding(self.file, *position(self.node, path), severity, str(self), path, message)

    def __str__(self) -> str:
        key = self.key
        return f"{self.kind or KIND} {key if key.name else f'{key.namespace}/?'}"


def read(filenames: Iterable[str]) -> tuple[list[Manifest], list[Finding], int]:
    """Return the objects, the findings about files, and the number of files.

    Args:
        filenames: files, folders, or `-` for standard input.

    Raises:
        UnreadableFileError: a file does not exist, or cannot be read.
    """
    manifests: list[Manifest] = []
    findings: list[Finding] = []
    count = 0
    for filename in filenames:
        for text, origin in texts(filename):
            count += 1
            try:
                for document in load_all(text):
                    manifests += _objects(document, origin)
            except YamlError as error:
                findings.append(_unreadable(text, origin, error))
    return manifests, findings, count


def _unreadable(text: str, origin: str, error: YamlError) -> Finding:
    """Return an error if the file has a sync, else a warning: it may be a template."""
    severity = Severity.ERROR if KIND in text or GROUP in text else Severity.WARNING
    return Finding(origin, *error.position, severity, "", "", f"invalid YAML: {error}")


def _objects(node: Node, origin: str) -> Iterator[Manifest]:
    manifest = Manifest(origin, node)
    items = node.get("items")
    if manifest.kind.endswith("List") and items is not None and isinstance(items.value, list):
        for item in items.value:
            yield from _objects(item, origin)
    elif manifest.is_sync or (manifest.api_version == "v1" and manifest.kind in CORE_KINDS):
        yield manifest


def texts_of(value: Any) -> dict[str, str]:
    """Return the entries of a map that are texts; none if it is no map."""
    if not isinstance(value, dict):
        return {}
    return {key: entry for key, entry in value.items() if isinstance(entry, str)}
