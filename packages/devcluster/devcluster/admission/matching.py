"""Select the webhooks for a write by rules, scope and selectors. Pure.

`conditions.py` runs afterwards, because CEL is slower and may fail.
"""

from collections.abc import Mapping
from typing import Any

from devcluster.admission.request import AdmissionRequest, Operation, Resource
from devcluster.admission.webhook import Webhook
from devcluster.schema.label_selector import matches_selector

ANY = "*"
NEVER_INTERCEPTED_GROUP = (
    "admissionregistration.k8s.io"  # else a broken webhook could forbid its own repair
)


def is_called(webhook: Webhook, request: AdmissionRequest) -> bool:
    """Return whether the rules and selectors of a webhook select a write."""
    return (
        request.resource.group != NEVER_INTERCEPTED_GROUP
        and _namespace_selected(webhook, request)
        and _object_selected(webhook, request)
        and any(_rule_matches(rule, request) for rule in webhook.rules)
    )


def _rule_matches(rule: Mapping[str, Any], request: AdmissionRequest) -> bool:
    resource = request.resource
    return (
        _contains(rule.get("operations"), request.operation)
        and _contains(rule.get("apiGroups"), resource.group)
        and _contains(rule.get("apiVersions"), resource.version)
        and _scope_matches(rule.get("scope", ANY), resource)
        and any(
            _resource_matches(pattern, resource.plural, request.subresource)
            for pattern in rule["resources"]
        )
    )


def _scope_matches(scope: str, resource: Resource) -> bool:
    return scope == ANY or (scope == "Namespaced") == resource.namespaced


def _resource_matches(pattern: str, plural: str, subresource: str) -> bool:
    """`pods` and `*` mean no subresource; `pods/*` and `*/*` mean the resource and all of them."""
    resource_part, _, subresource_part = pattern.partition("/")
    return resource_part in (ANY, plural) and subresource_part in (ANY, subresource)


def _namespace_selected(webhook: Webhook, request: AdmissionRequest) -> bool:
    """Match the namespace labels. Other cluster-wide objects always match."""
    is_namespace = request.resource.group == "" and request.resource.plural == "namespaces"
    if not webhook.namespace_selector or not (request.resource.namespaced or is_namespace):
        return True
    if (
        is_namespace
        and not request.subresource
        and request.operation in (Operation.CREATE, Operation.UPDATE)
    ):
        return matches_selector(webhook.namespace_selector, _labels(request.object))
    return matches_selector(webhook.namespace_selector, request.namespace_labels)


def _object_selected(webhook: Webhook, request: AdmissionRequest) -> bool:
    """The object as it was counts too: taking the label off must not slip past the webhook."""
    if not webhook.object_selector:
        return True
    documents = (
        document for document in (request.object, request.old_object) if document is not None
    )
    return any(
        matches_selector(webhook.object_selector, _labels(document)) for document in documents
    )


def _labels(document: Mapping[str, Any] | None) -> Mapping[str, str]:
    if document is None:
        return {}
    labels: Mapping[str, str] = (document.get("metadata") or {}).get("labels") or {}
    return labels


def _contains(values: list[str] | None, wanted: str) -> bool:
    return any(value in (ANY, wanted) for value in values or ())
