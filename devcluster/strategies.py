"""What is particular to each built-in kind: what it fills in, what it refuses, what a status write may touch.

The general order of a write is `registry.py`'s; a kind that needs nothing particular has no entry here.
"""

from base64 import b64encode
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from devcluster import crds, rbac_validation
from devcluster.admission import configurations
from devcluster.errors import FieldCause
from devcluster.field_problems import invalid_value, required
from devcluster.structural import definition_problems

CONFIGMAP_LIMIT = 1048576
CLUSTER_EVENT_NAMESPACES = ("default", "kube-system")  # where events about cluster-scoped objects are kept
KEY_WORDS = (
    "a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. 'key.name',  or 'KEY_NAME',  or 'key-name', "
    "regex used for validation is '[-._a-zA-Z0-9]+')"
)
Document = Mapping[str, Any]
NAMESPACE_LABEL = "kubernetes.io/metadata.name"


def _as_is(document: Document) -> dict[str, Any]:
    return dict(document)


def _no_causes(_document: Document, _old: Document | None) -> Iterator[FieldCause]:
    return iter(())


@dataclass(frozen=True, slots=True)
class Strategy:
    """The particulars of a kind.

    Attributes:
        complete: fills in on every write.
        causes: what is wrong with an object, given the one it replaces.
        begin: fills in on creation only.
        status_takes_metadata: whether a write of the status may change labels and annotations.
    """

    complete: Callable[[Document], dict[str, Any]] = _as_is
    causes: Callable[[Document, Document | None], Iterator[FieldCause]] = _no_causes
    begin: Callable[[Document], dict[str, Any]] = _as_is
    status_takes_metadata: bool = True


def strategy_of(key: tuple[str, str]) -> Strategy:
    """The particulars of the kind stored under `key`."""
    return _STRATEGIES.get(key, _PLAIN)


def _configmap_causes(document: Document, old: Document | None) -> Iterator[FieldCause]:
    data, binary = document.get("data") or {}, document.get("binaryData") or {}
    for part, values in (("data", data), ("binaryData", binary)):
        for key in values:
            yield from _key_causes(key, f"{part}[{key}]")
            if part == "data" and key in binary:
                yield invalid_value(f"data[{key}]", key, "duplicate of key present in binaryData")
    size = sum(len(value.encode()) for value in data.values()) + sum(len(value) * 3 // 4 for value in binary.values())
    if size > CONFIGMAP_LIMIT:
        yield FieldCause("FieldValueTooLong", "[]", f"Too long: may not be more than {CONFIGMAP_LIMIT} bytes")
    if old is not None and old.get("immutable"):
        yield from _immutable_causes(document, old)


def _key_causes(key: str, field: str) -> Iterator[FieldCause]:
    if len(key) > 253:
        yield invalid_value(field, key, "must be no more than 253 characters")
    elif not key or not all(letter.isascii() and (letter.isalnum() or letter in "-._") for letter in key):
        yield invalid_value(field, key, KEY_WORDS)
    elif key == ".":
        yield invalid_value(field, key, "must not be '.'")
    elif key == ".." or key.startswith(".."):
        yield invalid_value(field, key, "must not be '..'" if key == ".." else "must not start with '..'")


def _immutable_causes(document: Document, old: Document) -> Iterator[FieldCause]:
    why = "Forbidden: field is immutable when `immutable` is set"
    if not document.get("immutable"):
        yield FieldCause("FieldValueForbidden", "immutable", why)
    for part in ("data", "binaryData"):
        if (document.get(part) or {}) != (old.get(part) or {}):
            yield FieldCause("FieldValueForbidden", part, why)


def _complete_namespace(document: Document) -> dict[str, Any]:
    metadata = document["metadata"]
    labels = {**(metadata.get("labels") or {}), NAMESPACE_LABEL: metadata["name"]} if metadata.get("name") else {}
    return {**document, "metadata": {**metadata, "labels": labels} if labels else metadata}


def _begin_namespace(document: Document) -> dict[str, Any]:
    finalizers = list(dict.fromkeys([*((document.get("spec") or {}).get("finalizers") or ()), "kubernetes"]))
    return {**document, "spec": {"finalizers": finalizers}, "status": {"phase": "Active"}}


def _complete_lease(document: Document) -> dict[str, Any]:
    return {**document, "spec": document.get("spec") or {}}


def _lease_causes(document: Document, _old: Document | None) -> Iterator[FieldCause]:
    spec = document["spec"]
    if (seconds := spec.get("leaseDurationSeconds")) is not None and seconds <= 0:
        yield invalid_value("spec.leaseDurationSeconds", seconds, "must be greater than 0")
    if (transitions := spec.get("leaseTransitions")) is not None and transitions < 0:
        yield invalid_value("spec.leaseTransitions", transitions, "must be greater than or equal to 0")


def _event_causes(document: Document, _old: Document | None) -> Iterator[FieldCause]:
    regarding, home = document.get("involvedObject") or {}, document["metadata"].get("namespace", "")
    about_the_cluster = not regarding.get("namespace") and home in CLUSTER_EVENT_NAMESPACES
    if regarding.get("namespace", "") != home and not about_the_cluster:
        yield invalid_value(
            "involvedObject.namespace", regarding.get("namespace", ""), "does not match event.namespace"
        )


def new_event_causes(document: Document) -> Iterator[FieldCause]:
    """What events.k8s.io asks for beyond core/v1."""
    if not document.get("eventTime"):
        yield required("eventTime")
    kind = document.get("type", "")
    if kind not in ("Normal", "Warning"):
        yield FieldCause("FieldValueInvalid", "type", f'Invalid value: "": has invalid value: {kind}')


def _secret_complete(document: Document) -> dict[str, Any]:
    """`stringData` becomes `data`."""
    written = {key: b64encode(value.encode()).decode() for key, value in (document.get("stringData") or {}).items()}
    completed = {key: value for key, value in document.items() if key != "stringData"}
    if written or "data" in completed:
        completed["data"] = {**(completed.get("data") or {}), **written}
    return {"type": "Opaque", **completed}


def _rbac_causes(document: Document, old: Document | None) -> Iterator[FieldCause]:
    return iter(rbac_validation.rbac_problems(document, old))


def _definition_causes(document: Document, old: Document | None) -> Iterator[FieldCause]:
    return iter(definition_problems(document, old))


def _webhook_causes(document: Document, _old: Document | None) -> Iterator[FieldCause]:
    return iter(configurations.configuration_problems(document))


_PLAIN = Strategy()
_RBAC = Strategy(complete=rbac_validation.with_defaults, causes=_rbac_causes)
_WEBHOOKS = Strategy(complete=configurations.with_defaults, causes=_webhook_causes)
_STRATEGIES: Mapping[tuple[str, str], Strategy] = {
    ("", "configmaps"): Strategy(causes=_configmap_causes),
    ("", "namespaces"): Strategy(complete=_complete_namespace, begin=_begin_namespace),
    ("", "events"): Strategy(causes=_event_causes),
    ("", "secrets"): Strategy(complete=_secret_complete),
    ("apiextensions.k8s.io", "customresourcedefinitions"): Strategy(complete=crds.completed, causes=_definition_causes),
    ("coordination.k8s.io", "leases"): Strategy(complete=_complete_lease, causes=_lease_causes),
    **{
        ("rbac.authorization.k8s.io", plural): _RBAC
        for plural in ("roles", "rolebindings", "clusterroles", "clusterrolebindings")
    },
    **{
        ("admissionregistration.k8s.io", plural): _WEBHOOKS
        for plural in ("mutatingwebhookconfigurations", "validatingwebhookconfigurations")
    },
}
