"""The admission policy lets the certificate tool change only `caBundle` and path.

The tests evaluate its expressions without a cluster and on a real API server.
"""

import copy
import json
import re
import secrets
import subprocess
from collections.abc import Callable, Iterator
from typing import Any

import celpy
import pytest

from tests.config.installation import deploy
from tests.support.cluster import Cluster
from tests.support.eventually import wait_until
from tests.support.kubectl import kubectl_program
from tests.support.manifests import Manifest, build, named

TOKEN = "0123456789abcdef" * 4
NAME = "configmapsync-webhook"
KINDS = {
    "MutatingWebhookConfiguration": "mutatingwebhookconfigurations",
    "ValidatingWebhookConfiguration": "validatingwebhookconfigurations",
}
PLAIN = {
    "MutatingWebhookConfiguration": "/mutate-apps-nishaf-info-v1-configmapsync",
    "ValidatingWebhookConfiguration": "/validate-apps-nishaf-info-v1-configmapsync",
}
# celpy has no optional types, which the API server has since 1.30.
OPTIONAL = re.compile(r"(\S+)\.\?(\w+) == (\S+)\.\?(\w+)")

Change = Callable[[Manifest], object]


def _webhook(**fields: Any) -> Change:
    return lambda document: document["webhooks"][0].update(fields)


def _service(**fields: Any) -> Change:
    return lambda document: document["webhooks"][0]["clientConfig"]["service"].update(fields)


def _path(path: str) -> Change:
    return lambda document: _service(path=path.format(plain=PLAIN[document["kind"]]))(document)


def _another_webhook(document: Manifest) -> None:
    document["webhooks"].append({**document["webhooks"][0], "name": "another.example.com"})


def _url(document: Manifest) -> None:
    document["webhooks"][0]["clientConfig"] = {"url": "https://elsewhere.example.com/"}


ALLOWED: dict[str, Change] = {
    "nothing": lambda _: None,
    "the bundle": lambda document: document["webhooks"][0]["clientConfig"].update(caBundle="Cg=="),
    "the plain path": _path("{plain}"),
    "a path with a token": _path(f"/{TOKEN}{{plain}}"),
    "both": lambda document: (
        _path(f"/{TOKEN}{{plain}}")(document),
        document["webhooks"][0]["clientConfig"].update(caBundle="Cg=="),
    ),
}
REFUSED: dict[str, Change] = {
    "another path": _path(f"/{TOKEN}/other"),
    "a short token": _path("/short{plain}"),
    "a token of two segments": _path(f"/{TOKEN}/{TOKEN}{{plain}}"),
    "something behind the path": _path(f"/{TOKEN}{{plain}}/more"),
    "the other webhook's path": lambda document: _service(
        path=next(path for kind, path in PLAIN.items() if kind != document["kind"])
    )(document),
    "labels": lambda document: document["metadata"]["labels"].clear(),
    "an annotation": lambda document: (
        document["metadata"].setdefault("annotations", {}).update(a="b")
    ),
    "a finalizer": lambda document: document["metadata"].update(finalizers=["example.com/hold"]),
    "an owner": lambda document: document["metadata"].update(
        ownerReferences=[{"apiVersion": "v1", "kind": "Namespace", "name": "a", "uid": "b"}]
    ),
    "the failure policy": _webhook(failurePolicy="Ignore"),
    "the match policy": _webhook(matchPolicy="Exact"),
    "the rules": lambda document: document["webhooks"][0]["rules"][0].update(
        resources=["*"], apiGroups=["*"]
    ),
    "no rules": lambda document: document["webhooks"][0].update(rules=[]),
    "the namespaces": _webhook(namespaceSelector={"matchLabels": {"a": "b"}}),
    "the objects": _webhook(objectSelector={"matchLabels": {"a": "b"}}),
    "the time-out": _webhook(timeoutSeconds=1),
    "the side effects": _webhook(sideEffects="NoneOnDryRun"),
    "the versions": _webhook(admissionReviewVersions=["v1", "v1beta1"]),
    "the conditions": _webhook(matchConditions=[]),
    "a webhook's name": _webhook(name="another.example.com"),
    "the service": _service(name="another"),
    "the service's namespace": _service(namespace="another"),
    "the service's port": _service(port=8443),
    "a URL": _url,
    "another webhook": _another_webhook,
    "no webhook": lambda document: document.update(webhooks=[]),
    "no list of webhooks": lambda document: document.pop("webhooks"),
}
MUTATING_ONLY: dict[str, Change] = {"the reinvocation": _webhook(reinvocationPolicy="Never")}


def _as_stored(kind: str) -> Manifest:
    """Return the configuration with the defaults that the API server adds."""
    document = copy.deepcopy(named(build(), kind, NAME))
    document["webhooks"][0] |= {"namespaceSelector": {}, "objectSelector": {}}
    document["webhooks"][0]["clientConfig"]["service"]["port"] = 443
    return document


