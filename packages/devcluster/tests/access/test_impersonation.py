import pytest

from devcluster.access.impersonation import impersonate, requested_identity
from devcluster.access.rbac import Attributes, Authorizer
from devcluster.access.users import User, authenticated
from devcluster.errors import ApiStatus
from harness.rbac_objects import StoredRbac, person, rule

MASTER = authenticated("root", "", ("system:masters",), {})
ALICE = authenticated("alice", "", (), {})
LIST = Attributes("list", "", "v1", "configmaps", namespace="ns")


def become(
    *headers: tuple[str, str],
    user: User = MASTER,
    stored: StoredRbac | None = None,
    wants: Attributes = LIST,
) -> User:
    wanted = requested_identity(headers)
    assert wanted is not None
    return impersonate(Authorizer(stored or StoredRbac()), user, wanted, wants)


def refusal(
    *headers: tuple[str, str], stored: StoredRbac | None = None, wants: Attributes = LIST
) -> str:
    with pytest.raises(ApiStatus) as caught:
        become(*headers, user=ALICE, stored=stored, wants=wants)
    assert caught.value.code == 403
    return caught.value.message


def granted(*rules) -> StoredRbac:
    stored = StoredRbac()
    stored.role("", "imp", *rules)
    stored.bind("", "imp", "ClusterRole/imp", person("alice"))
    return stored


def test_without_the_headers_nobody_else_is_meant():
    assert requested_identity([("Authorization", "Bearer x"), ("Accept", "*/*")]) is None


def test_every_part_of_an_identity_has_its_header():
    carol = become(
        ("Impersonate-User", "carol"),
        ("Impersonate-Group", "one"),
        ("Impersonate-Group", "two"),
        ("Impersonate-Extra-Scope", "a"),
        ("Impersonate-Extra-Scope", "b"),
        ("impersonate-extra-Acme.com%2FProject", "p"),
        ("Impersonate-Uid", "42"),
    )
    extra = {"scope": ("a", "b"), "acme.com/project": ("p",)}
    assert carol == User("carol", "42", ("one", "two", "system:authenticated"), extra)


def test_a_service_account_gets_its_groups_unless_others_were_asked_for():
    robot = "system:serviceaccount:ns:robot"
    groups = ("system:serviceaccounts", "system:serviceaccounts:ns", "system:authenticated")
    assert become(("Impersonate-User", robot)).groups == groups
    assert become(("Impersonate-User", robot), ("Impersonate-Group", "x")).groups == (
        "x",
        "system:authenticated",
    )


def test_who_is_impersonated_as_unauthenticated_is():
    assert become(("Impersonate-User", "system:anonymous")).groups == ("system:unauthenticated",)
    bob = become(("Impersonate-User", "bob"), ("Impersonate-Group", "system:unauthenticated"))
    assert bob.groups == ("system:unauthenticated",)


@pytest.mark.parametrize(
    ("header", "value", "printed"),
    [
        (
            "Impersonate-Uid",
            "1",
            'Name:"", UID:"1", Groups:[]string(nil), Extra:map[string][]string(nil)',
        ),
        ("Impersonate-Group", "one", 'Groups:[]string{"one"}'),
        ("Impersonate-Extra-A", "1", 'Extra:map[string][]string{"a":[]string{"1"}}'),
    ],
)
def test_parts_without_a_name_are_a_bad_request(header, value, printed):
    with pytest.raises(ApiStatus, match="without impersonating a user name") as caught:
        requested_identity([(header, value)])
    assert caught.value.code == 400
    assert printed in caught.value.message


@pytest.mark.parametrize(
    ("name", "mode"),
    [
        ("bob", "user-info"),
        ("system:serviceaccount:ns:robot", "serviceaccount"),
    ],
)
def test_without_any_right_the_refusal_is_about_the_request(name, mode):
    what = (
        f'User "alice" cannot impersonate-on:{mode}:list resource "configmaps" in API group "" in '
        'the namespace "ns"'
    )
    assert refusal(("Impersonate-User", name)) == f"configmaps is forbidden: {what}"
    version = Attributes("get", path="/version")
    message = f'forbidden: User "alice" cannot impersonate-on:{mode}:get path "/version"'
    assert refusal(("Impersonate-User", name), wants=version) == message


def test_the_older_right_is_enough_for_the_name_it_gives():
    stored = granted(rule("impersonate", "users", names="bob"))
    assert become(("Impersonate-User", "bob"), user=ALICE, stored=stored).name == "bob"
    assert "impersonate-on:user-info:list" in refusal(("Impersonate-User", "carol"), stored=stored)


@pytest.mark.parametrize(
    ("header", "value", "missing"),
    [
        (
            "Impersonate-Group",
            "g",
            'groups "g" is forbidden: User "alice" cannot impersonate resource "groups"',
        ),
        ("Impersonate-Uid", "7", 'uids.authentication.k8s.io "7" is forbidden'),
        ("Impersonate-Extra-Scope", "7", 'cannot impersonate resource "userextras/scope"'),
    ],
)
def test_every_further_part_needs_a_right_of_its_own(header, value, missing):
    stored = granted(rule("impersonate", "users"))
    assert missing in refusal(("Impersonate-User", "bob"), (header, value), stored=stored)


def test_a_service_account_can_be_impersonated_with_a_right_in_its_namespace():
    stored = StoredRbac()
    stored.role("ns", "imp", rule("impersonate", "serviceaccounts"))
    stored.bind("ns", "imp", "Role/imp", person("alice"))
    assert become(("Impersonate-User", "system:serviceaccount:ns:robot"), user=ALICE, stored=stored)
    assert refusal(("Impersonate-User", "system:serviceaccount:other:robot"), stored=stored)
