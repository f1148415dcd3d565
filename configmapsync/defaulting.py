"""What an unset field means, and lists without their repetitions. A second pass changes nothing.

The webhook writes these defaults into what is stored; the reconciler applies the same function to what it reads, so unset fields work without
a webhook. Static defaults stand in the models, and with them in the CRD.
"""

from collections.abc import Iterable
from typing import Any

from configmapsync.resource import ConfigMapSync, ConfigMapSyncSpec

# Not False, 0 and the like: YAML makes False of a namespace called `no`, and that must be refused, not replaced by a default.
_UNSET = (None, "")


def with_defaults(sync: ConfigMapSync) -> ConfigMapSync:
    """The same resource with everything said that it leaves unsaid."""
    return sync.model_copy(update={"spec": spec_with_defaults(sync.spec, sync.metadata.namespace)})


def spec_with_defaults(spec: ConfigMapSyncSpec, namespace: str) -> ConfigMapSyncSpec:
    """The spec of a resource in `namespace`, completed."""
    copied = spec.copy_metadata
    return spec.model_copy(
        update={
            "source_namespace": spec.source_namespace or namespace,
            "destination_config_map_name": spec.destination_config_map_name or spec.config_map_name,
            "destination_namespaces": _folded(spec.destination_namespaces),
            "excluded_namespaces": _folded(spec.excluded_namespaces),
            "keys": tuple(dict.fromkeys(spec.keys)),
            "copy_metadata": copied.model_copy(
                update={"labels": _folded(copied.labels), "annotations": _folded(copied.annotations)}
            ),
        }
    )


def default_document(spec: dict[str, Any], namespace: str) -> dict[str, Any]:
    """The same on the wire form of a spec that may hold mistakes: what is not of the right shape is left as it is.

    Args:
        spec: the decoded `spec`; not changed.
        namespace: of the resource.
    """
    defaulted = dict(spec)
    if defaulted.get("sourceNamespace") in _UNSET:
        defaulted["sourceNamespace"] = namespace
    if defaulted.get("destinationConfigMapName") in _UNSET and defaulted.get("configMapName"):
        defaulted["destinationConfigMapName"] = defaulted["configMapName"]
    for field in ("conflictPolicy", "deletionPolicy", "sourceDeletionPolicy"):
        if defaulted.get(field) is None:
            defaulted[field] = str(ConfigMapSyncSpec.model_fields[_attribute(field)].default)
    for field in ("destinationNamespaces", "excludedNamespaces"):
        if _is_list_of_names(defaulted.get(field)):
            defaulted[field] = list(_folded(defaulted[field]))
    return defaulted


def _folded(words: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted(set(words)))


def _is_list_of_names(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(item, str) for item in value)


def _attribute(field: str) -> str:
    return next(name for name, info in ConfigMapSyncSpec.model_fields.items() if info.alias == field)