def _has_form(match: re.Match[str]) -> str:
    left, right = f"{match[1]}.{match[2]}", f"{match[3]}.{match[4]}"
    return f"(has({left}) == has({right}) && (!has({left}) || {left} == {right}))"


def _evaluate(expression: str, values: dict[str, Any]) -> Any:
    text = OPTIONAL.sub(_has_form, expression.replace("dyn(new)", "new").replace("dyn(old)", "old"))
    environment = celpy.Environment()
    program = environment.program(environment.compile(text))
    return program.evaluate({name: celpy.json_to_cel(value) for name, value in values.items()})


def admits(kind: str, old: Manifest, new: Manifest) -> bool:
    """Return whether every expression of the policy is true.

    An error counts as false, as with `failurePolicy: Fail`.
    """
    spec = named(build(), "ValidatingAdmissionPolicy", "configmapsync-certs")["spec"]
    values = {"object": new, "oldObject": old, "request": {"resource": {"resource": KINDS[kind]}}}
    variables = {
        variable["name"]: str(_evaluate(variable["expression"], values))
        for variable in spec["variables"]
    }
    try:
        return all(
            _evaluate(v["expression"], values | {"variables": variables})
            for v in spec["validations"]
        )
    except celpy.CELEvalError:
        return False


def _changes(kind: str) -> Iterator[tuple[str, Change, bool]]:
    yield from ((name, change, True) for name, change in ALLOWED.items())
    yield from ((name, change, False) for name, change in REFUSED.items())
    if kind == "MutatingWebhookConfiguration":
        yield from ((name, change, False) for name, change in MUTATING_ONLY.items())


CASES = [
    pytest.param(kind, change, allowed, id=f"{kind[:4].lower()}: {name}")
    for kind in KINDS
    for name, change, allowed in _changes(kind)
]


@pytest.mark.parametrize(("kind", "change", "allowed"), CASES)
def test_the_expressions_allow_the_bundle_and_the_path_alone(
    kind: str, change: Change, allowed: bool
) -> None:
    old = _as_stored(kind)
    new = copy.deepcopy(old)
    change(new)
    assert admits(kind, old, new) is allowed


@pytest.mark.parametrize("kind", KINDS)
def test_a_token_may_be_replaced(kind: str) -> None:
    old, new = _as_stored(kind), _as_stored(kind)
    _path(f"/{TOKEN}{{plain}}")(old)
    _path(f"/{TOKEN[::-1]}{{plain}}")(new)
    assert admits(kind, old, new)


def test_every_field_of_a_webhook_is_compared() -> None:
    """The certificate tool could change an API field that the policy does not compare.

    The OpenAPI schema lists the fields.
    """
    [spec] = [named(build(), "ValidatingAdmissionPolicy", "configmapsync-certs")["spec"]]
    expressions = " ".join(validation["expression"] for validation in spec["validations"])
    fields = {
        "name", "admissionReviewVersions", "clientConfig", "failurePolicy", "matchConditions",
        "matchPolicy", "namespaceSelector", "objectSelector", "reinvocationPolicy", "rules",
        "sideEffects", "timeoutSeconds",
    }  # fmt: skip
    assert {field for field in fields if not re.search(rf"\b{field}\b", expressions)} == set()


@pytest.mark.only_on("real")
def test_the_api_server_applies_the_policy_to_the_tools_account(fresh_cluster: Cluster) -> None:
    deploy(fresh_cluster)
    kubeconfig = fresh_cluster.kubeconfig_for_account("configmapsync-system", "configmapsync-certs")

    def put(kind: str, change: Change) -> str:
        path = f"/apis/admissionregistration.k8s.io/v1/{KINDS[kind]}/{NAME}"
        document = fresh_cluster.get(path)
        change(document)
        command = [
            kubectl_program(),
            "--kubeconfig",
            str(kubeconfig),
            "replace",
            "--raw",
            path,
            "-f",
            "-",
        ]
        done = subprocess.run(
            command, input=json.dumps(document), capture_output=True, text=True, check=False
        )
        return done.stderr

    def annotate(document: Manifest) -> None:
        document["metadata"].setdefault("annotations", {})["tried"] = secrets.token_hex(4)

    # A policy takes effect a moment after its creation; until then the API server admits the
    # change.
    wait_until(lambda: "denied" in put("MutatingWebhookConfiguration", annotate), within=30)
    message = "may change only the caBundle and the path of a webhook"
    assert message in put("MutatingWebhookConfiguration", REFUSED["the rules"])
    for kind in KINDS:
        for name, change, allowed in _changes(kind):
            assert (put(kind, change) == "") is allowed, (kind, name)
    labelled = fresh_cluster.kubectl(
        "label", "mutatingwebhookconfiguration", NAME, "by=admin", check=False
    )
    assert labelled.returncode == 0, labelled.stderr
