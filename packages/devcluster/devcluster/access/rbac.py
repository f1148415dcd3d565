"""Decide from the stored Roles, ClusterRoles and bindings what a user may do. Pure.

The gate calls `authorize` for each request, `reviews.py` calls it for other users,
and `escalation.py` calls `rules_of`. There is no cache: a decision is as fresh as the
store.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

from devcluster.access.users import MASTERS_GROUP, User, service_account_name

RBAC_GROUP = "rbac.authorization.k8s.io"
ANY = "*"

Rule = Mapping[
    str, Any
]  # a PolicyRule as stored: verbs, apiGroups, resources, resourceNames, nonResourceURLs
Object = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Attributes:
    """What a request wants to do, to a resource or to a path that is no resource."""

    verb: str
    group: str = ""
    version: str = ""
    resource: str = ""
    subresource: str = ""
    namespace: str = ""
    name: str = ""
    path: str = ""  # set for what is no resource: /healthz, /api, ...

    @property
    def resource_path(self) -> str:
        """The way rules and messages spell a subresource: pods/log."""
        return f"{self.resource}/{self.subresource}" if self.subresource else self.resource


class Decision(NamedTuple):
    """Whether, and why: the reason is empty where there is nothing to add."""

    allowed: bool
    reason: str = ""


DENIED = Decision(allowed=False)
ALLOWED = Decision(allowed=True)


class RbacObjects(Protocol):
    """The stored objects of group rbac.authorization.k8s.io."""

    def get(self, resource: str, namespace: str, name: str) -> Object | None:
        """Return one object of `roles` or `clusterroles`; the namespace is empty for the latter."""

    def list(self, resource: str, namespace: str) -> Iterable[Object]:
        """Return all `rolebindings` of a namespace, or all `clusterrolebindings`."""


class GrantedRule(NamedTuple):
    """A rule that applies to a user, and how it came to."""

    rule: Rule
    origin: str


class Authorizer:
    """Answers for one cluster."""

    def __init__(self, objects: RbacObjects) -> None:
        self._objects = objects

    def authorize(self, user: User, attributes: Attributes) -> Decision:
        """Return whether `user` may do this, and why."""
        if MASTERS_GROUP in user.groups:
            return ALLOWED
        for granted in self.rules_of(user, attributes.namespace):
            if rule_allows(granted.rule, attributes):
                return Decision(allowed=True, reason=f"RBAC: allowed by {granted.origin}")
        return DENIED

    def rules_of(self, user: User, namespace: str) -> Iterator[GrantedRule]:
        """Yield the rules of `user` in the whole cluster and, if given, in `namespace`."""
        for binding in self._objects.list("clusterrolebindings", ""):
            yield from self._granted(binding, "", user)
        if namespace:
            for binding in self._objects.list("rolebindings", namespace):
                yield from self._granted(binding, namespace, user)

    def rules_of_role(self, reference: Mapping[str, str], namespace: str) -> list[Rule] | None:
        """Look up the rules a roleRef points to; None if there is no such role.

        Args:
            reference: kind and name.
            namespace: of the binding; a Role is looked for there.
        """
        if reference["kind"] == "Role":
            role = self._objects.get("roles", namespace, reference["name"])
        else:
            role = self._objects.get("clusterroles", "", reference["name"])
        return None if role is None else list(role.get("rules") or ())

    def _granted(self, binding: Object, namespace: str, user: User) -> Iterator[GrantedRule]:
        subject = next(
            (s for s in binding.get("subjects") or () if is_subject(s, user, namespace)), None
        )
        if subject is None:
            return
        rules = self.rules_of_role(binding["roleRef"], namespace)
        origin = _origin(binding, namespace, subject)
        for rule in rules or ():
            yield GrantedRule(rule, origin)


def is_subject(subject: Mapping[str, str], user: User, binding_namespace: str) -> bool:
    """Return whether a binding's subject is this user."""
    name = subject["name"]
    match subject["kind"]:
        case "User":
            return name == user.name
        case "Group":
            return name in user.groups
        case "ServiceAccount":
            return user.name == service_account_name(
                subject.get("namespace") or binding_namespace, name
            )
    return False


def rule_allows(rule: Rule, wanted: Attributes) -> bool:
    """Return whether one rule allows the request."""
    if not _contains(rule.get("verbs"), wanted.verb):
        return False
    if wanted.path:
        return any(
            _path_matches(pattern, wanted.path) for pattern in rule.get("nonResourceURLs") or ()
        )
    return (
        _contains(rule.get("apiGroups"), wanted.group)
        and resource_matches(rule.get("resources") or (), wanted.resource_path)
        and _name_matches(rule.get("resourceNames"), wanted.name)
    )


def resource_matches(resources: Iterable[str], wanted: str) -> bool:
    """Match `pods`, `pods/log`, `*` for everything and `*/log` for a subresource of all."""
    subresource = wanted.partition("/")[2]
    return any(
        known in (ANY, wanted) or (subresource and known == f"*/{subresource}")
        for known in resources
    )


def _path_matches(pattern: str, path: str) -> bool:
    return pattern == path or (pattern.endswith(ANY) and path.startswith(pattern[:-1]))


def _contains(values: Iterable[str] | None, wanted: str) -> bool:
    return any(value in (ANY, wanted) for value in values or ())


def _name_matches(names: Iterable[str] | None, wanted: str) -> bool:
    """Match every name by an empty list. A request without a name matches no list of names."""
    return not names or wanted in names


def _origin(binding: Object, namespace: str, subject: Mapping[str, str]) -> str:
    kind, name = (
        ("RoleBinding", f"{_name(binding)}/{namespace}")
        if namespace
        else ("ClusterRoleBinding", _name(binding))
    )
    role = binding["roleRef"]
    who = subject["name"]
    if subject["kind"] == "ServiceAccount":
        who = f"{who}/{subject.get('namespace') or namespace}"
    return f'{kind} "{name}" of {role["kind"]} "{role["name"]}" to {subject["kind"]} "{who}"'


def _name(thing: Object) -> str:
    name: str = thing["metadata"]["name"]
    return name
