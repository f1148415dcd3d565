import datetime as dt

import pytest

from devcluster.access.audit import AuditLog
from devcluster.access.authentication import Authenticator, parse_token_file
from devcluster.access.gate import Gate
from devcluster.access.rbac import Attributes, Authorizer
from devcluster.access.tokens import ServiceAccountTokens, SigningKey
from devcluster.access.users import User
from devcluster.errors import ApiStatus
from devcluster.http.request_attributes import request_attributes
from harness.rbac_objects import StoredRbac

NO_ACCOUNTS = ServiceAccountTokens(
    SigningKey.generate(), lambda *_: None, lambda: dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
)
PEOPLE = parse_token_file(["root,admin,,system:masters", "secret,alice,"])
LIST = Attributes("list", "", "v1", "configmaps", namespace="ns")


def admit(attributes: Attributes, *headers: tuple[str, str]) -> User:
    gate = Gate(
        Authenticator(PEOPLE, NO_ACCOUNTS), Authorizer(StoredRbac.with_defaults()), AuditLog(None)
    )
    return gate.admit(headers, attributes)


def refused(attributes: Attributes, *headers: tuple[str, str]) -> ApiStatus:
    with pytest.raises(ApiStatus) as caught:
        admit(attributes, *headers)
    return caught.value


def test_who_has_the_right_gets_in():
    assert admit(LIST, ("Authorization", "Bearer root")).name == "admin"


def test_who_lacks_it_is_told_what_and_where():
    status = refused(LIST, ("authorization", "Bearer secret"))
    assert (status.code, status.reason, status.details) == (
        403,
        "Forbidden",
        {"kind": "configmaps"},
    )
    where = 'list resource "configmaps" in API group "" in the namespace "ns"'
    assert status.message == f'configmaps is forbidden: User "alice" cannot {where}'


def test_bad_credentials_are_refused_even_where_everybody_is_let_in():
    version = Attributes("get", path="/version")
    assert admit(version).name == "system:anonymous"
    assert refused(version, ("Authorization", "Bearer wrong")).code == 401


def test_rights_are_those_of_the_impersonated_user():
    as_carol = ("Impersonate-User", "carol")
    assert "carol" in refused(LIST, ("Authorization", "Bearer root"), as_carol).message
    assert "impersonate" in refused(LIST, ("Authorization", "Bearer secret"), as_carol).message


@pytest.mark.parametrize(
    ("method", "path", "query", "expected"),
    [
        ("GET", "/version", {}, Attributes("get", path="/version")),
        ("GET", "/api/v1", {}, Attributes("get", path="/api/v1")),
        ("GET", "/apis/apps/v1", {}, Attributes("get", path="/apis/apps/v1")),
        ("POST", "/metrics", {}, Attributes("post", path="/metrics")),
        ("GET", "/api/v1/configmaps", {}, Attributes("list", "", "v1", "configmaps")),
        ("GET", "/api/v1/namespaces/ns/configmaps", {}, LIST),
        (
            "GET",
            "/api/v1/configmaps",
            {"watch": "true"},
            Attributes("watch", "", "v1", "configmaps"),
        ),
        ("GET", "/api/v1/configmaps", {"watch": "0"}, Attributes("list", "", "v1", "configmaps")),
        (
            "GET",
            "/api/v1/configmaps",
            {"fieldSelector": "metadata.namespace=x,metadata.name=a"},
            Attributes("list", "", "v1", "configmaps", name="a"),
        ),
        ("GET", "/api/v1/namespaces", {}, Attributes("list", "", "v1", "namespaces")),
        (
            "GET",
            "/api/v1/namespaces/ns",
            {},
            Attributes("get", "", "v1", "namespaces", "", "ns", "ns"),
        ),
        (
            "PUT",
            "/api/v1/namespaces/ns/finalize",
            {},
            Attributes("update", "", "v1", "namespaces", "finalize", "ns", "ns"),
        ),
        (
            "PATCH",
            "/apis/apps/v1/namespaces/ns/deployments/a/status",
            {},
            Attributes("patch", "apps", "v1", "deployments", "status", "ns", "a"),
        ),
        ("DELETE", "/apis/x/v1/things", {}, Attributes("deletecollection", "x", "v1", "things")),
        ("DELETE", "/apis/x/v1/things/a", {}, Attributes("delete", "x", "v1", "things", name="a")),
        ("POST", "/apis/x/v1/things", {}, Attributes("create", "x", "v1", "things")),
    ],
)
def test_what_a_request_wants_is_read_from_the_form_of_its_path(method, path, query, expected):
    assert request_attributes(method, path, query) == expected
