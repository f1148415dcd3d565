"""Every answer that is not 2xx is an error of its own class, without a body."""

import json

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kube import errors
from kube.errors import ApiError, Retry, from_response, from_status
from tests.kube.scripted import status

CLASSES = [
    each for each in vars(errors).values() if isinstance(each, type) and issubclass(each, ApiError)
]


@pytest.mark.parametrize(
    ("code", "reason", "expected"),
    [
        (400, "BadRequest", errors.BadRequest),
        (401, "Unauthorized", errors.Unauthorized),
        (403, "Forbidden", errors.Forbidden),
        (404, "NotFound", errors.NotFound),
        (409, "Conflict", errors.Conflict),
        (409, "AlreadyExists", errors.AlreadyExists),
        (410, "Expired", errors.Gone),
        (410, "Gone", errors.Gone),
        (413, "RequestEntityTooLarge", errors.TooLarge),
        (415, "UnsupportedMediaType", errors.UnsupportedMediaType),
        (
            422,
            "Invalid",
            errors.AdmissionDenied,
        ),  # without causes: not the API server's own validation
        (429, "TooManyRequests", errors.TooManyRequests),
        (500, "InternalError", errors.ServerError),
        (503, "ServiceUnavailable", errors.ServerError),
        (504, "Timeout", errors.ServerError),
        (302, "", ApiError),
        (418, "", ApiError),
    ],
)
def test_a_status_becomes_its_class_with_its_words(
    code: int, reason: str, expected: type[ApiError]
) -> None:
    error = from_response(code, json.dumps(status(code, reason, "because")).encode(), {})
    assert type(error) is expected
    assert (error.status, error.reason, error.message) == (code, reason, "because")
    assert str(error) == f"because ({reason or 'ApiError'})"


WEBHOOK = 'admission webhook "policy.example.com" denied the request: data is too long'
POLICY = (
    "configmaps \"config\" is forbidden: ValidatingAdmissionPolicy 'no-big' with binding "
    "'everywhere' denied request: the value may not be more than 5 bytes"
)


@pytest.mark.parametrize(
    ("message", "denied_by"),
    [
        (WEBHOOK, 'admission webhook "policy.example.com"'),
        (POLICY, 'ValidatingAdmissionPolicy "no-big" (binding "everywhere")'),
    ],
)
@pytest.mark.parametrize("code", [400, 401, 403, 404, 409, 410, 413, 422, 429, 500])
def test_a_denial_by_admission_is_retried_with_backoff_whatever_status_it_has(
    code: int, message: str, denied_by: str
) -> None:
    error = from_response(code, json.dumps(status(code, "NotFound", message)).encode(), {})

    assert isinstance(error, errors.AdmissionDenied)
    assert error.denied_by == denied_by
    assert error.retry is Retry.BLOCKED


def test_what_the_api_server_itself_finds_invalid_is_final_and_a_size_is_known_by_its_cause() -> (
    None
):
    causes = [
        {
            "reason": "FieldValueTooLong",
            "field": "data",
            "message": "Too long: may not be more than 5 bytes",
        }
    ]
    error = from_response(
        422, json.dumps(status(422, "Invalid", "too long", causes=causes)).encode(), {}
    )

    assert isinstance(error, errors.Invalid)
    assert error.too_long
    assert error.retry is Retry.NEVER


def test_etcds_own_limit_is_too_large_although_it_comes_as_a_500() -> None:
    body = json.dumps(status(500, "InternalError", "etcdserver: request is too large")).encode()
    assert type(from_response(500, body, {})) is errors.TooLarge


def test_a_terminating_namespace_and_a_quota_are_told_apart() -> None:
    terminating = status(
        403, "Forbidden", causes=[{"reason": "NamespaceTerminating", "field": "metadata.namespace"}]
    )
    error = from_response(403, json.dumps(terminating).encode(), {})
    assert isinstance(error, errors.Forbidden)
    assert error.namespace_terminating
    quota = status(
        403,
        "Forbidden",
        'configmaps "a" is forbidden: exceeded quota: few, requested: configmaps=1',
    )
    error = from_response(403, json.dumps(quota).encode(), {})
    assert isinstance(error, errors.Forbidden)
    assert not error.namespace_terminating


def test_causes_are_kept_whatever_is_missing_in_them() -> None:
    body = status(
        422,
        "Invalid",
        causes=[{"reason": "FieldValueInvalid", "field": "data", "message": None}, {}],
    )
    assert from_response(422, json.dumps(body).encode(), {}).causes == (
        ("FieldValueInvalid", "data", ""),
        ("", "", ""),
    )


