"""The checks of `doctor` judge what they read, and the table of rights is complete."""

import asyncio
import base64
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from configmapsync.crd import custom_resource_definition
from hack.roles import ROLES
from kube.client import MUTATING_WEBHOOKS, VALIDATING_WEBHOOKS
from kube.errors import ApiError, Forbidden, NotFound, ServerError, Unreachable
from plugin.doctor.examination import CHECKS, examine
from plugin.doctor.findings import PREFIX, Finding, Level, Patient
from plugin.doctor.installed import CRD_NAME, CRDS
from plugin.doctor.rights import CLUSTER, rights_of
from plugin.progress import Progress
from plugin.reading import Reader

NOW = datetime(2026, 11, 28, 12, tzinfo=UTC)
Answers = dict[str, Any]


class FakeApiServer:
    """Answers each path with a document or an error; lists are empty by default."""

    def __init__(self, answers: Answers) -> None:
        self._answers = answers

    async def request(self, method: str, path: str, **_options: Any) -> bytes:
        answer = self._answers.get(f"{method} {path}")
        if isinstance(answer, ApiError):
            raise answer
        if answer is None and method == "GET":
            answer = {"metadata": {"resourceVersion": "1"}, "items": []}
        if answer is None:
            answer = {"status": {"allowed": True}}
        return json.dumps(answer).encode() if not isinstance(answer, bytes) else answer

    def stream(self, path: str, **_options: Any) -> Any:
        raise AssertionError(f"{path} must not be watched")


def patient(answers: Answers, **more: Any) -> Patient:
    return Patient(Reader(FakeApiServer(answers), Progress()), "operators", NOW, **more)


async def found(check: str, answers: Answers, **more: Any) -> list[Finding]:
    return await CHECKS[check](patient(answers, **more))


def levels(findings: list[Finding]) -> set[Level]:
    return {finding.level for finding in findings}


