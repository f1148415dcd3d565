import base64
import contextlib
import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from configmapsync.parsing import InvalidResourceError
from tests.support.cpu import cpu_seconds
from tests.webhook import recorded
from webhook.admission import exempt, mutation
from webhook.admission_review import (
    LARGEST_SPEC,
    MalformedReviewError,
    parse,
)
from webhook.answers import allowed, denied, failure


@pytest.mark.parametrize("entry", recorded.INDEX, ids=lambda entry: entry["file"])
def test_recorded_reviews_are_decoded(entry: dict[str, Any]):
    sent = recorded.document(entry["file"])["request"]
    review = parse(recorded.body(entry["file"]))
    assert (review.uid, review.operation, review.name) == (
        sent["uid"],
        entry["operation"],
        sent["name"],
    )
    assert review.user.username == entry["user"]
    assert review.sub_resource == sent.get("subResource", "")
    for found, document in ((review.new, sent["object"]), (review.old, sent["oldObject"])):
        assert (found is None) == (document is None)
        if found is not None:
            assert found.document()["spec"] == document["spec"]
            metadata = found.document()["metadata"]
            assert metadata == {key: document["metadata"][key] for key in metadata}
            assert {"name", "namespace", "deletionTimestamp", "finalizers"} & document[
                "metadata"
            ].keys() <= metadata.keys()


def test_everything_about_the_user_is_kept():
    user = parse(recorded.body("create-impersonated.json")).user
    sent = recorded.document("create-impersonated.json")["request"]["userInfo"]
    assert user.username == sent["username"]
    assert user.uid == sent["uid"]
    assert list(user.groups) == sent["groups"]
    assert {key: list(values) for key, values in user.extra.items()} == sent["extra"]


def _changed(**changes: object) -> bytes:
    document = recorded.document("create.json")
    for key, value in changes.items():
        if value is None:
            del document[key]
        else:
            document[key] = value
    return json.dumps(document).encode()


def _with_request(**changes: object) -> bytes:
    document = recorded.document("create.json")
    document["request"] |= changes
    return json.dumps(document).encode()


@pytest.mark.parametrize(
    ("body", "message"),
    [
        pytest.param(b"", "is not an AdmissionReview", id="empty"),
        pytest.param(b"{", "is not an AdmissionReview", id="cut off"),
        pytest.param(b"[]", "is not an AdmissionReview", id="a list"),
        pytest.param(b"\xff\xfe", "is not an AdmissionReview", id="not UTF-8"),
        pytest.param(b"null", "is not an AdmissionReview", id="null"),
        pytest.param(b"[" * 100_000, "is not an AdmissionReview", id="very deep"),
        pytest.param(
            _changed(kind="Pod"),
            "this webhook supports admission.k8s.io/v1 AdmissionReview",
            id="another kind",
        ),
        pytest.param(
            _changed(apiVersion="admission.k8s.io/v1beta1"), "v1beta1", id="an old version"
        ),
        pytest.param(_changed(apiVersion=None), "no apiVersion", id="no version"),
        pytest.param(_changed(request=None), "has no request with a uid", id="no request"),
        pytest.param(_with_request(uid=""), "has no request with a uid", id="no uid"),
        pytest.param(_with_request(uid=7), "is not an AdmissionReview", id="a number as uid"),
        pytest.param(
            _with_request(operation="BURN"), "is not an AdmissionReview", id="unknown operation"
        ),
        pytest.param(_with_request(object=[1]), "got `array`", id="an object that is a list"),
        pytest.param(
            _with_request(userInfo={"groups": "all"}),
            "is not an AdmissionReview",
            id="groups of another type",
        ),
    ],
)
def test_a_malformed_review_is_rejected_with_the_reason(body: bytes, message: str):
    with pytest.raises(MalformedReviewError, match=message):
        parse(body)


anything = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=8,
)


@settings(deadline=None, max_examples=200)
@given(path=st.lists(st.integers(0, 20), max_size=5), value=anything)
def test_a_mutated_review_is_decoded_or_rejected(path: list[int], value: object):
    document: Any = recorded.document("update-spec.json")
    here = document
    for step in path:
        keys = list(here) if isinstance(here, dict) else []
        if not keys:
            break
        key = keys[step % len(keys)]
        if isinstance(here[key], dict) and step % 2:
            here = here[key]
        else:
            here[key] = value
            break
    with contextlib.suppress(MalformedReviewError):
        assert parse(json.dumps(document).encode()).uid


