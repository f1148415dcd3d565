"""Set the defaults of unset fields.

The webhook stores static defaults (`default_document`). Both processes complete the
syncs that they read (`with_defaults`). A default that depends on another field must not
be stored: it would keep its old value when that field changes. Lists stay unchanged,
because errors point into them and tools compare them with what was applied.
"""

from typing import Any

from msgspec.structs import replace

from configmapsync.resource import ConfigMapSync
from configmapsync.spec import ConfigMapSyncSpec

_DERIVED = frozenset({"sourceNamespace", "destinationConfigMapName"})
_POLICIES = {
    str(field.alias): str(field.default)
    for name, field in ConfigMapSyncSpec.model_fields.items()
    if name in {"conflict_policy", "deletion_policy", "source_deletion_policy"}
}


def with_defaults(sync: ConfigMapSync) -> ConfigMapSync:
    """Return the sync with its source namespace and the name of its copies."""
    derived = {
        "source_namespace": sync.source.namespace,
        "destination_config_map_name": sync.destination_name,
    }
    return replace(sync, spec=sync.spec.model_copy(update=derived))


def default_document(spec: dict[str, Any]) -> dict[str, Any]:
    """Return the wire form of a spec with its static defaults.

    An empty string in a field with a derived default means "unset", as in the types of the API
    server, and is removed. Any other value stays, valid or not.
    """
    given = {field: value for field, value in spec.items() if value != "" or field not in _DERIVED}
    return given | {field: value for field, value in _POLICIES.items() if given.get(field) is None}
