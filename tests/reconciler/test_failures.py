"""The status names a refused write without any text of the refusal."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from configmapsync.names import NamespacedName
from configmapsync.plans import Verb, Write
from configmapsync.reasons import Reason
from configmapsync.rendering import copy_template
from kube.errors import ApiError, Unreachable, from_response
from reconciler.writes.failures import describe, outcome_of
from tests.configmapsync.objects import source, sync
from tests.kube.scripted import status
from tests.support.cpu import cpu_seconds

SECRET = "canary-4c1f"
WRITE = Write(
    Verb.CREATE,
    NamespacedName("web", "config"),
    "there is no copy",
    template=copy_template(sync(), source({"k": SECRET})),
)


def answered(
    code: int, reason: str, message: str, causes: list[dict[str, str]] | None = None
) -> ApiError:
    return from_response(
        code, json.dumps(status(code, reason, message, causes=causes or [])).encode(), {}
    )


@pytest.mark.parametrize(
    ("error", "said", "reason"),
    [
        (
            answered(
                403,
                "Forbidden",
                f'admission webhook "policy.example.com" denied the request: {SECRET}',
            ),
            'refused by admission webhook "policy.example.com" (403 Forbidden)',
            Reason.WRITE_FAILED,
        ),
        (
            answered(
                422,
                "Invalid",
                f"ValidatingAdmissionPolicy 'p' with binding 'b' denied request: {SECRET}",
            ),
            'refused by ValidatingAdmissionPolicy "p" (binding "b") (422 Invalid)',
            Reason.WRITE_FAILED,
        ),
        (
            answered(422, "Invalid", f"denied: {SECRET} is too long"),
            "refused by an admission policy (422 Invalid)",
            Reason.WRITE_FAILED,
        ),
        (
            answered(
                403,
                "Forbidden",
                'configmaps "config" is forbidden: exceeded quota: few, requested: configmaps=1',
            ),
            'refused by ResourceQuota "few" (403 Forbidden)',
            Reason.WRITE_FAILED,
        ),
        (
            answered(
                403, "Forbidden", 'User "x" cannot create resource "configmaps" in API group ""'
            ),
            "refused by RBAC: the reconciler may not create ConfigMaps there (403 Forbidden)",
            Reason.WRITE_FAILED,
        ),
        (
            answered(
                500, "InternalError", f'failed calling webhook "w.example.com": said {SECRET}'
            ),
            (
                'refused by admission webhook "w.example.com", which the API server '
                "could not call (500 InternalError)"
            ),
            Reason.WRITE_FAILED,
        ),
        (
            answered(
                422,
                "Invalid",
                SECRET,
                [{"reason": "FieldValueTooLong", "field": "data", "message": SECRET}],
            ),
            "invalid: data (422 Invalid)",
            Reason.TOO_LARGE,
        ),
        (
            answered(500, SECRET, SECRET),
            "the API server answered 500 ServerError",
            Reason.WRITE_FAILED,
        ),
        (answered(404, "NotFound", 'namespaces "web" not found'), "", Reason.NAMESPACE_NOT_FOUND),
        (Unreachable("POST /api: no answer in time"), "no answer in time", Reason.WRITE_FAILED),
    ],
)
def test_a_refusal_is_named_without_its_text(error: ApiError, said: str, reason: Reason) -> None:
    outcome = outcome_of(WRITE, error)

    assert said in outcome.message
    assert SECRET not in outcome.message
    assert outcome.reason is reason


@settings(max_examples=300, deadline=None)
@given(st.integers(400, 599), st.text(max_size=200), st.text(min_size=1, max_size=200))
def test_no_text_of_an_answer_reaches_the_message(code: int, reason: str, message: str) -> None:
    marked = f"{message}{SECRET}{message}"
    causes = [{"reason": reason, "message": marked}]

    assert SECRET not in describe(answered(code, reason + SECRET, marked, causes))


def test_the_cost_does_not_depend_on_the_content_of_the_configmap() -> None:
    lines = {"a": "conf\n" * 180_000}
    write = Write(Verb.CREATE, WRITE.key, "", template=copy_template(sync(), source(lines)))
    error: Any = answered(
        403, "Forbidden", "configmaps is forbidden: exceeded quota: conf, " + "conf " * 1000
    )

    assert cpu_seconds(lambda: [outcome_of(write, error) for _ in range(100)]) < 0.1 * 5
