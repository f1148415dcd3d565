"""Make a served kind of a stored CustomResourceDefinition."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from devcluster.schema.kinds import Kind, Subresource
from devcluster.schema.structural import StructuralSchema

KEY = ("apiextensions.k8s.io", "customresourcedefinitions")
VERBS = (
    "delete",
    "deletecollection",
    "get",
    "list",
    "patch",
    "create",
    "update",
    "watch",
)  # in the order of the real server
AGE = {"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"}

Document = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Custom:
    """What a version of a CRD says beyond names.

    Attributes:
        schema: prunes, defaults and validates.
        openapi: the schema as it was written.
        columns: `additionalPrinterColumns`.
    """

    schema: StructuralSchema
    openapi: Mapping[str, Any]
    columns: tuple[Document, ...]


def kinds_of(definition: Document) -> Iterator[Kind]:
    """The kinds, one for each served version, that an established CRD adds."""
    spec = definition["spec"]
    names = spec["names"]
    for version in spec["versions"]:
        if not version.get("served"):
            continue
        openapi = (version.get("schema") or {}).get("openAPIV3Schema") or {}
        columns = tuple(version.get("additionalPrinterColumns") or (AGE,))
        subresources = (
            {"status": Subresource()} if "status" in (version.get("subresources") or {}) else {}
        )
        yield Kind(
            group=spec["group"],
            version=version["name"],
            plural=names["plural"],
            kind=names["kind"],
            namespaced=spec["scope"] == "Namespaced",
            short_names=tuple(names.get("shortNames") or ()),
            categories=tuple(names.get("categories") or ()),
            verbs=VERBS,
            subresources=subresources,
            custom=Custom(StructuralSchema(openapi), openapi, columns),
            unconditional_update=False,
            counts_generations=True,
            singular=names.get("singular", ""),
            list_kind=names.get("listKind", ""),
        )


def completed(definition: Document) -> dict[str, Any]:
    """A CRD with everything filled in that it may leave open."""
    spec = definition.get("spec") or {}
    names = dict(spec.get("names") or {})
    if kind := names.get("kind"):
        names.setdefault("singular", kind.lower())
        names.setdefault("listKind", f"{kind}List")
    return {
        **definition,
        "spec": {
            **spec,
            "names": names,
            "conversion": spec.get("conversion") or {"strategy": "None"},
        },
    }


def accepted_status(definition: Document, timestamp: str) -> dict[str, Any]:
    """Return the status of a CRD whose names are accepted."""
    spec = definition["spec"]
    stored = [version["name"] for version in spec["versions"] if version.get("storage")]
    accepted = {
        "type": "NamesAccepted",
        "status": "True",
        "reason": "NoConflicts",
        "message": "no conflicts found",
    }
    ready = {
        "type": "Established",
        "status": "True",
        "reason": "InitialNamesAccepted",
        "message": "the initial names have been accepted",
    }
    conditions = [{**condition, "lastTransitionTime": timestamp} for condition in (accepted, ready)]
    return {"conditions": conditions, "acceptedNames": spec["names"], "storedVersions": stored}
