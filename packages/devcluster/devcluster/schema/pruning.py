"""Drop undeclared fields by a schema, and list them. The input is not changed."""

from collections.abc import Mapping
from typing import Any

Schema = Mapping[str, Any]
PRESERVED: Schema = {"x-kubernetes-preserve-unknown-fields": True}
ROOT_FIELDS = ("apiVersion", "kind", "metadata")  # declared by being an object at all
METADATA_FIELDS = frozenset(
    (
        "annotations",
        "creationTimestamp",
        "deletionGracePeriodSeconds",
        "deletionTimestamp",
        "finalizers",
        "generateName",
        "generation",
        "labels",
        "managedFields",
        "name",
        "namespace",
        "ownerReferences",
        "resourceVersion",
        "selfLink",
        "uid",
    )
)


def pruned(
    value: Any, schema: Schema, unknown: list[str], path: str = "", *, is_object: bool = False
) -> Any:
    """Return the value with what is declared; the paths of all else are appended to `unknown`.

    Args:
        value: any JSON value.
        schema: of that value.
        unknown: gets paths such as `spec.items[0].colour`.
        path: of the value.
        is_object: whether it is a whole Kubernetes object, as the root and embedded resources are.
    """
    if isinstance(value, list):
        items = schema.get("items") or PRESERVED
        return [
            pruned(item, items, unknown, f"{path}[{index}]") for index, item in enumerate(value)
        ]
    if not isinstance(value, dict):
        return value
    is_object = is_object or bool(schema.get("x-kubernetes-embedded-resource"))
    kept = {}
    for key, member in value.items():
        below = f"{path}.{key}" if path else key
        if is_object and key in ROOT_FIELDS:
            kept[key] = _pruned_metadata(member, unknown, below) if key == "metadata" else member
            continue
        member_schema = _member_schema(schema, key)
        if member_schema is None:
            unknown.append(below)
        else:
            kept[key] = pruned(member, member_schema, unknown, below)
    return kept


def _member_schema(schema: Schema, key: str) -> Schema | None:
    """Return the schema of a member; None if it is undeclared, an open one if preserved."""
    properties = schema.get("properties") or {}
    if key in properties:
        declared: Schema = properties[key]
        return declared
    additional = schema.get("additionalProperties")
    if isinstance(additional, Mapping):
        return additional
    if additional is True or schema.get("x-kubernetes-preserve-unknown-fields"):
        return PRESERVED
    return None


def _pruned_metadata(metadata: Any, unknown: list[str], path: str) -> Any:
    if not isinstance(metadata, dict):
        return metadata
    unknown += [f"{path}.{key}" for key in metadata if key not in METADATA_FIELDS]
    return {key: member for key, member in metadata.items() if key in METADATA_FIELDS}