def authority(expires: datetime) -> str:
    """Return a caBundle with one certificate."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "ca")])
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(expires - timedelta(days=1000))
        .not_valid_after(expires)
        .sign(key, hashes.SHA256())
    )
    return base64.b64encode(made.public_bytes(serialization.Encoding.PEM)).decode()


def webhooks(bundle: str, policy: str = "Fail") -> Answers:
    rule = {"apiGroups": ["apps.nishaf.info"], "resources": ["configmapsyncs"]}
    webhook = {
        "name": "w",
        "rules": [rule],
        "failurePolicy": policy,
        "clientConfig": {"caBundle": bundle},
    }
    document = {
        "metadata": {"resourceVersion": "1"},
        "items": [{"metadata": {"name": "c"}, "webhooks": [webhook]}],
    }
    return {f"GET {kind.path()}": document for kind in (MUTATING_WEBHOOKS, VALIDATING_WEBHOOKS)}


@pytest.mark.parametrize("component", CLUSTER)
def test_the_table_of_rights_is_that_of_the_roles(component: str) -> None:
    expected = set()
    for role in ROLES[component]:  # type: ignore[index] - by the names of the processes
        for rule in role.rules:
            resource, _, subresource = rule.resource.partition("/")
            for verb in rule.verbs:
                for name in rule.names or ("",):
                    place = "operators" if role.kind == "Role" else ""
                    named = f"{PREFIX}{name}" if name else ""
                    expected.add((verb, place, named, rule.group, resource, subresource))
    actual = {
        (each.verb, each.namespace, each.name, each.group, each.resource, each.subresource)
        for each in rights_of(component, "operators")
    }
    assert actual == expected


async def test_a_crd_is_missing_not_established_of_another_version_or_right() -> None:
    path = f"GET {CRDS.path('', CRD_NAME)}"
    established = {"conditions": [{"type": "Established", "status": "True"}]}
    right = {**custom_resource_definition(), "status": established}
    assert levels(await found("CRD", {path: right})) == {Level.OK}
    other = custom_resource_definition() | {"status": established}
    other["spec"]["versions"][0]["schema"] = {"openAPIV3Schema": {"type": "object"}}
    assert levels(await found("CRD", {path: other})) == {Level.WARNING}
    assert levels(await found("CRD", {path: custom_resource_definition()})) == {Level.FAILURE}
    [missing] = await found("CRD", {path: NotFound("no such CRD")})
    assert (missing.level, missing.remedy) == (Level.FAILURE, "kubectl apply -k config/crd")


@pytest.mark.parametrize(
    ("days", "level"), [(-1, Level.FAILURE), (3, Level.WARNING), (300, Level.OK)]
)
async def test_certificates_in_the_bundle_are_judged_by_their_expiry(
    days: int, level: Level
) -> None:
    bundle = authority(NOW + timedelta(days=days))
    findings = await found("webhook configurations", webhooks(bundle))
    assert levels(findings) == {level}
    assert len(findings) == 2


@pytest.mark.parametrize("bundle", ["", "not base64!", base64.b64encode(b"no PEM").decode()])
async def test_a_bundle_without_a_certificate_is_a_failure(bundle: str) -> None:
    for finding in await found("webhook configurations", webhooks(bundle)):
        assert finding.level is Level.FAILURE
        assert finding.remedy == (
            "kubectl create job -n operators --from=cronjob/configmapsync-certs certs-now"
        )


async def test_a_missing_and_a_lenient_webhook_are_found() -> None:
    assert levels(await found("webhook configurations", {})) == {Level.FAILURE}
    lenient = webhooks(authority(NOW + timedelta(days=300)), policy="Ignore")
    assert Level.WARNING in levels(await found("webhook configurations", lenient))


CALL = 'failed calling webhook "v": failed to call webhook: Post "https://w": '
ANSWERS = {
    'admission webhook "v" denied the request: no': (Level.OK, "reaches and trusts"),
    f"{CALL}tls: failed to verify certificate: x509: unknown authority": (
        Level.FAILURE,
        "does not trust the certificate of the webhook: unknown authority",
    ),
    f"{CALL}dial tcp 10.0.0.1:443: connect: connection refused": (
        Level.FAILURE,
        "cannot reach the webhook: connection refused",
    ),
    "the server is on fire": (Level.FAILURE, "the probe failed"),
}
PROBE = "POST /apis/apps.nishaf.info/v1/namespaces/default/configmapsyncs"


@pytest.mark.parametrize("message", ANSWERS)
async def test_the_answer_to_the_probe_shows_whether_the_webhook_is_called(message: str) -> None:
    level, text = ANSWERS[message]
    [finding] = await found("webhook", {PROBE: ServerError(message, status=500)})
    assert finding.level is level
    assert text in finding.message
    assert bool(finding.remedy) == (level is not Level.OK)


async def test_a_probe_that_is_admitted_or_forbidden_is_reported() -> None:
    assert levels(await found("webhook", {PROBE: {"metadata": {}}})) == {Level.FAILURE}
    assert levels(await found("webhook", {PROBE: Forbidden("may not")})) == {Level.SKIPPED}


def lease(seconds: float | None, holder: str = "pod-1") -> Answers:
    spec: dict[str, Any] = {"holderIdentity": holder, "leaseDurationSeconds": 15}
    if seconds is not None:
        spec["renewTime"] = f"{NOW - timedelta(seconds=seconds):%Y-%m-%dT%H:%M:%S.%fZ}"
    path = "/apis/coordination.k8s.io/v1/namespaces/operators/leases/configmapsync-reconciler"
    return {f"GET {path}": {"metadata": {"resourceVersion": "1"}, "spec": spec}}


@pytest.mark.parametrize(
    ("answers", "level", "text"),
    [
        (lease(3), Level.OK, "pod-1 leads and renewed its Lease 3 s ago"),
        (lease(40), Level.FAILURE, "pod-1 has not renewed its Lease for 40 s"),
        (lease(None), Level.FAILURE, "without a time of renewal"),
        (lease(3, ""), Level.FAILURE, "no reconciler holds the Lease"),
        ({next(iter(lease(1))): NotFound("no such Lease")}, Level.WARNING, "there is no Lease"),
    ],
)
async def test_the_lease_shows_who_leads(answers: Answers, level: Level, text: str) -> None:
    [finding] = await found("leader", answers)
    assert finding.level is level
    assert text in finding.message


PODS = "GET /api/v1/namespaces/operators/pods"


@pytest.mark.parametrize(
    ("age", "level"), [("12.5", Level.OK), ("120", Level.WARNING), ("1e3", Level.FAILURE)]
)
async def test_the_oldest_watch_of_each_pod_is_judged(age: str, level: Level) -> None:
    metrics = (
        "# TYPE configmapsync_watch_age_seconds gauge\n"
        'configmapsync_watch_age_seconds{name="copies"} 3.0\n'
        f'configmapsync_watch_age_seconds{{name="namespaces"}} {age}\n'
    ).encode()
    pod = {"metadata": {"name": "r-1"}, "status": {"phase": "Running"}}
    answers = {
        PODS: {"metadata": {"resourceVersion": "1"}, "items": [pod]},
        f"{PODS}/r-1:8081/proxy/metrics": metrics,
    }
    [finding] = await found("watches", answers)
    assert finding.level is level
    assert "pod r-1" in finding.message
    answers[f"{PODS}/r-1:8081/proxy/metrics"] = Forbidden("may not")
    [skipped] = await found("watches", answers)
    assert skipped.level is Level.SKIPPED
    assert "kubectl port-forward -n operators pod/r-1 8081" in skipped.remedy


async def test_a_metrics_url_that_does_not_answer_is_a_warning() -> None:
    for url in ("http://127.0.0.1:9/metrics", "nonsense"):
        [finding] = await found("watches", {}, metrics_url=url)
        assert finding.level is Level.WARNING


async def test_metrics_that_arrive_in_parts_are_read_to_their_end() -> None:
    async def metrics(request: web.Request) -> web.StreamResponse:
        answer = web.StreamResponse()
        await answer.prepare(request)
        for part in (b"# HELP first\n", b'configmapsync_watch_age_seconds{name="copies"} 400\n'):
            await answer.write(part)
            await asyncio.sleep(0.05)
        return answer

    application = web.Application()
    application.router.add_get("/metrics", metrics)
    async with TestServer(application) as server:
        [finding] = await found("watches", {}, metrics_url=str(server.make_url("/metrics")))
    assert "the watch of copies has heard nothing for 400 s" in finding.message


async def test_one_failing_check_does_not_stop_the_others() -> None:
    broken = {
        f"GET {CRDS.path('', CRD_NAME)}": ServerError("broken", status=500),
        f"GET {MUTATING_WEBHOOKS.path()}": Forbidden("you may not list"),
        "GET /version": {"gitVersion": "v1.36.2"},
    }
    findings = await examine(patient(broken))
    topics = {finding.topic for finding in findings}
    assert {"API server", "rights", "leader", "watches", "syncs", "orphans"} <= topics
    skipped = [finding for finding in findings if finding.level is Level.SKIPPED]
    assert [finding.message for finding in skipped] == ["no right: you may not list"]


async def test_an_api_server_that_does_not_answer_ends_the_examination() -> None:
    with pytest.raises(Unreachable):
        await examine(patient({"GET /version": Unreachable("no route")}))
