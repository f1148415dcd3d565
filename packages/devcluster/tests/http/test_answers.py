"""Check answers that were measured on kube-apiserver, beyond the recorded scenarios."""

import io
import json
from typing import Any

import aiohttp
import pytest

from tests.support.eventually import eventually

CONFIGMAPS = "/api/v1/namespaces/default/configmaps"
SECRETS = "/api/v1/namespaces/default/secrets"
MERGE = "application/merge-patch+json"
STRATEGIC = "application/strategic-merge-patch+json"
APPLY = "application/apply-patch+yaml"


class Client:
    """Sends one request and returns status and body."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self._session = session

    async def __call__(
        self, method: str, path: str, body: Any = None, content_type: str = "application/json"
    ) -> tuple[int, Any]:
        text = body if isinstance(body, bytes | None) else json.dumps(body).encode()
        data = (
            None if text is None else io.BytesIO(text)
        )  # aiohttp warns of large bodies that are bytes
        async with self._session.request(
            method, path, data=data, headers={"Content-Type": content_type}
        ) as answer:
            return answer.status, await answer.json(content_type=None)


@pytest.fixture
def send(client: aiohttp.ClientSession) -> Client:
    return Client(client)


def configmap(name: str, **more: Any) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, **more}


@pytest.mark.parametrize(
    ("body", "code", "words"),
    [
        (b'{"a":', 400, 'unexpected end of JSON input ({"a":)'),
        (b"[]", 400, "cannot unmarshal array into Go value"),
        (b"", 400, "unexpected end of JSON input (<empty>)"),
        (b"null", 422, "name or generateName is required"),
        (b'{"kind": 5}', 400, "cannot unmarshal number into Go struct field .kind of type string"),
        (b'{"metadata": "x"}', 400, "cannot unmarshal string into Go struct field"),
        (
            b'{"metadata": {"name": "x", "creationTimestamp": "yesterday"}}',
            400,
            'cannot parse "yesterday" as "2006"',
        ),
        (b'{"metadata": {"name": "x"}, "data": {"a": NaN}}', 400, "invalid character 'N'"),
    ],
)
async def test_what_cannot_be_read_is_refused_in_the_words_of_the_real_server(
    send: Client, body: bytes, code: int, words: str
) -> None:
    status, answer = await send("POST", CONFIGMAPS, body)

    assert status == code
    assert words in answer["message"]


async def test_what_is_no_text_becomes_the_replacement_character(send: Client) -> None:
    body = (
        rb'{"metadata": {"name": "odd"}, "data": {"alone": "\ud800", "pair": "\ud83d\ude00", '
        rb'"bytes": "'
        b"\xff"
        b'"}}'
    )

    _, created = await send("POST", CONFIGMAPS, body)

    assert created["data"] == {"alone": "\ufffd", "pair": "\U0001f600", "bytes": "\ufffd"}


async def test_null_in_a_map_is_the_empty_text(send: Client) -> None:
    _, created = await send("POST", CONFIGMAPS, configmap("nulls", data={"a": None}))

    assert created["data"] == {"a": ""}


async def test_a_strategic_patch_orders_lists_as_the_real_server_does(send: Client) -> None:
    metadata = {"name": "ordered", "finalizers": ["a.b/a", "a.b/b", "a.b/c"]}
    await send("POST", CONFIGMAPS, {"metadata": metadata})
    path = f"{CONFIGMAPS}/ordered"

    _, appended = await send(
        "PATCH", path, {"metadata": {"finalizers": ["a.b/d", "a.b/b"]}}, STRATEGIC
    )
    order = {"finalizers": ["a.b/e"], "$setElementOrder/finalizers": ["a.b/c", "a.b/e", "a.b/a"]}
    _, arranged = await send("PATCH", path, {"metadata": order}, STRATEGIC)

    assert appended["metadata"]["finalizers"] == ["a.b/d", "a.b/a", "a.b/b", "a.b/c"]
    assert arranged["metadata"]["finalizers"] == ["a.b/d", "a.b/b", "a.b/c", "a.b/e", "a.b/a"]


async def test_a_json_patch_may_replace_what_is_not_there(send: Client) -> None:
    await send("POST", CONFIGMAPS, configmap("replaced", data={"a": "1"}))

    status, patched = await send(
        "PATCH",
        f"{CONFIGMAPS}/replaced",
        [{"op": "replace", "path": "/data/b", "value": "2"}],
        "application/json-patch+json",
    )

    assert (status, patched["data"]) == (200, {"a": "1", "b": "2"})


@pytest.mark.parametrize(
    ("selector", "words"),
    [
        ("a===b", "found '=', expected: identifier"),
        ("a=" + "v" * 64, "must be no more than 63 bytes"),
        ("A../b", "prefix part"),
        ("a>b", "the value must be an integer"),
    ],
)
async def test_a_selector_that_no_label_can_satisfy_is_refused(
    send: Client, selector: str, words: str
) -> None:
    status, answer = await send("GET", f"{CONFIGMAPS}?labelSelector={selector.replace('>', '%3E')}")

    assert status == 400
    assert words in answer["message"]


async def test_the_first_namespaces_cannot_be_deleted(send: Client) -> None:
    for name in ("default", "kube-system", "kube-public"):
        status, answer = await send("DELETE", f"/api/v1/namespaces/{name}")

        assert status == 403
        assert (
            answer["message"]
            == f'namespaces "{name}" is forbidden: this namespace may not be deleted'
        )


async def test_collections_are_deleted_in_one_namespace_only(send: Client) -> None:
    assert (await send("DELETE", "/api/v1/configmaps"))[0] == 405


@pytest.mark.parametrize(
    ("secret", "field"),
    [
        ({"type": "kubernetes.io/tls", "data": {}}, "data[tls.crt]"),
        ({"type": "kubernetes.io/ssh-auth"}, "data[ssh-privatekey]"),
        ({"type": "kubernetes.io/basic-auth"}, "data[username]"),
        ({"data": {"a b": "aGk="}}, "data[a b]"),
        ({"stringData": {"a": "x" * 1048577}}, "data"),
    ],
)
async def test_a_secret_must_hold_what_its_type_asks_for(
    send: Client, secret: dict[str, Any], field: str
) -> None:
    status, answer = await send("POST", SECRETS, {"metadata": {"name": "s"}, **secret})

    assert status == 422
    assert answer["details"]["causes"][0]["field"] == field


async def test_the_type_of_a_secret_stays(send: Client) -> None:
    await send("POST", SECRETS, {"metadata": {"name": "s"}, "stringData": {"a": "b"}})

    status, answer = await send("PATCH", f"{SECRETS}/s", {"type": "other"}, MERGE)

    assert (status, answer["details"]["causes"][0]["field"]) == (422, "type")


async def test_events_of_the_newer_group_must_say_who_did_what(send: Client) -> None:
    path = "/apis/events.k8s.io/v1/namespaces/default/events"
    event = {
        "metadata": {"name": "e"},
        "eventTime": "2024-01-01T00:00:00.000000Z",
        "type": "Normal",
    }

    _, answer = await send(
        "POST", path, {**event, "regarding": {"kind": "ConfigMap", "namespace": "default"}}
    )

    required = [
        cause["field"]
        for cause in answer["details"]["causes"]
        if cause["reason"] == "FieldValueRequired"
    ]
    assert required == ["reportingController", "reportingInstance", "action", "reason"]


async def test_an_event_about_a_cluster_object_belongs_into_default(send: Client) -> None:
    event = {"metadata": {"name": "e"}, "involvedObject": {"kind": "Namespace", "name": "x"}}

    assert (await send("POST", "/api/v1/namespaces/default/events", event))[0] == 201
    assert (await send("POST", "/api/v1/namespaces/kube-system/events", event))[0] == 422


async def test_a_quota_limits_the_number_of_objects(send: Client) -> None:
    quotas = "/api/v1/namespaces/small/resourcequotas"
    configmaps = "/api/v1/namespaces/small/configmaps"
    await send("POST", "/api/v1/namespaces", {"metadata": {"name": "small"}})

    async def root_certificate_is_there() -> bool:
        return (await send("GET", f"{configmaps}/kube-root-ca.crt"))[0] == 200

    await eventually(root_certificate_is_there)
    await send(
        "POST", quotas, {"metadata": {"name": "q"}, "spec": {"hard": {"count/configmaps": "2"}}}
    )
    await send("POST", configmaps, configmap("fits"))

    status, answer = await send("POST", configmaps, configmap("one-too-many"))

    assert status == 403
    assert answer["message"] == (
        'configmaps "one-too-many" is forbidden: exceeded quota: q, requested: count/configmaps=1, '
        "used: count/configmaps=2, limited: count/configmaps=2"
    )


async def test_what_nobody_followed_belongs_to_whoever_was_there_before_the_first_apply(
    send: Client,
) -> None:
    path = f"{CONFIGMAPS}/plain"
    await send("POST", CONFIGMAPS, configmap("plain"))
    _, untracked = await send("PATCH", f"{path}?fieldManager=u", {"data": {"a": "1"}}, MERGE)

    status, answer = await send(
        "PATCH", f"{path}?fieldManager=m", configmap("plain", data={"a": "2"}), APPLY
    )

    assert "managedFields" not in untracked["metadata"]
    assert status == 409
    assert (
        answer["details"]["causes"][0]["message"] == 'conflict with "before-first-apply" using v1'
    )


async def test_an_apply_must_name_what_it_applies(send: Client) -> None:
    status, answer = await send(
        "PATCH",
        f"{CONFIGMAPS}/nameless?fieldManager=m",
        {"apiVersion": "v1", "kind": "ConfigMap"},
        APPLY,
    )

    assert status == 400
    assert "name must be provided" in answer["message"]


async def test_everything_that_does_not_fit_is_told_of_an_apply(send: Client) -> None:
    applied = configmap("misfit", data={"a": 3}, colour="red")

    _, answer = await send("PATCH", f"{CONFIGMAPS}/misfit?fieldManager=m", applied, APPLY)

    assert answer["message"].splitlines()[1:] == [
        "  .data.a: expected string, got &value.valueUnstructured{Value:3}",
        "  .colour: field not declared in schema",
    ]


async def test_a_state_that_is_still_to_come_is_not_made_up(send: Client) -> None:
    await send("POST", CONFIGMAPS, configmap("now"))

    status, answer = await send("GET", f"{CONFIGMAPS}/now?resourceVersion=99999999")

    assert (status, answer["details"]["causes"][0]["reason"]) == (504, "ResourceVersionTooLarge")
