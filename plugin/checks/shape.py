"""Check one ConfigMapSync by the rules that need no other object.

`plugin/commands/check.py` calls it, and goes on with the syncs that are valid. The
fields below `spec` are checked by the models of the resource, and metadata by the rules
of the API server.
"""

import difflib
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from pydantic import BaseModel, ValidationError

from configmapsync.crd import custom_resource_definition
from configmapsync.defaulting import default_document, with_defaults
from configmapsync.fielderrors import ErrorKind, FieldError, forbidden, not_supported, required
from configmapsync.names import API_VERSION, KIND
from configmapsync.parsing import InvalidResourceError, parse
from configmapsync.resource import ConfigMapSync
from configmapsync.schema_errors import field_errors
from configmapsync.spec import ConfigMapName, NamespaceName
from configmapsync.validation import label_errors, validate
from plugin.checks.findings import Finding, Severity
from plugin.checks.manifests import Manifest, texts_of

TOP_FIELDS = ("apiVersion", "kind", "metadata", "spec", "status")
METADATA_FIELDS = (
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
UNKNOWN_FIELD = "unknown field"


class _Metadata(BaseModel):
    """The fields of the metadata whose form is checked."""

    name: ConfigMapName | None = None
    namespace: NamespaceName | None = None
    labels: dict[str, str] | None = None
    annotations: dict[str, str] | None = None


def check(manifest: Manifest) -> tuple[ConfigMapSync | None, list[Finding]]:
    """Return the sync with its defaults, and findings; None if it has errors."""
    document = manifest.node.plain()
    errors = [*_identity_errors(manifest, document), *_metadata_errors(document.get("metadata"))]
    spec = document.get("spec")
    if isinstance(spec, dict):
        spec = default_document(spec)
    sync: ConfigMapSync | None = None
    try:
        sync = with_defaults(parse({"metadata": manifest.key._asdict(), "spec": spec}))
        errors += validate(sync)
    except InvalidResourceError as problem:
        errors += problem.errors
    findings = [manifest.finding(one.path, one.message) for one in map(_with_hint, errors)]
    findings += _duplicates(manifest)
    return (None if findings else sync), findings


def _identity_errors(manifest: Manifest, document: Mapping[str, Any]) -> Iterator[FieldError]:
    if manifest.api_version != API_VERSION:
        yield (
            not_supported("apiVersion", manifest.api_version, [API_VERSION])
            if manifest.api_version
            else required("apiVersion", f"must be {API_VERSION}")
        )
    if manifest.kind != KIND:
        yield not_supported("kind", manifest.kind, [KIND])
    yield from _unknown_fields("", document, TOP_FIELDS)


def _metadata_errors(metadata: Any) -> Iterator[FieldError]:
    if not isinstance(metadata, dict):
        yield required("metadata")
        return
    yield from _unknown_fields("metadata.", metadata, METADATA_FIELDS)
    if metadata.get("name") is None and not metadata.get("generateName"):
        yield required("metadata.name", "name or generateName is required")
    try:
        _Metadata.model_validate(metadata)
    except ValidationError as error:
        yield from field_errors("metadata", error.errors(include_url=False))
    yield from label_errors(texts_of(metadata.get("labels")), "metadata.labels")


def _unknown_fields(
    prefix: str, fields: Iterable[str], known: Iterable[str]
) -> Iterator[FieldError]:
    return (forbidden(prefix + field, UNKNOWN_FIELD) for field in fields if field not in known)


def _with_hint(error: FieldError) -> FieldError:
    """Add what may be meant by an unknown field, or by a label that is no text."""
    if error.kind is ErrorKind.TYPE_INVALID and re.match(r"metadata\.\w+\[", error.path):
        return replace(error, detail=f"{error.detail}; put quotes around it")
    if error.kind is not ErrorKind.FORBIDDEN or error.detail != UNKNOWN_FIELD:
        return error
    parent, _, field = error.path.rpartition(".")
    close = difflib.get_close_matches(field, _fields(parent), 1, 0.6)
    if not close:
        return error
    return forbidden(error.path, f'{UNKNOWN_FIELD}; did you mean "{close[0]}"?')


def _fields(path: str) -> list[str]:
    """Return the fields that the CRD defines below a path."""
    if path == "metadata":
        return list(METADATA_FIELDS)
    version = custom_resource_definition()["spec"]["versions"][0]
    schema: Mapping[str, Any] = version["schema"]["openAPIV3Schema"]
    for part in re.findall(r"[^.\[\]]+", path):
        if part.isdecimal() and "items" in schema:
            schema = schema["items"]
        else:
            schema = schema.get("properties", {}).get(part, {})
    return sorted(schema.get("properties", {}))


def _duplicates(manifest: Manifest) -> Iterator[Finding]:
    """Yield the keys that occur twice, which `kubectl` rejects."""
    pending = [manifest.node]
    while pending:
        node = pending.pop()
        for key, at in node.duplicates:
            message = f'the key "{key[:64]}" occurs more than once'
            yield Finding(manifest.file, *at, Severity.ERROR, str(manifest), "", message)
        if isinstance(node.value, dict | list):
            pending += node.value.values() if isinstance(node.value, dict) else node.value
