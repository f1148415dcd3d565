"""Fill an inventory from Kubernetes objects as they stand in files.

`plugin/commands/import_.py` calls it. An object of the wrong shape is skipped, because
the API server would not store it; no value of a ConfigMap or Secret is kept.
"""

from collections.abc import Mapping
from typing import Any

from configmapsync.names import API_VERSION, KIND, NamespacedName
from configmapsync.parsing import InvalidResourceError, parse
from configmapsync.selection import Namespace
from plugin.peers import config_syncer, reflector, replicator
from plugin.peers.inventory import AnnotatedConfigMap, Inventory, of_other_kind
from plugin.peers.selectors import NAME_LABEL

PREFIXES = (reflector.PREFIX, replicator.PREFIX, config_syncer.PREFIX)
DEFAULT_NAMESPACE = "default"


def add(inventory: Inventory, document: Any) -> None:
    """Add an object, or those of a list, to an inventory."""
    if not isinstance(document, Mapping) or not isinstance(document.get("kind"), str):
        return
    if document["kind"].endswith("List") and isinstance(document.get("items"), list):
        for item in document["items"]:
            add(inventory, item)
    else:
        _add(inventory, document)


def _add(inventory: Inventory, document: Mapping[str, Any]) -> None:
    metadata = document.get("metadata")
    if not isinstance(metadata, Mapping) or not isinstance(metadata.get("name"), str):
        return
    name, kind = metadata["name"], document["kind"]
    key = NamespacedName(_text(metadata.get("namespace")) or DEFAULT_NAMESPACE, name)
    match document.get("apiVersion"), kind:
        case "v1", "ConfigMap":
            inventory.configmaps[key] = _annotated(document, key)
        case "v1", "Namespace":
            labels = {**_texts(metadata.get("labels")), NAME_LABEL: name}
            inventory.namespaces = {**(inventory.namespaces or {}), name: Namespace(name, labels)}
        case version, "ConfigMapSync" if version == API_VERSION and kind == KIND:
            _add_sync(inventory, document, key)
        case _:
            annotations = _texts(metadata.get("annotations"))
            if any(annotation.startswith(PREFIXES) for annotation in annotations):
                inventory.remarks.append(of_other_kind(kind, key))


def _add_sync(inventory: Inventory, document: Mapping[str, Any], key: NamespacedName) -> None:
    metadata = {**document["metadata"], "namespace": key.namespace}
    try:
        sync = parse({**document, "metadata": metadata})
    except (InvalidResourceError, ValueError):
        return  # `check` reports it
    inventory.syncs[key] = (sync.source, sync.destination_name)


def _annotated(document: Mapping[str, Any], key: NamespacedName) -> AnnotatedConfigMap:
    metadata = document["metadata"]
    parts = (document.get("data"), document.get("binaryData"))
    keys = {str(entry) for part in parts if isinstance(part, Mapping) for entry in part}
    return AnnotatedConfigMap(
        *key, _texts(metadata.get("labels")), _texts(metadata.get("annotations")), frozenset(keys)
    )


def _texts(value: Any) -> dict[str, str]:
    """Return the entries of a map that are texts."""
    if not isinstance(value, Mapping):
        return {}
    return {key: entry for key, entry in value.items() if isinstance(entry, str)}


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""