def test_an_answer_repeats_the_uid_and_carries_patch_and_warnings():
    answer = json.loads(
        allowed("u-1", ["mind the gap"], [{"op": "add", "path": "/spec/suspend", "value": True}])
    )
    assert answer["apiVersion"] == "admission.k8s.io/v1"
    assert answer["kind"] == "AdmissionReview"
    response = answer["response"]
    assert response["uid"] == "u-1"
    assert response["allowed"] is True
    assert response["warnings"] == ["mind the gap"]
    assert response["patchType"] == "JSONPatch"
    assert json.loads(base64.b64decode(response["patch"])) == [
        {"op": "add", "path": "/spec/suspend", "value": True}
    ]


def test_an_allowed_answer_has_no_other_fields():
    assert json.loads(allowed("u-1"))["response"] == {"uid": "u-1", "allowed": True}


def test_a_denial_carries_the_status_that_kubectl_prints():
    response = json.loads(denied("u-1", failure(503, "ServiceUnavailable", "later")))["response"]
    assert response["allowed"] is False
    assert response["status"]["code"] == 503
    assert response["status"]["message"] == "later"


def of_spec(text: str, old: str | None = None) -> bytes:
    """A review whose object has a spec of that text."""
    document = recorded.document("create.json" if old is None else "update-spec.json")
    document["request"]["object"]["spec"] = "@new"
    if old is not None:
        document["request"]["oldObject"]["spec"] = "@old"
    return json.dumps(document).replace('"@new"', text).replace('"@old"', old or "").encode()


def cost(action: Callable[[], object]) -> float:
    """Return the CPU time in seconds of an action that may refuse its input."""

    def try_action() -> None:
        with contextlib.suppress(MalformedReviewError, InvalidResourceError):
            action()

    return cpu_seconds(try_action)


HOSTILE = {
    "objects": "[" + ",".join(["{}"] * (7_000_000 // 3)) + "]",
    "numbers": '{"destinationNamespaces": [' + ",".join(["1"] * (7_000_000 // 2)) + "]}",
    "lists in a field": '{"destinationNamespaces": ['
    + ",".join(["[]"] * (LARGEST_SPEC // 3 - 100))
    + "]}",
    "fields": "{" + ",".join(f'"{number:x}":1' for number in range(55_000)) + "}",
    "one text": '{"configMapName": "' + "x" * 7_000_000 + '"}',
    "nested": '{"keys": ' + "[" * 250_000 + "]" * 250_000 + "}",
    "nested a little": '{"keys": ' + "[" * 900 + "]" * 900 + "}",
}


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_no_spec_blocks_the_event_loop_for_long(text: str):
    body = bytearray(of_spec(text))
    assert cost(lambda: parse(body)) < 1.0, "0.03 s on a free core"
    try:
        review = parse(body)
    except MalformedReviewError:
        return
    assert cost(lambda: exempt(review)) < 1.0
    assert cost(lambda: mutation(review)) < 1.0
    assert cost(lambda: review.new and review.new.document()) < 1.0


@pytest.mark.parametrize("name", ["objects", "numbers", "one text"])
def test_a_spec_that_could_not_be_stored_is_not_decoded(name: str):
    new = parse(of_spec(HOSTILE[name])).new
    assert new is not None
    assert new.shallow_spec() is None
    with pytest.raises(
        InvalidResourceError, match=f"spec: Too long: may not be more than {LARGEST_SPEC} bytes"
    ):
        new.document()


def test_two_specs_are_equal_whatever_the_order_of_their_fields():
    assert parse(of_spec('{"a": 1, "b": [2]}', '{"b": [2], "a": 1}')).spec_is_unchanged
    assert not parse(of_spec('{"a": 1, "b": [2]}', '{"b": [3], "a": 1}')).spec_is_unchanged
    large = '{"a": "' + "x" * LARGEST_SPEC + '"}'
    assert parse(of_spec(large, large)).spec_is_unchanged
    assert parse(of_spec(large, large)).spec_bytes < 100, "neither is kept"
    assert not parse(of_spec(large, large.replace("x", "y"))).spec_is_unchanged
    assert not parse(of_spec(large, "{}")).spec_is_unchanged
    assert not parse(of_spec("null", large)).spec_is_unchanged


def test_a_decoded_object_does_not_keep_the_body_in_memory():
    document = recorded.document("create.json")
    document["request"]["object"]["metadata"]["annotations"] = {"large": "x" * 1_000_000}
    new = parse(json.dumps(document).encode()).new
    assert new is not None
    assert len(bytes(memoryview(new.spec))) < 10_000


@pytest.mark.parametrize("field", ["uid", "name", "namespace", "subResource"])
def test_a_name_over_the_limit_is_rejected(field: str):
    with pytest.raises(MalformedReviewError, match="characters"):
        parse(_with_request(**{field: "x" * 10_000}))


def test_a_user_info_over_the_limit_is_rejected():
    with pytest.raises(MalformedReviewError, match="the user has more than"):
        parse(_with_request(userInfo={"groups": ["g"] * 100_000}))
