import datetime as dt

import pytest

from devcluster.access import reviews
from devcluster.access.authentication import Authenticator
from devcluster.access.rbac import Authorizer
from devcluster.access.review_resources import REVIEW_RESOURCES, Reviewer
from devcluster.access.tokens import ServiceAccountTokens, SigningKey
from devcluster.access.users import User, authenticated
from devcluster.errors import ApiStatus
from harness.rbac_objects import StoredRbac, group, person, rule

NOW = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
ALICE = authenticated("alice", "", (), {})


@pytest.fixture
def authorizer() -> Authorizer:
    """Alice and team-a may get configmaps in namespace ns."""
    stored = StoredRbac.with_defaults()
    stored.role("ns", "reader", rule("get", "configmaps"))
    stored.bind("ns", "readers", "Role/reader", person("alice"), group("team-a"))
    return Authorizer(stored)


def question(namespace="ns", verb="get", **who):
    return {
        "spec": {
            **who,
            "resourceAttributes": {"namespace": namespace, "verb": verb, "resource": "configmaps"},
        }
    }


def test_a_review_about_somebody_says_yes_and_why(authorizer):
    answer = reviews.subject_access_review(authorizer, question(user="alice"))
    assert answer["kind"] == "SubjectAccessReview"
    assert answer["metadata"] == {}
    assert answer["spec"] == question(user="alice")["spec"]
    reason = 'RBAC: allowed by RoleBinding "readers/ns" of Role "reader" to User "alice"'
    assert answer["status"] == {"allowed": True, "reason": reason}


def test_a_no_has_no_reason(authorizer):
    answer = reviews.subject_access_review(authorizer, question(user="bob"))
    assert answer["status"] == {"allowed": False}


def test_a_group_is_enough_to_ask_about(authorizer):
    assert reviews.subject_access_review(authorizer, question(groups=["team-a"]))["status"][
        "allowed"
    ]


def test_a_review_may_be_about_a_path(authorizer):
    spec = {
        "user": "x",
        "groups": ["system:authenticated"],
        "nonResourceAttributes": {"path": "/api", "verb": "get"},
    }
    assert reviews.subject_access_review(authorizer, {"spec": spec})["status"]["allowed"]


@pytest.mark.parametrize(
    ("spec", "field"),
    [
        ({"user": "bob"}, "spec.resourceAttributes"),
        (question()["spec"], "spec.user"),
        (
            {"user": "b", "resourceAttributes": {}, "nonResourceAttributes": {}},
            "spec.nonResourceAttributes",
        ),
    ],
)
def test_an_incomplete_question_is_invalid(authorizer, spec, field):
    with pytest.raises(ApiStatus) as caught:
        reviews.subject_access_review(authorizer, {"spec": spec})
    assert caught.value.code == 422
    assert [cause["field"] for cause in caught.value.details["causes"]] == [field]


def test_one_may_ask_about_oneself(authorizer):
    answer = reviews.self_subject_access_review(authorizer, ALICE, question())
    assert answer["kind"] == "SelfSubjectAccessReview"
    assert answer["status"]["allowed"]
    assert not reviews.self_subject_access_review(authorizer, ALICE, question(verb="delete"))[
        "status"
    ]["allowed"]
    with pytest.raises(ApiStatus):
        reviews.self_subject_access_review(authorizer, ALICE, {"spec": {}})


def test_a_local_review_is_about_its_own_namespace_only(authorizer):
    answer = reviews.local_subject_access_review(authorizer, question(user="alice"), "ns")
    assert (answer["kind"], answer["status"]["allowed"]) == ("LocalSubjectAccessReview", True)
    with pytest.raises(ApiStatus) as caught:
        reviews.local_subject_access_review(authorizer, question("other", user="alice"), "ns")
    assert caught.value.code == 400
    with pytest.raises(ApiStatus) as caught:
        reviews.local_subject_access_review(authorizer, {"spec": {"user": "alice"}}, "ns")
    assert caught.value.code == 422


def test_the_list_of_ones_rights_holds_those_of_the_namespace_and_of_the_cluster(authorizer):
    status = reviews.self_subject_rules_review(authorizer, ALICE, {"spec": {"namespace": "ns"}})[
        "status"
    ]
    assert rule("get", "configmaps") in status["resourceRules"]
    assert any("selfsubjectaccessreviews" in one["resources"] for one in status["resourceRules"])
    assert any("/api" in one["nonResourceURLs"] for one in status["nonResourceRules"])
    elsewhere = reviews.self_subject_rules_review(
        authorizer, ALICE, {"spec": {"namespace": "other"}}
    )["status"]
    assert rule("get", "configmaps") not in elsewhere["resourceRules"]
    with pytest.raises(ApiStatus, match="no namespace on request"):
        reviews.self_subject_rules_review(authorizer, ALICE, {"spec": {}})


def test_who_am_i():
    user = User("carol", "42", ("one", "two"), {"scope": ("a", "b")})
    answer = reviews.self_subject_review(user, dt.datetime(2026, 1, 2, 3, 4, 5, tzinfo=dt.UTC))
    assert answer["metadata"] == {"creationTimestamp": "2026-01-02T03:04:05Z"}
    info = {
        "username": "carol",
        "uid": "42",
        "groups": ["one", "two"],
        "extra": {"scope": ["a", "b"]},
    }
    assert answer["status"] == {"userInfo": info}


def test_a_token_review_tells_whose_token_it_is_or_that_it_is_nobodys():
    def known(token, audiences):
        return (ALICE, audiences or ("api",)) if token == "good" else None

    good = reviews.token_review(known, {"spec": {"token": "good", "audiences": ["web"]}})["status"]
    assert good["authenticated"]
    assert good["user"]["username"] == "alice"
    assert good["audiences"] == ["web"]
    bad = reviews.token_review(known, {"spec": {"token": "bad"}})["status"]
    assert bad == {"user": {}, "error": "invalid bearer token"}
    with pytest.raises(ApiStatus, match="token is required"):
        reviews.token_review(known, {"spec": {}})


@pytest.mark.parametrize("resource", REVIEW_RESOURCES, ids=lambda resource: resource.plural)
def test_every_review_that_discovery_lists_is_answered_as_its_own_kind(authorizer, resource):
    tokens = ServiceAccountTokens(SigningKey.generate(), lambda *_: None, lambda: NOW)
    reviewer = Reviewer(authorizer, Authenticator({}, tokens), lambda: NOW)
    document = question(user="alice", token="t")
    document["spec"]["namespace"] = "ns"
    answer = reviewer.answer(resource.kind, ALICE, "ns", document)
    assert (answer["kind"], answer["apiVersion"]) == (resource.kind, f"{resource.group}/v1")
