"""No body ends in a 500: every verb answers it with another Status."""

import json

import pytest
import pytest_asyncio
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from devcluster.app import Options, serve
from devcluster.http.yaml_reader import DEEPEST
from harness.serving import connected, now

EXAMPLES = 150
CONFIGMAPS = "/api/v1/namespaces/default/configmaps"
WIDGETS = "/apis/example.com/v1/namespaces/default/widgets"
REVIEWS = "/apis/authorization.k8s.io/v1"
REQUESTS = (
    *(
        ("POST", path)
        for path in (CONFIGMAPS, WIDGETS, "/api/v1/namespaces", "/api/v1/namespaces/default/events")
    ),
    *(
        ("POST", f"{REVIEWS}/{name}")
        for name in ("selfsubjectaccessreviews", "subjectaccessreviews")
    ),
    ("POST", f"{REVIEWS}/namespaces/default/localsubjectaccessreviews"),
    ("POST", f"{REVIEWS}/selfsubjectrulesreviews"),
    ("POST", "/apis/authentication.k8s.io/v1/tokenreviews"),
    ("POST", "/api/v1/namespaces/default/serviceaccounts/default/token"),
    ("POST", "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"),
    ("POST", "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations"),
    ("POST", "/apis/rbac.authorization.k8s.io/v1/namespaces/default/roles"),
    *((verb, f"{path}/there") for verb in ("PUT", "DELETE") for path in (CONFIGMAPS, WIDGETS)),
    ("PUT", f"{WIDGETS}/there/status"),
    ("PUT", "/apis/coordination.k8s.io/v1/namespaces/default/leases/new"),
)
PATCHES = (
    "application/merge-patch+json",
    "application/json-patch+json",
    "application/strategic-merge-patch+json",
)
MEDIA = ("application/json", "application/yaml", "application/vnd.kubernetes.protobuf")
WIDGET = {
    "apiVersion": "apiextensions.k8s.io/v1",
    "kind": "CustomResourceDefinition",
    "metadata": {"name": "widgets.example.com"},
    "spec": {
        "group": "example.com",
        "scope": "Namespaced",
        "names": {"plural": "widgets", "kind": "Widget"},
        "versions": [
            {
                "name": "v1",
                "served": True,
                "storage": True,
                "subresources": {"status": {}},
                "schema": {
                    "openAPIV3Schema": {
                        "type": "object",
                        "properties": {
                            "spec": {
                                "type": "object",
                                "properties": {
                                    "size": {"type": "integer", "default": 1},
                                    "names": {"type": "array", "items": {"type": "string"}},
                                },
                            },
                            "status": {
                                "type": "object",
                                "properties": {"phase": {"type": "string"}},
                            },
                        },
                    }
                },
            }
        ],
    },
}

values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=6,
)
FIELDS = (
    "name",
    "namespace",
    "labels",
    "annotations",
    "finalizers",
    "ownerReferences",
    "resourceVersion",
    "uid",
)
metadata = values | st.fixed_dictionaries(
    {},
    optional=dict.fromkeys((*FIELDS, "managedFields", "creationTimestamp", "generateName"), values),
)
TYPES = [
    {},
    {"apiVersion": "v1", "kind": "ConfigMap"},
    {"apiVersion": "example.com/v1", "kind": "Widget"},
]
OPTIONS = (
    "propagationPolicy",
    "preconditions",
    "dryRun",
    "orphanDependents",
    "gracePeriodSeconds",
    "rules",
    "webhooks",
)
objects = st.builds(
    lambda types, members, name: (
        {**types, **members} | ({"metadata": {"name": name}} if name else {})
    ),
    st.sampled_from(TYPES),
    st.fixed_dictionaries(
        {},
        optional={
            "metadata": metadata,
            **dict.fromkeys(("data", "spec", "status", "kind", *OPTIONS), values),
        },
    ),
    st.sampled_from(["", "there", "new"]),
)
operations = st.lists(
    st.fixed_dictionaries(
        {
            "op": st.sampled_from(["add", "remove", "replace", "move", "copy", "test"]) | values,
            "path": st.sampled_from(
                ["", "/", "/metadata/labels/a", "/spec/names/-", "/data", "/kind"]
            )
            | values,
        },
        optional={"from": st.sampled_from(["/metadata", "/spec", "/nothing"]), "value": values},
    )
    | values,
    max_size=3,
)
bodies = st.binary(max_size=40) | (values | objects | operations).map(
    lambda value: json.dumps(value).encode()
)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def requests():
    """Sends a request and returns the status and the answer."""
    async with (
        serve(Options(), now) as running,
        connected(running) as session,
    ):

        async def send(method, path, body, media):
            headers = {"Content-Type": media}
            async with session.request(method, path, data=body, headers=headers) as answer:
                return answer.status, await answer.read()

        definitions = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
        assert (await send("POST", definitions, json.dumps(WIDGET).encode(), "application/json"))[
            0
        ] == 201

        async def there():
            for path, types in ((CONFIGMAPS, TYPES[1]), (WIDGETS, TYPES[2])):
                body = json.dumps(
                    {**types, "metadata": {"name": "there"}, "spec": {"names": ["a"]}}
                ).encode()
                await send("POST", path, body, "application/json")

        yield send, there


def check(request, status, answer):
    assert status != 500, (request, answer)
    if status >= 400:
        assert json.loads(answer)["kind"] == "Status", (request, answer)


DEEP = [b'{"a":' * depth + b"1" + b"}" * depth for depth in (DEEPEST + 10, 30_000)]


@pytest.mark.asyncio(loop_scope="module")
@settings(
    max_examples=EXAMPLES,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(request=st.sampled_from(REQUESTS), body=bodies, media=st.sampled_from(MEDIA))
@example(request=("DELETE", f"{CONFIGMAPS}/there"), body=b'{"preconditions": 1}', media=MEDIA[0])
@example(request=("POST", CONFIGMAPS), body=b"[" * 100_000, media=MEDIA[0])
@example(request=("POST", CONFIGMAPS), body=DEEP[0], media=MEDIA[0])
@example(request=("POST", WIDGETS), body=DEEP[1], media=MEDIA[1])
@example(request=("POST", CONFIGMAPS), body=b"a: &x [*x]", media=MEDIA[1])
@example(request=("POST", CONFIGMAPS), body=b"a: &x 1\nb: *x", media=MEDIA[1])
@example(request=("POST", CONFIGMAPS), body=b'{"a": ' + b"9" * 5000 + b"}", media=MEDIA[0])
async def test_no_body_ends_in_a_500(requests, request, body, media):
    send, there = requests
    await there()
    check((request, body, media), *await send(*request, body, media))


@pytest.mark.asyncio(loop_scope="module")
@settings(
    max_examples=EXAMPLES,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    path=st.sampled_from([CONFIGMAPS, WIDGETS, f"{WIDGETS}/there/status"]),
    body=bodies,
    media=st.sampled_from(PATCHES),
)
async def test_no_patch_ends_in_a_500(requests, path, body, media):
    send, there = requests
    await there()
    path = path if path.endswith("status") else f"{path}/there"
    status, answer = await send("PATCH", path, body, media)
    told_as_recorded = b"ParseUint" in answer or b"does not contain declared merge key" in answer
    if not told_as_recorded:  # kube-apiserver itself answers 500 to these two
        check((path, body, media), status, answer)
