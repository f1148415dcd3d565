"""Refuse roles and bindings that grant rights which their writer does not hold.

The verb `escalate` on the role and the verb `bind` on the referenced role lift the
check. The registry calls it before each write. Pure: `rbac.py` answers which rights a
user holds.
"""

import itertools
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from devcluster.access.rbac import ANY, RBAC_GROUP, Attributes, Authorizer, Rule, resource_matches
from devcluster.access.users import MASTERS_GROUP, User
from devcluster.errors import forbidden, not_found

EVERYTHING: tuple[Rule, ...] = (
    {"verbs": [ANY], "apiGroups": [ANY], "resources": [ANY]},
    {"verbs": [ANY], "nonResourceURLs": [ANY]},
)
ROLE_RESOURCES = {"Role": "roles", "ClusterRole": "clusterroles"}
RESOURCES = {
    **ROLE_RESOURCES,
    "RoleBinding": "rolebindings",
    "ClusterRoleBinding": "clusterrolebindings",
}


def check_grant(
    authorizer: Authorizer, user: User, document: Mapping[str, Any], old: Mapping[str, Any] | None
) -> None:
    """Refuse a write of a role or binding that would give away more than `user` holds.

    Args:
        authorizer: knows what the user holds.
        user: the writer.
        document: the valid Role, ClusterRole, RoleBinding or ClusterRoleBinding to be written.
        old: what it replaces.

    Raises:
        ApiStatus: 403, listing what is missing; 404 for a binding to a role that does not exist.
    """
    resource, name = RESOURCES[document["kind"]], document["metadata"]["name"]
    if MASTERS_GROUP in user.groups:
        return
    if document["kind"] in ROLE_RESOURCES:
        lacking = missing_for_role(authorizer, user, document, old)
    else:
        rules = authorizer.rules_of_role(
            document["roleRef"], document["metadata"].get("namespace", "")
        )
        lacking = missing_for_binding(authorizer, user, document, old, rules)
    if lacking:
        raise forbidden(RBAC_GROUP, resource, name, explain(user, lacking))


class Permission(NamedTuple):
    """The smallest part of a rule: one verb on one thing."""

    verb: str
    group: str = ""
    resource: str = ""
    name: str = ""
    path: str = ""


def missing_for_role(
    authorizer: Authorizer, user: User, role: Mapping[str, Any], old: Mapping[str, Any] | None
) -> list[Permission]:
    """List what `user` would give away without holding it by writing this Role or ClusterRole."""
    if old is not None and _grants(old) == _grants(role):
        return []  # a label is no grant
    metadata = role["metadata"]
    namespace = metadata.get("namespace", "")
    resource = ROLE_RESOURCES[role["kind"]]
    escalate = Attributes(
        "escalate", RBAC_GROUP, "v1", resource, namespace=namespace, name=metadata["name"]
    )
    if authorizer.authorize(user, escalate).allowed:
        return []
    rules = (
        EVERYTHING if role.get("aggregationRule") else role.get("rules") or ()
    )  # nothing limits what will be aggregated
    return missing(authorizer, user, namespace, rules)


def missing_for_binding(
    authorizer: Authorizer,
    user: User,
    binding: Mapping[str, Any],
    old: Mapping[str, Any] | None,
    rules: Sequence[Rule] | None,
) -> list[Permission]:
    """List what `user` would give away without holding it by writing this binding.

    Args:
        authorizer: knows what the user holds.
        user: the writer.
        binding: the RoleBinding or ClusterRoleBinding to be written.
        old: what it replaces.
        rules: of the role it refers to; None if there is no such role.

    Raises:
        ApiStatus: 404, the role does not exist, so that its rights are unknown.
    """
    if old is not None and (old["roleRef"], old.get("subjects")) == (
        binding["roleRef"],
        binding.get("subjects"),
    ):
        return []
    reference = binding["roleRef"]
    namespace = binding["metadata"].get("namespace", "")
    resource = ROLE_RESOURCES[reference["kind"]]
    bind = Attributes(
        "bind", RBAC_GROUP, "v1", resource, namespace=namespace, name=reference["name"]
    )
    if authorizer.authorize(user, bind).allowed:
        return []
    if (
        rules is None
    ):  # the name in the answer is the role's, the resource the binding's: so does the real server
        raise not_found(RBAC_GROUP, RESOURCES[binding["kind"]], reference["name"])
    return missing(authorizer, user, namespace, rules)


def missing(
    authorizer: Authorizer, user: User, namespace: str, rules: Iterable[Rule]
) -> list[Permission]:
    """List the permissions in `rules` that the user lacks in `namespace` (empty: everywhere)."""
    if MASTERS_GROUP in user.groups:
        return []
    held = [granted.rule for granted in authorizer.rules_of(user, namespace)]
    wanted = dict.fromkeys(permission for rule in rules for permission in permissions(rule))
    return [
        permission for permission in wanted if not any(_covers(rule, permission) for rule in held)
    ]


def permissions(rule: Rule) -> Iterable[Permission]:
    """Take a rule apart."""
    verbs = rule.get("verbs") or ()
    for path, verb in itertools.product(rule.get("nonResourceURLs") or (), verbs):
        yield Permission(verb, path=path)
    names = rule.get("resourceNames") or ("",)
    for group, resource, name, verb in itertools.product(
        rule.get("apiGroups") or (), rule.get("resources") or (), names, verbs
    ):
        yield Permission(verb, group, resource, name)


def explain(user: User, missing_permissions: Iterable[Permission]) -> str:
    """Say what is missing in the words of the real server, the verbs of one thing on one line."""
    verbs: dict[Permission, list[str]] = {}
    for permission in missing_permissions:
        verbs.setdefault(permission._replace(verb=""), []).append(permission.verb)
    lines = sorted(_line(thing, of_thing) for thing, of_thing in verbs.items())
    groups = f" (groups={_quoted(user.groups)})" if user.groups else ""
    return "\n".join(
        [
            (
                f'user "{user.name}"{groups} is attempting to grant RBAC permissions not '
                "currently held:"
            ),
            *lines,
        ]
    )


def _grants(role: Mapping[str, Any]) -> tuple[object, object]:
    return role.get("rules") or [], role.get("aggregationRule")


def _covers(rule: Rule, permission: Permission) -> bool:
    verbs = rule.get("verbs") or ()
    if ANY not in verbs and permission.verb not in verbs:
        return False
    if permission.path:
        return any(
            _path_covers(pattern, permission.path) for pattern in rule.get("nonResourceURLs") or ()
        )
    groups = rule.get("apiGroups") or ()
    names = rule.get("resourceNames") or ()
    return (
        (ANY in groups or permission.group in groups)
        and resource_matches(rule.get("resources") or (), permission.resource)
        and (not names or permission.name in names)
    )


def _path_covers(pattern: str, path: str) -> bool:
    return pattern == path or (pattern.endswith(ANY) and path.rstrip(ANY).startswith(pattern[:-1]))


def _line(thing: Permission, verbs: Sequence[str]) -> str:
    if thing.path:
        parts = [f"NonResourceURLs:{_quoted([thing.path])}"]
    else:
        parts = [f"APIGroups:{_quoted([thing.group])}", f"Resources:{_quoted([thing.resource])}"]
        parts += [f"ResourceNames:{_quoted([thing.name])}"] if thing.name else []
    return "{" + ", ".join([*parts, f"Verbs:{_quoted(verbs)}"]) + "}"


def _quoted(values: Iterable[str]) -> str:
    return "[" + " ".join(f'"{value}"' for value in values) + "]"
