import base64

import pytest
from aiohttp import web

from devcluster.admission.request import Operation
from devcluster.errors import ApiStatus
from harness.scripted import configmap, never, write
from tests.support.processes import free_port


async def refusal(awaitable) -> ApiStatus:
    with pytest.raises(ApiStatus) as caught:
        await awaitable
    return caught.value


async def test_a_patch_is_applied_and_warnings_reach_the_caller(world):
    world.add("Mutating", "m")
    patch = [{"op": "add", "path": "/data", "value": {"k": "v"}}]
    world.webhook.answers["m"] = [
        {"allowed": True, "patch": patch, "warnings": ["first", "second"]}
    ]
    assert await world.mutate(write()) == configmap(data={"k": "v"})
    assert world.warnings == ["first", "second"]


async def test_without_a_matching_webhook_nothing_changes_and_nobody_is_called(world):
    world.add("Mutating", "m", {"rules": []})
    world.add("Validating", "v", {"objectSelector": {"matchLabels": {"watched": "yes"}}})
    assert await world.mutate(write()) == configmap()
    await world.validate(write())
    assert world.webhook.called == []


async def test_mutating_webhooks_run_in_order_of_name_and_each_sees_what_came_before(world):
    world.add("Mutating", "b")
    world.add("Mutating", "a")
    world.webhook.answers["a"] = [
        {"allowed": True, "patch": [{"op": "add", "path": "/data", "value": {"a": "1"}}]}
    ]
    world.webhook.answers["b"] = [
        {"allowed": True, "patch": [{"op": "add", "path": "/data/b", "value": "2"}]}
    ]
    assert await world.mutate(write()) == configmap(data={"a": "1", "b": "2"})
    assert world.webhook.called == ["a", "b"]
    assert world.webhook.reviews[1]["object"] == configmap(data={"a": "1"})


async def test_an_overtaken_webhook_is_called_again_once_if_it_asked_for_that(world):
    world.add("Mutating", "a", {"reinvocationPolicy": "IfNeeded"})
    world.add("Mutating", "b")
    world.add("Mutating", "c", {"reinvocationPolicy": "IfNeeded"})
    grow = {"allowed": True, "patch": [{"op": "add", "path": "/data", "value": {"b": "1"}}]}
    world.webhook.answers["b"] = [grow]
    await world.mutate(write())
    assert world.webhook.called == ["a", "b", "c", "a"]
    assert world.webhook.reviews[-1]["object"] == configmap(data={"b": "1"})


async def test_nobody_is_called_again_when_nothing_changed(world):
    world.add("Mutating", "a", {"reinvocationPolicy": "IfNeeded"})
    world.add("Mutating", "b")
    world.webhook.answers["b"] = [
        {"allowed": True, "patch": [{"op": "add", "path": "/metadata/name", "value": "a"}]}
    ]
    await world.mutate(write())
    assert world.webhook.called == ["a", "b"]


@pytest.mark.parametrize(
    ("status", "code", "reason", "message"),
    [
        (None, 400, "", "denied the request without explanation"),
        ({"message": "no"}, 400, "", "denied the request: no"),
        ({"code": 403, "message": "no"}, 403, "", "denied the request: no"),
        ({"code": 200, "message": "odd"}, 400, "", "denied the request: odd"),
        ({"code": 500, "message": "mine"}, 500, "", "denied the request: mine"),
        ({"reason": "NotHere"}, 400, "NotHere", "denied the request: NotHere"),
    ],
)
async def test_a_denial_is_the_webhooks_own_status_but_never_a_success(
    world, status, code, reason, message
):
    world.add("Validating", "v")
    world.webhook.answers["v"] = [{"allowed": False} | ({"status": status} if status else {})]
    denied = await refusal(world.validate(write()))
    assert (denied.code, denied.reason) == (code, reason)
    assert denied.message == f'admission webhook "v.example.com" {message}'


async def test_a_denials_causes_are_passed_on_and_its_warnings_too(world):
    world.add("Validating", "v")
    details = {
        "name": "a",
        "kind": "ConfigMap",
        "causes": [{"reason": "FieldValueInvalid", "field": "data"}],
    }
    status = {"code": 422, "reason": "Invalid", "message": "bad", "details": details}
    world.webhook.answers["v"] = [{"allowed": False, "status": status, "warnings": ["look out"]}]
    denied = await refusal(world.validate(write()))
    assert denied.details == details
    assert world.warnings == ["look out"]


async def test_all_validating_webhooks_are_asked_and_the_first_refusal_in_order_counts(world):
    for name in ("c", "a", "b"):
        world.add("Validating", name)
    world.webhook.answers["b"] = [{"allowed": False, "status": {"message": "b says no"}}]
    world.webhook.answers["c"] = [{"allowed": False, "status": {"message": "c says no"}}]
    denied = await refusal(world.validate(write()))
    assert "b says no" in denied.message
    assert sorted(world.webhook.called) == ["a", "b", "c"]


