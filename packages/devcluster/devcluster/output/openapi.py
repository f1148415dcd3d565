"""Render OpenAPI v3 documents, as far as kubectl reads them.

Strategic merge is announced only for kinds whose fields are all known; for others
kubectl uses its own types. /openapi/v2 has no content, because kubectl only needs an
answer.
"""

import functools
import hashlib
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import msgspec

from devcluster.schema.kinds import Kind
from devcluster.schema.types import OBJECT_META, AnyValue, ListOf, MapOf, Scalar, Struct, Type

V2_MEDIA_TYPE = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf"
# An openapi.v2.Document with nothing in it but swagger "2.0" and info {title, version}.
V2_DOCUMENT = b"\x0a\x032.0\x12\x14\x0a\x0aKubernetes\x12\x06v1.0.0"
META = "io.k8s.apimachinery.pkg.apis.meta.v1"
META_REFERENCE = {"allOf": [{"$ref": f"#/components/schemas/{META}.ObjectMeta"}], "default": {}}
PATCHES = (
    "application/json-patch+json",
    "application/merge-patch+json",
    "application/apply-patch+yaml",
)
STRATEGIC = "application/strategic-merge-patch+json"
WRITE_PARAMETERS = ("dryRun", "fieldManager", "fieldValidation")
# The verb of discovery, and how OpenAPI spells it for a collection and for an object.
COLLECTION_ACTIONS = {
    "list": ("get", "list"),
    "create": ("post", "post"),
    "deletecollection": ("delete", "deletecollection"),
}
OBJECT_ACTIONS = {
    "get": ("get", "get"),
    "update": ("put", "put"),
    "patch": ("patch", "patch"),
    "delete": ("delete", "delete"),
}
IDENTITY = {
    "apiVersion": {
        "type": "string",
        "description": "The version of this representation of the object.",
    },
    "kind": {"type": "string", "description": "The kind of the object."},
}

Document = dict[str, Any]


def v3_index(kinds: Iterable[Kind]) -> Document:
    """Return the answer of /openapi/v3: the path and hash of each document."""
    return {
        "paths": {
            root: {"serverRelativeURL": _address(root, of_root)}
            for root, of_root in _by_root(kinds).items()
        }
    }


def v3_document(root: str, kinds: Iterable[Kind]) -> Document | None:
    """Return the document of a group and version (`apis/apps/v1`); None if it is not served."""
    of_root = _by_root(kinds).get(root)
    if of_root is None:
        return None
    paths: Document = {}
    schemas: Document = {f"{META}.ObjectMeta": _schema(OBJECT_META)}
    for kind in of_root:
        schemas[_component(kind)] = _object_schema(kind)
        paths |= dict(_paths(kind, root))
    info = {"title": "Kubernetes", "version": "v1.0.0"}
    return {"openapi": "3.0.0", "info": info, "paths": paths, "components": {"schemas": schemas}}


def v2_document(kinds: Iterable[Kind]) -> bytes:  # noqa: ARG001 - v3 describes the kinds; v2 has an answer without content
    """The v2 document, in the protobuf that kubectl asks for."""
    return V2_DOCUMENT


def fingerprint(body: bytes) -> str:
    """A hash as the addresses of documents carry it."""
    return hashlib.sha512(body).hexdigest().upper()


def _by_root(kinds: Iterable[Kind]) -> dict[str, list[Kind]]:
    found: dict[str, list[Kind]] = {}
    for kind in kinds:
        root = f"apis/{kind.group}/{kind.version}" if kind.group else f"api/{kind.version}"
        found.setdefault(root, []).append(kind)
    return found


def _address(root: str, kinds: list[Kind]) -> str:
    return f"/openapi/v3/{root}?hash={fingerprint(msgspec.json.encode(v3_document(root, kinds)))}"


def _component(kind: Kind) -> str:
    if kind.custom is not None:
        return ".".join([*reversed(kind.group.split(".")), kind.version, kind.kind])
    return f"io.k8s.api.{kind.group.partition('.')[0] or 'core'}.{kind.version}.{kind.kind}"


def _object_schema(kind: Kind) -> Document:
    schema = dict(kind.custom.openapi) if kind.custom is not None else _built_in_schema(kind)
    declared = {
        name: below
        for name, below in (schema.get("properties") or {}).items()
        if name not in IDENTITY
    }
    schema["properties"] = {**IDENTITY, **declared, "metadata": META_REFERENCE}
    return {**schema, "x-kubernetes-group-version-kind": [_version_kind(kind)]}


