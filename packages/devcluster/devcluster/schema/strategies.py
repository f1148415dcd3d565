"""Per built-in kind: defaults, validation and status writes.

`storage/registry.py` has the general order of a write. A kind without differences has
no entry.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from devcluster.admission import configurations
from devcluster.errors import FieldCause
from devcluster.schema import crds, rbac_validation
from devcluster.schema.config_keys import immutable_causes, key_causes
from devcluster.schema.definition import definition_problems
from devcluster.schema.field_problems import invalid_value
from devcluster.schema.secret_rules import secret_causes, with_string_data
from devcluster.storage import quotas

CONFIGMAP_LIMIT = 1048576
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
    """

    complete: Callable[[Document], dict[str, Any]] = _as_is
    causes: Callable[[Document, Document | None], Iterator[FieldCause]] = _no_causes
    begin: Callable[[Document], dict[str, Any]] = _as_is


def strategy_of(key: tuple[str, str]) -> Strategy:
    """The particulars of the kind stored under `key`."""
    return _STRATEGIES.get(key, _PLAIN)


def _configmap_causes(document: Document, old: Document | None) -> Iterator[FieldCause]:
    data, binary = document.get("data") or {}, document.get("binaryData") or {}
    for part, values in (("data", data), ("binaryData", binary)):
        for key in values:
            yield from key_causes(key, f"{part}[{key}]")
            if part == "data" and key in binary:
                yield invalid_value(f"data[{key}]", key, "duplicate of key present in binaryData")
    size = sum(len(value.encode()) for value in data.values()) + sum(
        len(value) * 3 // 4 for value in binary.values()
    )
    if size > CONFIGMAP_LIMIT:
        yield FieldCause(
            "FieldValueTooLong", "[]", f"Too long: may not be more than {CONFIGMAP_LIMIT} bytes"
        )
    if old is not None and old.get("immutable"):
        yield from immutable_causes(document, old, ("data", "binaryData"))


def _complete_namespace(document: Document) -> dict[str, Any]:
    metadata = document["metadata"]
    labels = (
        {**(metadata.get("labels") or {}), NAMESPACE_LABEL: metadata["name"]}
        if metadata.get("name")
        else {}
    )
    finalizers = (document.get("spec") or {}).get("finalizers")
    return {
        **document,
        "metadata": {**metadata, "labels": labels} if labels else metadata,
        "spec": {"finalizers": finalizers} if finalizers else {},
    }


def _begin_namespace(document: Document) -> dict[str, Any]:
    finalizers = list(
        dict.fromkeys([*((document.get("spec") or {}).get("finalizers") or ()), "kubernetes"])
    )
    return {**document, "spec": {"finalizers": finalizers}, "status": {"phase": "Active"}}


def _namespace_causes(document: Document, _old: Document | None) -> Iterator[FieldCause]:
    phase, dying = (
        (document.get("status") or {}).get("phase", ""),
        "deletionTimestamp" in document["metadata"],
    )
    if phase not in ("", "Terminating" if dying else "Active"):
        why = (
            "'Terminating' if `deletionTimestamp` is not empty"
            if dying
            else "'Active' if `deletionTimestamp` is empty"
        )
        yield invalid_value("status.Phase", phase, f"may only be {why}")


def _complete_quota(document: Document) -> dict[str, Any]:
    hard = quotas.limits(document)
    return {**document, "spec": {**(document.get("spec") or {}), "hard": hard} if hard else {}}


def _quota_causes(document: Document, _old: Document | None) -> Iterator[FieldCause]:
    for name, limit in quotas.limits(document).items():
        if name.startswith("count/") and not limit.isdecimal():
            yield invalid_value(f"spec.hard[{name}]", limit, "must be an integer")


def _complete_lease(document: Document) -> dict[str, Any]:
    return {**document, "spec": document.get("spec") or {}}


def _lease_causes(document: Document, _old: Document | None) -> Iterator[FieldCause]:
    spec = document["spec"]
    if (seconds := spec.get("leaseDurationSeconds")) is not None and seconds <= 0:
        yield invalid_value("spec.leaseDurationSeconds", seconds, "must be greater than 0")
    if (transitions := spec.get("leaseTransitions")) is not None and transitions < 0:
        yield invalid_value(
            "spec.leaseTransitions", transitions, "must be greater than or equal to 0"
        )


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
    ("", "namespaces"): Strategy(
        complete=_complete_namespace, causes=_namespace_causes, begin=_begin_namespace
    ),
    ("", "resourcequotas"): Strategy(complete=_complete_quota, causes=_quota_causes),
    ("", "secrets"): Strategy(complete=with_string_data, causes=secret_causes),
    ("apiextensions.k8s.io", "customresourcedefinitions"): Strategy(
        complete=crds.completed, causes=_definition_causes
    ),
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
