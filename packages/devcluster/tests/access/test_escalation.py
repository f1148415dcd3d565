import pytest

from devcluster.access.escalation import (
    check_grant,
    explain,
    missing,
    missing_for_binding,
    missing_for_role,
)
from devcluster.access.rbac import Authorizer
from devcluster.access.users import authenticated
from devcluster.errors import ApiStatus
from harness.rbac_objects import StoredRbac, person, rule

ALICE = authenticated("alice", "", (), {})
MASTER = authenticated("root", "", ("system:masters",), {})
RBAC = "rbac.authorization.k8s.io"


@pytest.fixture
def stored() -> StoredRbac:
    """Alice reads configmaps in namespace ns, and updates the one called mine."""
    stored = StoredRbac()
    stored.role(
        "ns", "own", rule("get list", "configmaps"), rule("update", "configmaps", names="mine")
    )
    stored.bind("ns", "own", "Role/own", person("alice"))
    return stored


def is_missing(stored: StoredRbac, *rules, namespace: str = "ns") -> bool:
    return bool(missing(Authorizer(stored), ALICE, namespace, rules))


def test_who_holds_a_right_may_give_it_or_less(stored):
    assert not is_missing(stored, rule("get", "configmaps"))
    assert not is_missing(stored, rule("get list", "configmaps", names="one"))
    assert not is_missing(stored, rule("update", "configmaps", names="mine"))


def test_nobody_gives_more_than_they_hold(stored):
    assert is_missing(stored, rule("delete", "configmaps"))
    assert is_missing(stored, rule("update", "configmaps"))
    assert is_missing(stored, rule("update", "configmaps", names="mine other"))
    assert is_missing(stored, rule("get", "configmaps secrets"))
    assert is_missing(stored, rule("*", "configmaps"))
    assert is_missing(stored, rule("get", "*"))
    assert is_missing(stored, rule("get", "configmaps", groups="apps"))


def test_a_right_in_a_namespace_is_none_in_the_cluster(stored):
    assert is_missing(stored, rule("get", "configmaps"), namespace="")


def test_paths_are_covered_by_prefixes(stored):
    stored.role("", "paths", {"verbs": ["get"], "nonResourceURLs": ["/logs/*"]})
    stored.bind("", "paths", "ClusterRole/paths", person("alice"))
    assert not is_missing(stored, {"verbs": ["get"], "nonResourceURLs": ["/logs/a", "/logs/a/*"]})
    assert is_missing(stored, {"verbs": ["get"], "nonResourceURLs": ["/log*"]})
    assert is_missing(stored, {"verbs": ["post"], "nonResourceURLs": ["/logs/a"]})


def test_masters_give_what_they_like(stored):
    assert missing(Authorizer(stored), MASTER, "", [rule("*", "*", groups="*")]) == []


def test_writing_a_role_needs_its_rights_unless_one_may_escalate_it(stored):
    role = {
        "kind": "Role",
        "metadata": {"name": "new", "namespace": "ns"},
        "rules": [rule("get", "secrets")],
    }
    authorizer = Authorizer(stored)
    assert missing_for_role(authorizer, ALICE, role, None)
    stored.role("ns", "escalate", rule("escalate", "roles", names="new", groups=RBAC))
    stored.bind("ns", "escalate", "Role/escalate", person("alice"))
    assert not missing_for_role(authorizer, ALICE, role, None)


def test_a_label_on_a_powerful_role_is_no_escalation(stored):
    old = {
        "kind": "Role",
        "metadata": {"name": "new", "namespace": "ns"},
        "rules": [rule("get", "secrets")],
    }
    labelled = {**old, "metadata": {**old["metadata"], "labels": {"a": "b"}}}
    assert not missing_for_role(Authorizer(stored), ALICE, labelled, old)


def test_an_aggregating_role_could_become_anything(stored):
    role = {
        "kind": "ClusterRole",
        "metadata": {"name": "sum"},
        "aggregationRule": {"clusterRoleSelectors": [{}]},
    }
    assert missing_for_role(Authorizer(stored), ALICE, role, None)
    assert not missing_for_role(Authorizer(stored), MASTER, role, None)


def test_binding_a_role_needs_its_rights_unless_one_may_bind_it(stored):
    binding = stored.bind("ns", "new", "Role/strong", person("bob"))
    rules = [rule("get", "secrets")]
    authorizer = Authorizer(stored)
    assert missing_for_binding(authorizer, ALICE, binding, None, rules)
    assert not missing_for_binding(authorizer, ALICE, binding, binding, rules)
    more_people = {**binding, "subjects": [person("bob"), person("carol")]}
    assert missing_for_binding(authorizer, ALICE, more_people, binding, rules)
    stored.role("ns", "bind", rule("bind", "roles", names="strong", groups=RBAC))
    stored.bind("ns", "bind", "Role/bind", person("alice"))
    assert not missing_for_binding(authorizer, ALICE, more_people, binding, rules)


def test_the_refusal_lists_what_is_missing_one_thing_a_line(stored):
    rules = [
        rule("get", "secrets", names="a b"),
        rule("get", "configmaps"),
        rule("get list", "pods", groups="core apps"),
        {"verbs": ["get"], "nonResourceURLs": ["/x"]},
    ]
    assert explain(ALICE, missing(Authorizer(stored), ALICE, "ns", rules)).splitlines() == [
        (
            'user "alice" (groups=["system:authenticated"]) is attempting to grant RBAC '
            "permissions not currently held:"
        ),
        '{APIGroups:[""], Resources:["pods"], Verbs:["get" "list"]}',
        '{APIGroups:[""], Resources:["secrets"], ResourceNames:["a"], Verbs:["get"]}',
        '{APIGroups:[""], Resources:["secrets"], ResourceNames:["b"], Verbs:["get"]}',
        '{APIGroups:["apps"], Resources:["pods"], Verbs:["get" "list"]}',
        '{NonResourceURLs:["/x"], Verbs:["get"]}',
    ]


def test_a_write_that_gives_too_much_is_forbidden_and_one_to_a_role_that_is_not_there_not_found(
    stored,
):
    authorizer = Authorizer(stored)
    role = {
        "kind": "Role",
        "metadata": {"name": "x", "namespace": "ns"},
        "rules": [rule("get", "secrets")],
    }
    with pytest.raises(ApiStatus) as caught:
        check_grant(authorizer, ALICE, role, None)
    assert caught.value.code == 403
    assert caught.value.message.startswith(
        'roles.rbac.authorization.k8s.io "x" is forbidden: user "alice"'
    )
    stored.add(role)
    binding = {
        "kind": "RoleBinding",
        "metadata": {"name": "b", "namespace": "ns"},
        "subjects": [person("bob")],
    }
    with pytest.raises(ApiStatus) as caught:
        check_grant(authorizer, ALICE, binding | {"roleRef": {"kind": "Role", "name": "x"}}, None)
    assert caught.value.code == 403
    with pytest.raises(ApiStatus) as caught:
        check_grant(
            authorizer, ALICE, binding | {"roleRef": {"kind": "Role", "name": "nope"}}, None
        )
    assert caught.value.code == 404
    check_grant(authorizer, ALICE, binding | {"roleRef": {"kind": "Role", "name": "own"}}, None)
    check_grant(authorizer, MASTER, binding | {"roleRef": {"kind": "Role", "name": "nope"}}, None)
