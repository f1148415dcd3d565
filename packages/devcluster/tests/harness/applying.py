"""A custom kind with a list of every type, and objects of it."""

from typing import Any

from devcluster.schema.structural import StructuralSchema

Document = dict[str, Any]
CUSTOM = StructuralSchema(
    {
        "type": "object",
        "properties": {
            "spec": {
                "type": "object",
                "properties": {
                    "name": {"type": "string"},
                    "list": {"type": "array", "items": {"type": "string"}},
                    "set": {
                        "type": "array",
                        "x-kubernetes-list-type": "set",
                        "items": {"type": "string"},
                    },
                    "map": {"type": "object", "additionalProperties": {"type": "integer"}},
                    "any": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
                    "keyed": {
                        "type": "array",
                        "x-kubernetes-list-type": "map",
                        "x-kubernetes-list-map-keys": ["k"],
                        "items": {
                            "type": "object",
                            "properties": {"k": {"type": "string"}, "v": {"type": "integer"}},
                        },
                    },
                },
            },
            "status": {
                "type": "object",
                "properties": {
                    "conditions": {
                        "type": "array",
                        "x-kubernetes-list-type": "map",
                        "x-kubernetes-list-map-keys": ["type"],
                        "items": {
                            "type": "object",
                            "properties": {
                                "type": {"type": "string"},
                                "status": {"type": "string"},
                            },
                        },
                    }
                },
            },
        },
    }
).field_types


def custom(spec: Document | None = None, status: Document | None = None) -> Document:
    document: Document = {"apiVersion": "lab.test/v1", "kind": "Lab", "metadata": {"name": "a"}}
    return (
        document
        | ({} if spec is None else {"spec": spec})
        | ({} if status is None else {"status": status})
    )