async def text(request: web.Request) -> web.Response:
    return web.Response(text="not json")


async def empty_object(request: web.Request) -> web.Response:
    return web.json_response({})


async def no_envelope(request: web.Request) -> web.Response:
    review = await request.json()
    return web.json_response({"response": {"uid": review["request"]["uid"], "allowed": True}})


async def boom(request: web.Request) -> web.Response:
    return web.Response(status=500, text="boom")


async def nothing_here(request: web.Request) -> web.Response:
    return web.Response(status=404, text="nothing")


async def elsewhere(request: web.Request) -> web.Response:
    raise web.HTTPFound("https://127.0.0.1:1/")


BAD_ANSWERS = [
    ({"allowed": True, "uid": "wrong"}, 'expected response.uid="'),
    (
        {"allowed": True, "patch": [{"op": "add", "path": "/x", "value": 1}]},
        "may not return response.patch",
    ),
    ({"allowed": True, "patchType": "JSONPatch"}, "may not return response.patchType"),
    (text, "couldn't get version/kind; json parse error"),
    (empty_object, "webhook response was absent"),
    (
        no_envelope,
        "expected webhook response of admission.k8s.io/v1, Kind=AdmissionReview, got /, Kind=",
    ),
    (boom, 'an error on the server ("boom") has prevented the request from succeeding'),
    (nothing_here, "the server could not find the requested resource"),
    (elsewhere, "the server responded with the status code 302"),
]


@pytest.mark.parametrize(("answer", "why"), BAD_ANSWERS)
async def test_a_bad_answer_is_an_internal_error_that_names_the_webhook_and_why(world, answer, why):
    world.add("Validating", "v")
    world.webhook.answers["v"] = [answer]
    failure = await refusal(world.validate(write()))
    assert (failure.code, failure.reason) == (500, "InternalError")
    assert failure.message.startswith(
        'Internal error occurred: failed calling webhook "v.example.com": '
    )
    assert why in failure.message
    assert failure.details == {
        "causes": [{"message": failure.message.removeprefix("Internal error occurred: ")}]
    }


@pytest.mark.parametrize(("answer", "why"), BAD_ANSWERS)
async def test_a_bad_answer_is_ignored_where_the_policy_says_so(world, answer, why):
    world.add("Validating", "v", {"failurePolicy": "Ignore"})
    world.webhook.answers["v"] = [answer]
    await world.validate(write())
    assert world.webhook.called == ["v"]


async def test_a_refusal_is_not_a_failure_whatever_the_policy(world):
    world.add("Validating", "v", {"failurePolicy": "Ignore"})
    world.webhook.answers["v"] = [{"allowed": False}]
    assert (await refusal(world.validate(write()))).code == 400


async def test_a_webhook_that_is_not_there_fails_or_is_ignored(world):
    dead = {"url": f"https://127.0.0.1:{free_port()}/x", "caBundle": world.webhook.ca_bundle}
    world.add("Validating", "v", {"clientConfig": dead, "failurePolicy": "Ignore"})
    await world.validate(write())
    world.add("Validating", "w", {"clientConfig": dead})
    failure = await refusal(world.validate(write()))
    assert f'Post "{dead["url"]}?timeout=10s": dial tcp 127.0.0.1:' in failure.message


async def test_a_webhook_slower_than_its_timeout_has_failed(world):
    world.add("Validating", "v", {"timeoutSeconds": 1})
    world.webhook.answers["v"] = [never]
    failure = await refusal(world.validate(write()))
    assert failure.message.endswith(
        f'Post "{world.webhook.url}/v?timeout=1s": context deadline exceeded'
    )


async def test_a_kept_connection_that_is_closed_just_as_it_is_used_is_no_failure(world):
    used: list[object] = []

    async def once_a_connection(request: web.Request) -> web.StreamResponse:
        if request.transport in used:
            request.transport.abort()
            return web.Response()
        used.append(request.transport)
        review = await request.json()
        response = {"uid": review["request"]["uid"], "allowed": True}
        return web.json_response(
            {"kind": "AdmissionReview", "apiVersion": "admission.k8s.io/v1", "response": response}
        )

    world.add("Validating", "v")
    world.webhook.answers["v"] = [once_a_connection]
    for _ in range(3):
        await world.validate(write())
    assert len(used) == 3


async def test_a_webhook_that_the_bundle_does_not_vouch_for_is_not_trusted(world):
    world.add("Validating", "v", {"clientConfig": {"url": f"{world.webhook.url}/v"}})
    failure = await refusal(world.validate(write()))
    assert "tls: failed to verify certificate: x509: " in failure.message
    assert world.webhook.called == []


