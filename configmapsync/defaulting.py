"""Defaults of unset fields: static ones are stored, derived ones computed when a sync is read.

The webhook stores the static defaults (`default_document`). Both processes complete
what they read (`with_defaults`). A default that is derived from another field is never
stored: it would keep its old value when that field changes. Lists keep the user's order
and repetitions: errors point into them, and tools compare them with what was applied.
"""

from typing import Any

from configmapsync.resource import ConfigMapSync, ConfigMapSyncSpec

_DERIVED = frozenset({"sourceNamespace", "destinationConfigMapName"})
_POLICIES = {
    str(field.alias): str(field.default)
    for name, field in ConfigMapSyncSpec.model_fields.items()
    if name in {"conflict_policy", "deletion_policy", "source_deletion_policy"}
}


def with_defaults(sync: ConfigMapSync) -> ConfigMapSync:
    """Return the resource with its derived defaults: source namespace and name of the copies."""
    derived = {
        "source_namespace": sync.source.namespace,
        "destination_config_map_name": sync.destination_name,
    }
    return sync.model_copy(update={"spec": sync.spec.model_copy(update=derived)})


def default_document(spec: dict[str, Any]) -> dict[str, Any]:
    """Return the wire form of a spec with its static defaults.

    An empty text in a field with a derived default means "unset", as in the API server's
    own types, and is removed. Any other value stays as it is, right or wrong.
    """
    said = {field: value for field, value in spec.items() if value != "" or field not in _DERIVED}
    return said | {field: value for field, value in _POLICIES.items() if said.get(field) is None}
