"""The CustomResourceDefinition, made from the models: what the API server checks, defaults and prints even with the webhook down.

`hack/manifests.py` writes it to `config/crd`; a test fails when the file and the models differ. What a structural schema cannot hold
(references, titles, "or null") is taken out of pydantic's schema here, and rules over several fields are added as CEL.
"""

from typing import Any

from configmapsync.names import (
    GROUP,
    KIND,
    PLURAL,
    RESERVED_CONFIGMAPS,
    SHORT_NAME,
    SINGULAR,
    VERSION,
)
from configmapsync.resource import ConfigMapSync, ConfigMapSyncSpec, ConfigMapSyncStatus

Schema = dict[str, Any]

_SAME_NAME = "(!has(self.destinationConfigMapName) || self.destinationConfigMapName == self.configMapName) && has(self.sourceNamespace)"
_DESTINATION_NAME = (
    "(has(self.destinationConfigMapName) ? self.destinationConfigMapName : self.configMapName)"
)
_RESERVED = ", ".join(f"'{name}'" for name in sorted(RESERVED_CONFIGMAPS))

SPEC_RULES = (
    {
        "rule": "has(self.destinationNamespace) || (has(self.destinationNamespaces) && size(self.destinationNamespaces) > 0)"
        " || has(self.destinationNamespaceSelector)",
        "message": "at least one of destinationNamespace, destinationNamespaces and destinationNamespaceSelector is required",
        "reason": "FieldValueRequired",
        "fieldPath": ".destinationNamespace",
    },
    {
        "rule": f"!({_SAME_NAME} && has(self.destinationNamespace) && self.destinationNamespace == self.sourceNamespace)",
        "message": "the copy would be the source itself",
        "fieldPath": ".destinationNamespace",
    },
    {
        "rule": f"!({_SAME_NAME} && has(self.destinationNamespaces) && self.sourceNamespace in self.destinationNamespaces)",
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
    """The whole CRD object."""
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
    schema = _structural(ConfigMapSyncSpec)
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
    schema = _structural(ConfigMapSyncStatus)
    conditions = schema["properties"]["conditions"]
    conditions["x-kubernetes-list-type"] = "map"
    conditions["x-kubernetes-list-map-keys"] = ["type"]
    schema["properties"]["failures"]["x-kubernetes-list-type"] = "atomic"
    # A default inside `status` applies only where there is a status, so it stands on
    # the status as a whole. Until the reconciler has looked, no generation is observed,
    # and kstatus and `helm install --wait` go on waiting.
    schema["default"] = {"observedGeneration": -1}
    return schema


def _structural(model: type[ConfigMapSyncSpec] | type[ConfigMapSyncStatus]) -> Schema:
    """The schema of a model in the form that a CRD may hold."""
    schema = model.model_json_schema(by_alias=True)
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
        del kept[
            "additionalProperties"
        ]  # the API server prunes, or refuses where the client asks for strictness
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
    """`X or null` is X: an unset field is not there."""
    choices = [choice for choice in schema.get("anyOf", []) if choice != {"type": "null"}]
    if len(choices) != 1:
        return schema
    outer = {key: value for key, value in schema.items() if key not in {"anyOf", "default"}}
    merged: Schema = choices[0] | outer
    return merged


def _without_reference(schema: Schema, definitions: dict[str, Schema]) -> Schema:
    """A reference is replaced by what it names; the description at the place of use is the closer one."""
    reference = schema.get("$ref")
    if reference is None:
        return schema
    outer = {key: value for key, value in schema.items() if key != "$ref"}
    return definitions[reference.rpartition("/")[2]] | outer


def _is_idle_default(key: str, value: Any) -> bool:
    """Empty defaults say nothing, and would be written into every stored object."""
    return key == "default" and (
        value is None or value in ([], {}, "", 0, False) or isinstance(value, dict)
    )
