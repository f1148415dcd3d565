"""Fill an inventory from Kubernetes objects as they stand in files.

`plugin/commands/import_.py` calls it. An object of the wrong shape is skipped with a
remark, because the API server would not store it. No value of a ConfigMap or Secret is
kept.
"""

from collections.abc import Mapping
from typing import Any

import msgspec

from configmapsync.names import API_VERSION, KIND, NamespacedName
from configmapsync.parsing import InvalidResourceError, parse
from configmapsync.selection import Namespace
from plugin.peers import config_syncer, reflector, replicator
from plugin.peers.inventory import AnnotatedConfigMap, Inventory, Remark, of_other_kind
from plugin.peers.selectors import NAME_LABEL

PREFIXES = (reflector.PREFIX, replicator.PREFIX, config_syncer.PREFIX)
DEFAULT_NAMESPACE = "default"


class _Metadata(msgspec.Struct):
    name: str
    namespace: str | None = None
    labels: dict[str, str | None] | None = None
    annotations: dict[str, str | None] | None = None


class _Object(msgspec.Struct, rename="camel"):
    api_version: str
    kind: str
    metadata: _Metadata
    spec: Any = None
    data: dict[str, Any] | None = None
    binary_data: dict[str, Any] | None = None


def add(inventory: Inventory, document: Any) -> None:
    """Add an object, or those of a list, to an inventory."""
    if isinstance(document, dict) and isinstance(document.get("items"), list):
        for item in document["items"]:
            add(inventory, item)
        return
    try:
        found = msgspec.convert(document, _Object)
    except msgspec.ValidationError as error:
        _remark_shape(inventory, document, error)
        return
    name, kind = found.metadata.name, found.kind
    key = NamespacedName(found.metadata.namespace or DEFAULT_NAMESPACE, name)
    labels, annotations = _texts(found.metadata.labels), _texts(found.metadata.annotations)
    if (found.api_version, kind) == ("v1", "ConfigMap"):
        keys = frozenset((*(found.data or ()), *(found.binary_data or ())))
        inventory.configmaps[key] = AnnotatedConfigMap(*key, labels, annotations, keys)
    elif (found.api_version, kind) == ("v1", "Namespace"):
        namespace = Namespace(name, labels | {NAME_LABEL: name})
        inventory.namespaces = {**(inventory.namespaces or {}), name: namespace}
    elif (found.api_version, kind) == (API_VERSION, KIND):
        _add_sync(inventory, key, found.spec)
    elif any(annotation.startswith(PREFIXES) for annotation in annotations):
        inventory.remarks.append(of_other_kind(kind, key))


def _texts(entries: Mapping[str, str | None] | None) -> dict[str, str]:
    """Return labels or annotations; the API server stores null as an empty text."""
    return {key: value or "" for key, value in (entries or {}).items()}


def _remark_shape(inventory: Inventory, document: Any, error: msgspec.ValidationError) -> None:
    """Remark an object that cannot be read; other documents are of no interest."""
    match document:
        case {"kind": str(kind), "metadata": {"name": str(name)}}:
            inventory.remarks.append(Remark(f"{kind} {name}", f"is not read: {error}", lost=True))


def _add_sync(inventory: Inventory, key: NamespacedName, spec: Any) -> None:
    try:
        sync = parse({"metadata": key._asdict(), "spec": spec})
    except (InvalidResourceError, ValueError):
        return  # `check` reports it
    inventory.syncs[key] = (sync.source, sync.destination_name)
