import datetime as dt

import pytest

from devcluster.access.token_requests import request_token
from devcluster.access.tokens import ISSUER, ServiceAccountTokens, SigningKey
from devcluster.errors import ApiStatus

NOW = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
ROBOT = {"metadata": {"name": "robot", "namespace": "ns", "uid": "uid-1"}}
UIDS = {
    ("serviceaccounts", "ns", "robot"): "uid-1",
    ("secrets", "ns", "s"): "uid-s",
}
TOKENS = ServiceAccountTokens(SigningKey.generate(), lambda *key: UIDS.get(key), lambda: NOW)


def ask(**spec):
    return request_token(
        TOKENS, lambda *key: UIDS.get(key), ROBOT, {"spec": spec}, lambda: "2026-01-01T00:00:00Z"
    )


def test_what_is_not_asked_for_is_an_hour_for_the_api_server():
    answer = ask()
    assert answer["metadata"] == {
        "name": "robot",
        "namespace": "ns",
        "uid": "uid-1",
        "creationTimestamp": "2026-01-01T00:00:00Z",
    }
    assert answer["spec"] == {
        "audiences": [ISSUER],
        "expirationSeconds": 3600,
        "boundObjectRef": None,
    }
    assert answer["status"]["expirationTimestamp"] == "2026-01-01T01:00:00Z"
    found = TOKENS.verify_for(answer["status"]["token"], (ISSUER,))
    assert found is not None
    assert found[0].name == "system:serviceaccount:ns:robot"


def test_lifetime_and_audience_are_the_callers_choice():
    answer = ask(expirationSeconds=600, audiences=["vault"])
    assert answer["status"]["expirationTimestamp"] == "2026-01-01T00:10:00Z"
    assert TOKENS.verify_for(answer["status"]["token"], (ISSUER,)) is None
    assert TOKENS.verify_for(answer["status"]["token"], ("vault",)) is not None


@pytest.mark.parametrize(
    ("seconds", "why"),
    [
        (5, "Invalid value: 5: may not specify a duration less than 10 minutes"),
        (
            5_000_000_000,
            "Invalid value: 5000000000: may not specify a duration larger than 2^32 seconds",
        ),
    ],
)
def test_a_lifetime_has_bounds(seconds, why):
    with pytest.raises(ApiStatus) as caught:
        ask(expirationSeconds=seconds)
    assert caught.value.code == 422
    assert (
        caught.value.message
        == f'TokenRequest.authentication.k8s.io "" is invalid: spec.expirationSeconds: {why}'
    )


def test_a_token_can_be_bound_to_something_that_exists():
    answer = ask(boundObjectRef={"apiVersion": "v1", "kind": "Secret", "name": "s"})
    assert TOKENS.verify_for(answer["status"]["token"], (ISSUER,)) is not None


@pytest.mark.parametrize(
    ("kind", "code", "message"),
    [
        ("Secret", 404, 'secrets "nope" not found'),
        ("ConfigMap", 400, "cannot bind token to object of type /v1, Kind=ConfigMap"),
    ],
)
def test_a_token_cannot_be_bound_to_what_is_missing_or_of_another_kind(kind, code, message):
    with pytest.raises(ApiStatus) as caught:
        ask(boundObjectRef={"apiVersion": "v1", "kind": kind, "name": "nope"})
    assert (caught.value.code, caught.value.message) == (code, message)
