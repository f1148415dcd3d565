import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from devcluster.access.rbac import Attributes, Authorizer, Decision
from devcluster.access.users import User, anonymous, authenticated
from harness.rbac_objects import StoredRbac, group, person, rule

ALICE = authenticated("alice", "", ("team-a",), {})


@pytest.fixture
def stored() -> StoredRbac:
    return StoredRbac.with_defaults()


def allowed(stored: StoredRbac, user: User, verb: str, resource: str, **more: str) -> bool:
    resource, _, subresource = resource.partition("/")
    attributes = Attributes(verb, resource=resource, subresource=subresource, **more)
    return Authorizer(stored).authorize(user, attributes).allowed


def reads(stored: StoredRbac, user: User, path: str, verb: str = "get") -> bool:
    return Authorizer(stored).authorize(user, Attributes(verb, path=path)).allowed


def test_without_a_binding_nothing_is_allowed(stored):
    assert not allowed(stored, ALICE, "get", "configmaps", namespace="ns")


def test_masters_may_do_everything_even_when_no_role_is_left():
    root = authenticated("root", "", ("system:masters",), {})
    decision = Authorizer(StoredRbac()).authorize(root, Attributes("*", group="*", resource="*"))
    assert decision == Decision(allowed=True, reason="")


def test_a_role_binding_counts_in_its_own_namespace_only(stored):
    stored.role("ns", "reader", rule("get list", "configmaps"))
    stored.bind("ns", "alice-reads", "Role/reader", person("alice"))
    assert allowed(stored, ALICE, "list", "configmaps", namespace="ns")
    assert not allowed(stored, ALICE, "list", "configmaps", namespace="other")
    assert not allowed(stored, ALICE, "list", "configmaps")
    assert not allowed(stored, ALICE, "delete", "configmaps", namespace="ns")
    assert not allowed(stored, ALICE, "get", "configmaps", namespace="ns", group="apps")


def test_a_cluster_role_bound_in_a_namespace_counts_there_and_bound_in_the_cluster_everywhere(
    stored,
):
    stored.role("", "reader", rule("get", "configmaps"))
    stored.bind("ns", "alice-reads", "ClusterRole/reader", person("alice"))
    assert allowed(stored, ALICE, "get", "configmaps", namespace="ns")
    assert not allowed(stored, ALICE, "get", "configmaps", namespace="other")
    stored.bind("", "alice-reads", "ClusterRole/reader", person("alice"))
    assert allowed(stored, ALICE, "get", "configmaps", namespace="other")
    assert allowed(stored, ALICE, "get", "configmaps")


def test_resource_names_allow_those_names_and_never_a_list(stored):
    stored.role("ns", "one", rule("get list create", "configmaps", names="named"))
    stored.bind("ns", "alice-one", "Role/one", person("alice"))
    assert allowed(stored, ALICE, "get", "configmaps", namespace="ns", name="named")
    assert not allowed(stored, ALICE, "get", "configmaps", namespace="ns", name="other")
    assert not allowed(stored, ALICE, "list", "configmaps", namespace="ns")
    assert allowed(stored, ALICE, "list", "configmaps", namespace="ns", name="named")


@pytest.mark.parametrize(
    ("granted", "asked", "expected"),
    [
        ("pods", "pods/log", False),
        ("pods/log", "pods/log", True),
        ("pods/log", "pods", False),
        ("*", "pods/log", True),
        ("*/log", "pods/log", True),
        ("*/log", "pods", False),
        ("*/log", "pods/status", False),
        ("pods/*", "pods/log", False),
    ],
)
def test_a_subresource_has_to_be_granted_by_its_own_name(stored, granted, asked, expected):
    stored.role("", "some", rule("get", granted))
    stored.bind("", "alice-some", "ClusterRole/some", person("alice"))
    assert allowed(stored, ALICE, "get", asked, namespace="ns", name="x") is expected


def test_groups_and_service_accounts_can_be_subjects(stored):
    stored.role("ns", "reader", rule("get", "configmaps"))
    robot = {"kind": "ServiceAccount", "name": "robot"}
    elsewhere = {"kind": "ServiceAccount", "name": "robot", "namespace": "elsewhere"}
    stored.bind("ns", "all", "Role/reader", group("team-a"), robot, elsewhere)
    assert allowed(stored, ALICE, "get", "configmaps", namespace="ns")
    assert allowed(
        stored, User("system:serviceaccount:ns:robot"), "get", "configmaps", namespace="ns"
    )
    assert allowed(
        stored, User("system:serviceaccount:elsewhere:robot"), "get", "configmaps", namespace="ns"
    )
    assert not allowed(
        stored, User("system:serviceaccount:third:robot"), "get", "configmaps", namespace="ns"
    )
    assert not allowed(stored, User("robot"), "get", "configmaps", namespace="ns")