def _built_in_schema(kind: Kind) -> Document:
    return dict(_schema(kind.type)) if kind.type is not None else {"type": "object"}


@functools.lru_cache(maxsize=256)  # types are constants
def _scalar_schema(type_: Scalar) -> Mapping[str, str]:
    return {"type": type_.json} | ({"format": type_.format} if type_.format else {})


def _schema(type_: Type) -> Mapping[str, Any]:
    match type_:
        case Scalar():
            return _scalar_schema(type_)
        case MapOf():
            return {"type": "object", "additionalProperties": _schema(type_.value)}
        case ListOf():
            return {"type": "array", "items": _schema(type_.item), **_list_extensions(type_)}
        case Struct():
            atomic = {"x-kubernetes-map-type": "atomic"} if type_.atomic else {}
            properties = {name: _schema(below) for name, below in type_.fields.items()}
            return {"type": "object", "properties": properties, **atomic}
    return {"type": "object", "x-kubernetes-preserve-unknown-fields": True}


def _list_extensions(type_: ListOf) -> Document:
    """How the list merges, once for server-side apply and once for strategic merge patches."""
    extensions: Document = {"x-kubernetes-list-type": type_.kind}
    if type_.kind != "atomic":
        extensions["x-kubernetes-patch-strategy"] = "merge"
    if type_.kind == "map":
        extensions |= {
            "x-kubernetes-list-map-keys": list(type_.keys),
            "x-kubernetes-patch-merge-key": type_.keys[0],
        }
    return extensions


def _paths(kind: Kind, root: str) -> Iterator[tuple[str, Document]]:
    place = f"/{root}/namespaces/{{namespace}}" if kind.namespaced else f"/{root}"
    yield f"{place}/{kind.plural}", _operations(kind, kind.verbs, COLLECTION_ACTIONS)
    yield f"{place}/{kind.plural}/{{name}}", _operations(kind, kind.verbs, OBJECT_ACTIONS)
    if kind.namespaced:
        yield f"/{root}/{kind.plural}", _operations(kind, ("list",), COLLECTION_ACTIONS)
    for name, subresource in kind.subresources.items():
        yield (
            f"{place}/{kind.plural}/{{name}}/{name}",
            _operations(kind, subresource.verbs, OBJECT_ACTIONS),
        )


def _operations(
    kind: Kind, verbs: Iterable[str], actions: Mapping[str, tuple[str, str]]
) -> Document:
    return {
        actions[verb][0]: _operation(kind, method=actions[verb][0], action=actions[verb][1])
        for verb in sorted(verbs)
        if verb in actions
    }


def _operation(kind: Kind, method: str, action: str) -> Document:
    reference = {"schema": {"$ref": f"#/components/schemas/{_component(kind)}"}}
    answers = {"200": {"description": "OK", "content": {"application/json": reference}}}
    operation: Document = {
        "responses": answers,
        "x-kubernetes-action": action,
        "x-kubernetes-group-version-kind": _version_kind(kind),
    }
    if method == "get":
        return operation
    names = [*WRITE_PARAMETERS, *(["force"] if method == "patch" else [])]
    operation["parameters"] = [
        {"name": name, "in": "query", "schema": {"type": "string"}} for name in names
    ]
    if method in ("post", "put"):
        operation["requestBody"] = {"content": {"*/*": reference}}
    elif method == "patch":
        accepted = (*PATCHES, STRATEGIC) if _is_known(kind.type) else PATCHES
        operation["requestBody"] = {
            "content": {media: {"schema": {"type": "object"}} for media in accepted}
        }
    return operation


def _version_kind(kind: Kind) -> dict[str, str]:
    return {"group": kind.group, "version": kind.version, "kind": kind.kind}


def _is_known(type_: Type | None) -> bool:
    """Return whether every field is described, apart from managedFields."""
    match type_:
        case None | AnyValue():
            return False
        case Struct():
            return all(
                _is_known(below) for name, below in type_.fields.items() if name != "metadata"
            )
        case MapOf():
            return _is_known(type_.value)
        case ListOf():
            return _is_known(type_.item)
    return True