async def test_a_bundle_that_is_no_certificate_says_so(world):
    broken = {"url": f"{world.webhook.url}/v", "caBundle": base64.b64encode(b"x").decode()}
    world.add("Validating", "v", {"clientConfig": broken})
    assert (await refusal(world.validate(write()))).message.endswith(
        "could not get REST client: unable to load root certificates: unable to parse bytes "
        "as PEM block"
    )


async def test_a_service_is_reached_at_its_mapped_address_under_its_own_name(world):
    service = {"namespace": "team", "name": "hook", "path": "/v"}
    world.add(
        "Validating",
        "v",
        {"clientConfig": {"service": service, "caBundle": world.webhook.ca_bundle}},
    )
    await world.validate(write())
    (call,) = world.webhook.calls
    assert (call[0], call[1].host) == ("v", "hook.team.svc")


async def test_a_service_without_an_address_is_not_found(world):
    service = {"namespace": "a", "name": "b", "port": 8443}
    world.add(
        "Validating",
        "v",
        {"clientConfig": {"service": service, "caBundle": world.webhook.ca_bundle}},
    )
    failure = await refusal(world.validate(write()))
    assert failure.message.endswith(
        'Post "https://b.a.svc:8443/?timeout=10s": service "b" not found'
    )


async def test_a_patch_that_does_not_apply_is_an_error_even_where_failures_are_ignored(world):
    world.add("Mutating", "m", {"failurePolicy": "Ignore"})
    world.webhook.answers["m"] = [
        {"allowed": True, "patch": [{"op": "remove", "path": "/nothing"}]}
    ]
    failure = await refusal(world.mutate(write()))
    assert (failure.code, failure.reason) == (500, "InternalError")


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        ({"allowed": True, "patch": "!!", "patchType": "JSONPatch"}, "not base64 of JSON"),
        (
            {"allowed": True, "patch": base64.b64encode(b"{}").decode(), "patchType": "JSONPatch"},
            "not a list",
        ),
        (
            {"allowed": True, "patch": [{"op": "test"}], "patchType": "Merge"},
            'unsupported patch type "Merge"',
        ),
        (
            {"allowed": True, "patch": base64.b64encode(b"[]").decode()},
            "response.patch but not response.patchType",
        ),
    ],
)
async def test_a_patch_has_to_be_a_json_patch(world, answer, why):
    world.add("Mutating", "m")
    world.webhook.answers["m"] = [answer]
    assert why in (await refusal(world.mutate(write()))).message


async def test_nothing_can_be_changed_about_a_deletion(world):
    world.add("Mutating", "m")
    world.webhook.answers["m"] = [
        {"allowed": True, "patch": [{"op": "add", "path": "/data", "value": {}}]}
    ]
    failure = await refusal(world.mutate(write(Operation.DELETE)))
    assert (
        "attempted to modify the object, which is not supported for this operation"
        in failure.message
    )


async def test_conditions_decide_after_rules_and_selectors(world):
    expression = "!has(object.metadata.annotations) && request.userInfo.username == 'admin'"
    world.add("Validating", "v", {"matchConditions": [{"name": "c", "expression": expression}]})
    await world.validate(write())
    await world.validate(
        write(object=configmap() | {"metadata": {"name": "a", "annotations": {"skip": ""}}})
    )
    assert world.webhook.called == ["v"]


async def test_a_condition_that_cannot_be_told_refuses_the_write_or_skips_the_webhook_by_policy(
    world,
):
    broken = [{"name": "c", "expression": "object.data.nope == 'x'"}]
    world.add("Validating", "v", {"matchConditions": broken, "failurePolicy": "Ignore"})
    await world.validate(write())
    world.add("Validating", "w", {"matchConditions": broken})
    refused = await refusal(world.validate(write()))
    assert (refused.code, refused.reason) == (403, "Forbidden")
    expected = "expression 'object.data.nope == 'x'' resulted in error: no such key: data"
    assert refused.message == f'configmaps "a" is forbidden: {expected}'
    assert world.webhook.called == []


async def test_one_false_condition_settles_it_whatever_the_others_say(world):
    conditions = [{"name": "a", "expression": "object.nope"}, {"name": "b", "expression": "false"}]
    world.add("Validating", "v", {"matchConditions": conditions})
    await world.validate(write())
    assert world.webhook.called == []


async def test_a_webhook_of_an_older_protocol_is_spoken_to_in_it(world):
    world.add("Validating", "v", {"admissionReviewVersions": ["v0", "v1beta1", "v1"]})
    world.webhook.answers["v"] = [{"allowed": True, "uid": "never mind"}]
    await world.validate(write())
    assert world.webhook.calls[0][2]["apiVersion"] == "admission.k8s.io/v1beta1"