def test_a_binding_to_a_role_that_does_not_exist_grants_nothing(stored):
    stored.bind("ns", "dangling", "Role/nope", person("alice"))
    assert not allowed(stored, ALICE, "get", "configmaps", namespace="ns")


@pytest.mark.parametrize(
    ("namespace", "subject", "reason"),
    [
        (
            "ns",
            person("alice"),
            'RBAC: allowed by RoleBinding "b/ns" of ClusterRole "reader" to User "alice"',
        ),
        (
            "",
            group("team-a"),
            'RBAC: allowed by ClusterRoleBinding "b" of ClusterRole "reader" to Group "team-a"',
        ),
    ],
)
def test_a_permission_says_where_it_comes_from(stored, namespace, subject, reason):
    stored.role("", "reader", rule("get", "configmaps"))
    stored.bind(namespace, "b", "ClusterRole/reader", subject)
    decision = Authorizer(stored).authorize(
        ALICE, Attributes("get", resource="configmaps", namespace="ns")
    )
    assert decision == Decision(allowed=True, reason=reason)


def test_the_origin_of_a_service_accounts_permission_names_its_namespace(stored):
    stored.role("ns", "reader", rule("get", "configmaps"))
    stored.bind("ns", "b", "Role/reader", {"kind": "ServiceAccount", "name": "robot"})
    robot = User("system:serviceaccount:ns:robot")
    decision = Authorizer(stored).authorize(
        robot, Attributes("get", resource="configmaps", namespace="ns")
    )
    assert (
        decision.reason
        == 'RBAC: allowed by RoleBinding "b/ns" of Role "reader" to ServiceAccount "robot/ns"'
    )


def test_everybody_reads_the_version_and_only_who_is_known_reads_what_is_served(stored):
    for path in ("/version", "/livez", "/readyz", "/healthz"):
        assert reads(stored, anonymous(), path)
    for path in ("/api", "/api/v1", "/apis/apps/v1", "/openapi/v3"):
        assert reads(stored, ALICE, path)
        assert not reads(stored, anonymous(), path)
    assert not reads(stored, ALICE, "/metrics")
    assert not reads(stored, ALICE, "/version", verb="post")


def test_everybody_known_may_ask_what_they_may_do(stored):
    assert allowed(
        stored, ALICE, "create", "selfsubjectaccessreviews", group="authorization.k8s.io"
    )
    assert not allowed(
        stored, ALICE, "create", "subjectaccessreviews", group="authorization.k8s.io"
    )
    assert not allowed(
        stored, anonymous(), "create", "selfsubjectaccessreviews", group="authorization.k8s.io"
    )


@pytest.mark.parametrize(
    ("role", "verb", "resource", "expected"),
    [
        ("view", "get", "configmaps", True),
        ("view", "get", "secrets", False),
        ("view", "update", "configmaps", False),
        ("edit", "get", "configmaps", True),
        ("edit", "get", "secrets", True),
        ("edit", "delete", "configmaps", True),
        ("edit", "create", "roles", False),
        ("admin", "get", "secrets", True),
        ("admin", "delete", "configmaps", True),
        ("admin", "create", "roles", True),
        ("admin", "create", "namespaces", False),
        ("cluster-admin", "create", "namespaces", True),
    ],
)
def test_view_edit_and_admin_contain_one_another(stored, role, verb, resource, expected):
    stored.bind("ns", "alice", f"ClusterRole/{role}", person("alice"))
    api_group = "rbac.authorization.k8s.io" if resource == "roles" else ""
    assert allowed(stored, ALICE, verb, resource, namespace="ns", group=api_group) is expected


WORDS = st.sampled_from(["a", "b", "*"])
RULES = st.fixed_dictionaries(
    {key: st.lists(WORDS, max_size=2) for key in ("verbs", "apiGroups", "resources")}
)
WANTED = st.builds(Attributes, verb=WORDS, group=WORDS, resource=WORDS)


@settings(deadline=None, max_examples=100)
@given(RULES, WANTED)
def test_more_rules_never_take_a_right_away(first, wanted):
    stored = StoredRbac()
    stored.role("", "r", first)
    stored.bind("", "b", "ClusterRole/r", person("alice"))
    before = Authorizer(stored).authorize(ALICE, wanted).allowed
    stored.role("", "r", first, rule("a", "a", groups="a"))
    assert Authorizer(stored).authorize(ALICE, wanted).allowed >= before