@pytest.mark.parametrize(
    ("headers", "details", "seconds"),
    [
        ({"Retry-After": "7"}, {}, 7.0),
        ({}, {"retryAfterSeconds": 3}, 3.0),
        ({"Retry-After": "7"}, {"retryAfterSeconds": 3}, 7.0),
        ({"Retry-After": "Wed, 21 Oct 2015 07:28:00 GMT"}, {}, None),
        ({"Retry-After": "-1"}, {}, None),
        ({"Retry-After": "99999999999"}, {}, errors.MAX_RETRY_AFTER_SECONDS),
        ({}, {"retryAfterSeconds": None}, None),
        ({}, {"retryAfterSeconds": 10**12}, errors.MAX_RETRY_AFTER_SECONDS),
        ({}, {"retryAfterSeconds": -5}, None),
        ({}, {}, None),
    ],
)
def test_the_server_says_how_long_to_wait(
    headers: dict[str, str], details: dict[str, int], seconds: float | None
) -> None:
    body = json.dumps(status(429, "TooManyRequests", **details)).encode()
    assert from_response(429, body, headers).retry_after == seconds


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"Too many requests, please try again later.",
        b"<html>",
        b"[]",
        b"null",
        b"\xff",
        pytest.param(b'{"x":' + b"[" * 200_000, id="nested deeper than can be read"),
    ],
)
def test_an_answer_without_a_status_still_has_its_class(body: bytes) -> None:
    error = from_response(429, body, {"Retry-After": "1"})
    assert type(error) is errors.TooManyRequests
    assert error.retry_after == 1.0
    assert str(error) == "the server answered 429 without a message (TooManyRequests)"


def test_no_body_travels_in_an_error() -> None:
    secret = {"kind": "ConfigMap", "data": {"password": "hunter2"}}
    error = from_response(500, json.dumps(secret).encode(), {})
    assert "hunter2" not in str(error) + repr(error)


def test_a_long_message_is_cut() -> None:
    error = from_response(422, json.dumps(status(422, "Invalid", "x" * 100_000)).encode(), {})
    assert len(str(error)) < 2 * errors.MESSAGE_LIMIT
    assert len(repr(error)) < 2 * errors.MESSAGE_LIMIT


def test_an_error_in_a_watch_is_read_by_its_own_code_and_reason() -> None:
    def in_watch(document: object) -> ApiError:
        return from_status(msgspec.Raw(json.dumps(document).encode()))

    assert type(in_watch(status(410, "Expired", "too old resource version"))) is errors.Gone
    assert type(in_watch({"reason": "Expired"})) is errors.Gone
    assert type(in_watch(status(403, "Forbidden"))) is errors.Forbidden
    assert type(in_watch({})) is errors.ServerError


@pytest.mark.parametrize("kind", CLASSES, ids=lambda kind: kind.__name__)
def test_every_class_is_in_the_retry_table(kind: type[ApiError]) -> None:
    assert isinstance(kind("x").retry, Retry)


@pytest.mark.parametrize(
    ("retry", "kinds"),
    [
        (Retry.NEVER, "BadRequest TooLarge UnsupportedMediaType Invalid"),
        (Retry.SOON, "Conflict AlreadyExists Gone Silent"),
        (Retry.BLOCKED, "Forbidden NotFound AdmissionDenied Fenced ApiError"),
    ],
)
def test_the_retry_table(retry: Retry, kinds: str) -> None:
    assert {kind.__name__ for kind in CLASSES if kind("x").retry is retry} == set(kinds.split())


@settings(deadline=None, max_examples=100)
@given(
    st.integers(300, 599),
    st.binary(max_size=200),
    st.dictionaries(st.just("Retry-After"), st.text(max_size=12)),
)
def test_nothing_a_server_says_breaks_us(code: int, body: bytes, headers: dict[str, str]) -> None:
    error = from_response(code, body, headers)
    assert error.status == code
    assert error.retry_after is None or error.retry_after > 0


def test_no_server_silences_a_client_for_more_than_30_seconds() -> None:
    assert ApiError("wait", retry_after=3600).retry_after == 30
    assert ApiError("wait", retry_after=7).retry_after == 7
    assert ApiError("wait").retry_after is None


def test_of_many_causes_the_first_are_kept_and_each_is_cut() -> None:
    causes = [
        {"reason": "FieldValueInvalid", "field": "x" * 10_000, "message": "y" * 10_000}
    ] * 30_000
    error = from_response(422, json.dumps(status(422, "Invalid", causes=causes)).encode(), {})
    assert len(error.causes) == errors.CAUSE_LIMIT
    assert max(len(text) for cause in error.causes for text in cause) <= errors.MESSAGE_LIMIT
