"""Make the CustomResourceDefinition from `spec.py` and `status.py`.

`hack/manifests.py` writes it to `config/crd`, and the plugin compares the installed CRD
with it. The API server validates and defaults with it, also when the webhook is down.
What a structural schema cannot express is removed from the schemas of pydantic and
msgspec. Rules over several fields are added as CEL, and docstrings as descriptions.
"""

from typing import Any

import msgspec

from configmapsync.names import (
    GROUP,
    KIND,
    PLURAL,
    RESERVED_CONFIGMAPS,
    SHORT_NAME,
    SINGULAR,
    VERSION,
)
from configmapsync.resource import ConfigMapSync
from configmapsync.spec import ConfigMapSyncSpec
from configmapsync.status import ConfigMapSyncStatus

Schema = dict[str, Any]

_SAME_NAME = (
    "(!has(self.destinationConfigMapName)"
    " || self.destinationConfigMapName == self.configMapName) && has(self.sourceNamespace)"
)
_DESTINATION_NAME = (
    "(has(self.destinationConfigMapName) ? self.destinationConfigMapName : self.configMapName)"
)
_RESERVED = ", ".join(f"'{name}'" for name in sorted(RESERVED_CONFIGMAPS))

SPEC_RULES = (
    {
        "rule": "has(self.destinationNamespace) || (has(self.destinationNamespaces)"
        " && size(self.destinationNamespaces) > 0) || has(self.destinationNamespaceSelector)",
        "message": "at least one of destinationNamespace, destinationNamespaces and"
        " destinationNamespaceSelector is required",
        "reason": "FieldValueRequired",
        "fieldPath": ".destinationNamespace",
    },
    {
        "rule": f"!({_SAME_NAME} && has(self.destinationNamespace)"
        " && self.destinationNamespace == self.sourceNamespace)",
        "message": "the copy would be the source itself",
        "fieldPath": ".destinationNamespace",
    },
    {
        "rule": f"!({_SAME_NAME} && has(self.destinationNamespaces)"
        " && self.sourceNamespace in self.destinationNamespaces)",
        "message": "a copy would be the source itself",
        "fieldPath": ".destinationNamespaces",
    },
    {
        "rule": f"!({_DESTINATION_NAME} in [{_RESERVED}])",
        "message": "a ConfigMap of that name is written into every namespace by the cluster itself",
        "reason": "FieldValueForbidden",
        "fieldPath": ".configMapName",
    },
)
KEY_RULES = (
    {
        "rule": "!has(self.as) || !self.key.matches('[*?]')",
        "message": "may only be set where key is an exact key, not a glob",
        "reason": "FieldValueForbidden",
        "fieldPath": ".as",
    },
)
REQUIREMENT_RULES = (
    {
        "rule": "self.operator in ['In', 'NotIn'] ? has(self.values) && size(self.values) > 0"
        " : !has(self.values) || size(self.values) == 0",
        "message": "must be specified when operator is In or NotIn, and only then",
        "fieldPath": ".values",
    },
)
COLUMNS = (  # name, type, path
    ("Source-Namespace", "string", ".spec.sourceNamespace"),
    ("ConfigMap", "string", ".spec.configMapName"),
    ("Synced", "string", ".status.summary"),
    ("Ready", "string", '.status.conditions[?(@.type=="Ready")].status'),
    ("Reason", "string", '.status.conditions[?(@.type=="Ready")].reason'),
    ("Age", "date", ".metadata.creationTimestamp"),
)


def custom_resource_definition() -> dict[str, Any]:
    """Return the whole CRD object."""
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{PLURAL}.{GROUP}"},
        "spec": {
            "group": GROUP,
            "names": {
                "kind": KIND,
                "listKind": f"{KIND}List",
                "plural": PLURAL,
                "singular": SINGULAR,
                "shortNames": [SHORT_NAME],
            },
            "scope": "Namespaced",
            "versions": [
                {
                    "name": VERSION,
                    "served": True,
                    "storage": True,
                    "subresources": {"status": {}},
                    "additionalPrinterColumns": [
                        {"name": name, "type": kind, "jsonPath": path}
                        for name, kind, path in COLUMNS
                    ],
                    "schema": {"openAPIV3Schema": _object_schema()},
                }
            ],
        },
    }


def _object_schema() -> Schema:
    return {
        "type": "object",
        "description": (ConfigMapSync.__doc__ or "").strip(),
        "required": ["spec"],
        "properties": {
            "apiVersion": {
                "type": "string",
                "description": "The version of this representation of the object.",
            },
            "kind": {"type": "string", "description": "The kind of this object."},
            "metadata": {"type": "object"},
            "spec": _spec_schema(),
            "status": _status_schema(),
        },
    }


def _spec_schema() -> Schema:
    made = ConfigMapSyncSpec.model_json_schema(by_alias=True)
    schema = _structural(made, made["$defs"])
    properties = schema["properties"]
    selector = properties["destinationNamespaceSelector"]
    selector["x-kubernetes-map-type"] = "atomic"
    for part, rules in (
        (schema, SPEC_RULES),
        (properties["keys"]["items"], KEY_RULES),
        (selector["properties"]["matchExpressions"]["items"], REQUIREMENT_RULES),
    ):
        part["x-kubernetes-validations"] = list(rules)
    return schema


def _status_schema() -> Schema:
    made = msgspec.json.schema(ConfigMapSyncStatus)
    schema = _structural(made, made["$defs"])
    conditions = schema["properties"]["conditions"]
    conditions["x-kubernetes-list-type"] = "map"
    conditions["x-kubernetes-list-map-keys"] = ["type"]
    # The default is on the whole status, because a default inside it needs a status to apply to.
    # Until the first reconcile no generation is observed, so kstatus and `helm install --wait`
    # keep waiting.
    schema["default"] = {"observedGeneration": -1}
    return schema


def _structural(schema: Schema, definitions: dict[str, Schema]) -> Schema:
    """Return a JSON schema as a structural schema, with sorted keywords."""
    kept: Schema = {}
    for key, value in sorted(_resolved(schema, definitions).items()):
        if key == "properties":
            kept[key] = {name: _structural(part, definitions) for name, part in value.items()}
        elif key in {"items", "additionalProperties"} and value:
            kept[key] = _structural(value, definitions)
        elif not _is_idle(key, value):
            kept[key] = value
    if kept["type"] == "integer":
        kept["format"] = "int64"
    if kept["type"] == "array":
        kept["x-kubernetes-list-type"] = "atomic"
    return kept


def _resolved(schema: Schema, definitions: dict[str, Schema]) -> Schema:
    """Replace `X or null` with X, and a reference with its definition.

    An unset field is absent, not null. The description of the field takes precedence.
    """
    resolved = dict(schema)
    for choice in resolved.pop("anyOf", ()):
        resolved.pop("default", None)
        if choice != {"type": "null"}:
            resolved = choice | resolved
    if reference := resolved.pop("$ref", None):
        resolved = definitions[reference.rpartition("/")[2]] | resolved
    return resolved


def _is_idle(key: str, value: Any) -> bool:
    """Return whether a keyword has no place in a structural schema, or no effect.

    The API server would write an empty default into each object. It prunes unknown fields, or
    rejects them if the client asks for that.
    """
    return key in {"$defs", "title", "propertyNames"} or (
        key in {"additionalProperties", "default", "required"}
        and (not value or isinstance(value, dict))
    )
