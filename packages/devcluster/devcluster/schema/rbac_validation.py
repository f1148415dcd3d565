"""Default and validate Roles, ClusterRoles and bindings. Pure.

`access/escalation.py` checks whether the writer may grant the rights.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from devcluster.access.rbac import RBAC_GROUP
from devcluster.errors import FieldCause
from devcluster.schema.field_problems import (
    invalid_value,
    is_subdomain,
    required,
    subdomain_problem,
    unsupported,
)
from devcluster.schema.label_selector import selector_causes

Document = Mapping[str, Any]
ROLE_KINDS = {"RoleBinding": ("Role", "ClusterRole"), "ClusterRoleBinding": ("ClusterRole",)}
SUBJECT_GROUPS = {"ServiceAccount": "", "User": RBAC_GROUP, "Group": RBAC_GROUP}


def with_defaults(document: Document) -> dict[str, Any]:
    """Fill in the API groups that a binding may leave open."""
    if document["kind"] not in ROLE_KINDS:
        return dict(document)
    filled = dict(document)
    if document.get("roleRef") is not None:
        filled["roleRef"] = _with_group(document["roleRef"], RBAC_GROUP)
    if document.get("subjects"):
        filled["subjects"] = [
            _with_group(subject, SUBJECT_GROUPS.get(subject.get("kind") or "", ""))
            for subject in document["subjects"]
        ]
    return filled


def rbac_problems(document: Document, old: Document | None) -> list[FieldCause]:
    """List everything wrong with a (defaulted) object of group rbac.authorization.k8s.io."""
    if document["kind"] in ROLE_KINDS:
        return [*_binding_problems(document), *_moved_reference(document, old)]
    problems = [*_name_problems(document, "metadata.name")]
    for index, rule in enumerate(document.get("rules") or ()):
        problems += _rule_problems(rule, f"rules[{index}]", namespaced=document["kind"] == "Role")
    if document.get("aggregationRule") is not None:
        problems += _aggregation_problems(
            document["aggregationRule"], "aggregationRule.clusterRoleSelectors"
        )
    return problems


def _name_problems(document: Document, field: str) -> Iterator[FieldCause]:
    """Names of roles may be anything that fits into a path: system:discovery."""
    name = document["metadata"].get("name") or ""
    if name in (".", ".."):
        yield invalid_value(field, name, f"may not be '{name}'")
    for character in "/%":
        if character in name:
            yield invalid_value(field, name, f"may not contain '{character}'")


def _rule_problems(rule: Document, field: str, *, namespaced: bool) -> Iterator[FieldCause]:
    groups, resources, paths = (
        rule.get(key) or [] for key in ("apiGroups", "resources", "nonResourceURLs")
    )
    if not rule.get("verbs"):
        yield required(f"{field}.verbs", "verbs must contain at least one value")
    if paths:
        if namespaced:
            yield invalid_value(
                f"{field}.nonResourceURLs",
                paths,
                "namespaced rules cannot apply to non-resource URLs",
            )
        if groups or resources or rule.get("resourceNames"):
            why = "rules cannot apply to both regular resources and non-resource URLs"
            yield invalid_value(f"{field}.nonResourceURLs", paths, why)
        return
    if not groups:
        yield required(f"{field}.apiGroups", "resource rules must supply at least one api group")
    if not resources:
        yield required(f"{field}.resources", "resource rules must supply at least one resource")


def _aggregation_problems(aggregation: Document, field: str) -> Iterator[FieldCause]:
    selectors = aggregation.get("clusterRoleSelectors") or ()
    if not selectors:
        yield required(
            field, "at least one clusterRoleSelector required if aggregationRule is non-nil"
        )
    for index, selector in enumerate(selectors):
        yield from selector_causes(selector, f"{field}[{index}]")


def _binding_problems(binding: Document) -> Iterator[FieldCause]:
    yield from _name_problems(binding, "metadata.name")
    reference = binding.get("roleRef") or {}
    if reference.get("apiGroup") != RBAC_GROUP:
        yield unsupported("roleRef.apiGroup", reference.get("apiGroup", ""), (RBAC_GROUP,))
    kinds = ROLE_KINDS[binding["kind"]]
    if reference.get("kind") not in kinds:
        yield unsupported("roleRef.kind", reference.get("kind", ""), kinds)
    if not reference.get("name"):
        yield required("roleRef.name")
    for index, subject in enumerate(binding.get("subjects") or ()):
        yield from _subject_problems(
            subject, f"subjects[{index}]", namespaced=binding["kind"] == "RoleBinding"
        )


def _subject_problems(subject: Document, field: str, *, namespaced: bool) -> Iterator[FieldCause]:
    kind, name, group = (subject.get(key) or "" for key in ("kind", "name", "apiGroup"))
    if not name:
        yield required(f"{field}.name")
    if kind not in SUBJECT_GROUPS:
        yield unsupported(f"{field}.kind", kind, SUBJECT_GROUPS)
        return
    if kind == "ServiceAccount":
        if name and not is_subdomain(name):
            yield subdomain_problem(f"{field}.name", name)
        if not namespaced and not subject.get("namespace"):
            yield required(f"{field}.namespace")
    if group != SUBJECT_GROUPS[kind]:
        yield unsupported(f"{field}.apiGroup", group, (SUBJECT_GROUPS[kind],))


def _moved_reference(binding: Document, old: Document | None) -> Iterator[FieldCause]:
    """Refuse a changed roleRef: the right to edit subjects must not allow another role."""
    if old is not None and old["roleRef"] != binding.get("roleRef"):
        reference = binding.get("roleRef") or {}
        shown = {
            "APIGroup": "apiGroup",
            "Kind": "kind",
            "Name": "name",
        }  # the real server prints its own field names
        value = {go_name: reference.get(key, "") for go_name, key in shown.items()}
        yield invalid_value("roleRef", value, "cannot change roleRef")


def _with_group(reference: Document, group: str) -> dict[str, Any]:
    filled = dict(reference)
    if not filled.get("apiGroup") and group:
        filled["apiGroup"] = group
    return filled
