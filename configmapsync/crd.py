"""Make the CustomResourceDefinition from `spec.py` and `status.py`.

`hack/manifests.py` writes it to `config/crd`. The API server validates and defaults
with it when the webhook is down. What a structural schema cannot express is removed
from the schemas of pydantic and msgspec. Rules over several fields are added as CEL.
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
COLUMNS = (
    {"name": "Source-Namespace", "type": "string", "jsonPath": ".spec.sourceNamespace"},
    {"name": "ConfigMap", "type": "string", "jsonPath": ".spec.configMapName"},
    {"name": "Synced", "type": "string", "jsonPath": ".status.summary"},
    {
        "name": "Ready",
        "type": "string",
        "jsonPath": '.status.conditions[?(@.type=="Ready")].status',
    },
    {
        "name": "Reason",
        "type": "string",
        "jsonPath": '.status.conditions[?(@.type=="Ready")].reason',
    },
    {"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"},
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
                    "additionalPrinterColumns": [dict(column) for column in COLUMNS],
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
    schema = _structural(ConfigMapSyncSpec.model_json_schema(by_alias=True))
    properties = schema["properties"]
    for field in ("destinationNamespaces", "excludedNamespaces", "keys"):
        properties[field]["x-kubernetes-list-type"] = "atomic"
    for part in properties["copyMetadata"]["properties"].values():
        part["x-kubernetes-list-type"] = "atomic"
    selector = properties["destinationNamespaceSelector"]
    selector["x-kubernetes-map-type"] = "atomic"
    selector["properties"]["matchExpressions"]["x-kubernetes-list-type"] = "atomic"
    requirement = selector["properties"]["matchExpressions"]["items"]
    requirement["properties"]["values"]["x-kubernetes-list-type"] = "atomic"
    requirement["x-kubernetes-validations"] = [dict(rule) for rule in REQUIREMENT_RULES]
    properties["keys"]["items"]["x-kubernetes-validations"] = [dict(rule) for rule in KEY_RULES]
    schema["x-kubernetes-validations"] = [dict(rule) for rule in SPEC_RULES]
    return schema


def _status_schema() -> Schema:
    schema = _structural(_sorted(msgspec.json.schema(ConfigMapSyncStatus)))
    conditions = schema["properties"]["conditions"]
    conditions["x-kubernetes-list-type"] = "map"
    conditions["x-kubernetes-list-map-keys"] = ["type"]
    schema["properties"]["failures"]["x-kubernetes-list-type"] = "atomic"
    # The default is on the whole status, because a default inside it needs a status to apply to.
    # Until the first reconcile no generation is observed, so kstatus and `helm install --wait`
    # keep waiting.
    schema["default"] = {"observedGeneration": -1}
    return schema


def _sorted(schema: Any) -> Any:
    """Sort the keywords of a schema as pydantic does; the properties keep their order."""
    if isinstance(schema, list):
        return [_sorted(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    return {
        key: {name: _sorted(inner) for name, inner in value.items()}
        if key == "properties"
        else _sorted(value)
        for key, value in sorted(schema.items())
    }


def _structural(schema: Schema) -> Schema:
    """Return a JSON schema as a structural schema."""
    definitions = schema.pop("$defs", {})
    structural: Schema = _simplified(schema, definitions)
    return structural


def _simplified(schema: Any, definitions: dict[str, Schema]) -> Any:
    if isinstance(schema, list):
        return [_simplified(item, definitions) for item in schema]
    if not isinstance(schema, dict):
        return schema
    flat = _without_reference(_without_null(schema), definitions)
    kept = {
        key: value
        for key, value in flat.items()
        if key not in {"title", "propertyNames"} and not _is_idle_default(key, value)
    }
    if kept.get("additionalProperties") is False:
        # The API server prunes unknown fields, or rejects them if the client asks for that.
        del kept["additionalProperties"]
    if kept.get("required") == []:
        del kept["required"]
    if kept.get("type") == "integer":
        kept["format"] = "int64"
    if "properties" in kept:
        kept["properties"] = {
            name: _simplified(value, definitions) for name, value in kept["properties"].items()
        }
    return {
        key: value if key == "properties" else _simplified(value, definitions)
        for key, value in kept.items()
    }


def _without_null(schema: Schema) -> Schema:
    """Replace `X or null` with X, because an unset field is absent."""
    choices = [choice for choice in schema.get("anyOf", []) if choice != {"type": "null"}]
    if len(choices) != 1:
        return schema
    outer = {key: value for key, value in schema.items() if key not in {"anyOf", "default"}}
    merged: Schema = choices[0] | outer
    return merged


def _without_reference(schema: Schema, definitions: dict[str, Schema]) -> Schema:
    """Replace a reference with its definition; the description of the field takes precedence."""
    reference = schema.get("$ref")
    if reference is None:
        return schema
    outer = {key: value for key, value in schema.items() if key != "$ref"}
    return definitions[reference.rpartition("/")[2]] | outer


def _is_idle_default(key: str, value: Any) -> bool:
    """Return whether a default is empty: the API server would write it into each object."""
    return key == "default" and (
        value is None or value in ([], (), {}, "", 0, False) or isinstance(value, dict)
    )
