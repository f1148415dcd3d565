"""No output holds a value of a ConfigMap: the test puts canaries into every scenario.

It searches logs, statuses, events, metrics and plans for them.
"""

import base64
import itertools
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from configmapsync.names import API_VERSION, PLURAL
from tests.journeys.conftest import install_crd
from tests.journeys.faults import Faults
from tests.journeys.scrape import scrape
from tests.journeys.stage import Stage
from tests.journeys.webhook_process import WebhookProcess, running_webhook
from tests.support.cluster import Cluster
from tests.support.eventually import wait_until
from tests.support.plans import CHANGES, plan
from tests.support.processes import Process

pytestmark = pytest.mark.only_on("devcluster", "real")

CANARY = "canary-4c1f"
BYTES = b"\x00\x01canary-in-bytes-77aa\xff"
TEXT = f'user = "{CANARY}-user"\npassword: {CANARY}-password\n<{CANARY}-tag>\n'
ENCODED = base64.b64encode(BYTES).decode()
FOUND_BY = (CANARY, "canary-in-bytes", ENCODED[4:-4])
REFUSED = "refused by"
POLICIES = "/apis/admissionregistration.k8s.io/v1"


@pytest.fixture
def webhook(cluster: Cluster, tmp_path: Path) -> Iterator[WebhookProcess]:
    install_crd(cluster)
    with running_webhook(cluster, tmp_path, "--log-level", "debug") as webhook:
        yield webhook


@pytest.fixture
def reconciler(
    webhook: WebhookProcess,
    stage: Stage,
    health_port: int,
    start_reconciler: Callable[..., Process],
) -> Process:
    return start_reconciler("--log-level", "debug", port=health_port)


@pytest.fixture
def quoting(stage: Stage, fault: Faults) -> Iterator[Callable[[str], None]]:
    """Make the API server refuse every copy in a namespace with a message that quotes values.

    A policy does so, or on devcluster a fault.
    """
    name = f"quoting-{stage.tag}"
    paths = [
        f"{POLICIES}/validatingadmissionpolicies",
        f"{POLICIES}/validatingadmissionpolicybindings",
    ]

    def quote(namespace: str) -> None:
        if not stage.cluster.is_real:
            message = f"denied by policy: data is {json.dumps(TEXT)}, binaryData is {ENCODED}"
            where = {"verb": "write", "resource": "configmaps", "namespace": namespace}
            fault("fail", status=422, message=message, **where)
            return
        rule = {
            "apiGroups": [""],
            "apiVersions": ["v1"],
            "operations": ["CREATE", "UPDATE"],
            "resources": ["configmaps"],
        }
        # A message must be one line.
        text = "'denied: ' + object.data['app.ini'].replace('\\n', ' ')"
        policy = {
            "failurePolicy": "Fail",
            "matchConstraints": {"resourceRules": [rule]},
            "validations": [{"expression": "false", "messageExpression": text}],
        }
        selector = {"matchLabels": {"kubernetes.io/metadata.name": namespace}}
        binding = {
            "policyName": name,
            "validationActions": ["Deny"],
            "matchResources": {"namespaceSelector": selector},
        }
        for path, kind, spec in zip(
            paths, ("Policy", "PolicyBinding"), (policy, binding), strict=True
        ):
            document = {
                "kind": f"ValidatingAdmission{kind}",
                "metadata": {"name": name},
                "spec": spec,
            }
            stage.cluster.create(
                path, {"apiVersion": "admissionregistration.k8s.io/v1", **document}
            )

    yield quote
    if stage.cluster.is_real:
        for path in reversed(paths):
            stage.cluster.request("DELETE", f"{path}/{name}")


def applied_source(stage: Stage, namespace: str, text: str) -> None:
    """Create a source as kubectl does, with the whole content again in an annotation."""
    document: dict[str, Any] = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {
            "name": "config",
            "namespace": namespace,
            "annotations": {"note": f"{CANARY}-annotation"},
        },
        "data": {"app.ini": text},
        "binaryData": {"raw": ENCODED},
    }
    stage.cluster.kubectl("apply", "-f", "-", input=json.dumps(document))


def test_no_output_ever_holds_a_value(
    stage: Stage,
    reconciler: Process,
    webhook: WebhookProcess,
    health_port: int,
    quoting: Callable[[str], None],
) -> None:
    home, good, bad, taken = (
        stage.namespace(prefix) for prefix in ("home", "good", "bad", "taken")
    )
    applied_source(stage, home, TEXT)
    stage.put_configmap(taken, "config", data={"own": f"{CANARY}-of-another-owner"})
    sync = stage.sync(home, destinationNamespaces=[good, bad, taken])
    stage.copy_becomes({"data": {"app.ini": TEXT}, "binaryData": {"raw": ENCODED}}, good)
    stage.ready_becomes(sync, "False", "DestinationConflict")

    # Drift, adoption, other keys, an immutable copy that changes, a copy that is deleted
    stage.edit(good, "config", data={"app.ini": f"{CANARY}-drift"})
    stage.copy_becomes({"data": {"app.ini": TEXT}, "binaryData": {"raw": ENCODED}}, good)
    stage.edit_sync(sync, conflictPolicy="Adopt")
    stage.ready_becomes(sync, "True", "Synced")
    stage.edit_sync(sync, keys=[{"key": "app.ini", "as": "other.ini"}, {"key": "raw"}])
    stage.copy_becomes({"data": {"other.ini": TEXT}, "binaryData": {"raw": ENCODED}}, good)
    stage.edit_sync(sync, keys=None)
    stage.delete(good, "config")
    stage.copy_becomes({"data": {"app.ini": TEXT}, "binaryData": {"raw": ENCODED}}, good)

    # The API server quotes the refused object
    quoting(bad)
    numbers = itertools.count()
    wait_until(lambda: applied_and_refused(stage, home, sync, f"{TEXT}edit {next(numbers)}\n"), 30)

    outputs = all_output(stage, reconciler, webhook, health_port)

    assert '"level": "debug"' in outputs["reconciler"], "the test looks at debug lines"
    assert REFUSED in outputs["syncs"], "the refusal is in the status, without its text"
    assert REFUSED in outputs["events"]
    assert {
        name: found
        for name, text in outputs.items()
        if (found := [each for each in FOUND_BY if each in text])
    } == {}


def applied_and_refused(stage: Stage, home: str, sync: str, text: str) -> None:
    """Edit until the policy refuses; a real server applies a policy after some seconds."""
    failures = stage.cluster.get(sync)["status"].get("failures", [])
    if not any(REFUSED in failure["message"] for failure in failures):
        applied_source(stage, home, text)
        raise AssertionError(failures)


def all_output(
    stage: Stage, reconciler: Process, webhook: WebhookProcess, health_port: int
) -> dict[str, str]:
    """Return logs, statuses, events, metrics and plans."""
    assert webhook.process is not None
    wait_until(
        lambda: REFUSED in json.dumps(stage.cluster.get("/api/v1/events")["items"]) or fail()
    )
    return {
        "reconciler": reconciler.output(),
        "webhook": webhook.process.output(),
        "syncs": json.dumps(stage.cluster.get(f"/apis/{API_VERSION}/{PLURAL}")["items"]),
        "events": json.dumps(stage.cluster.get("/api/v1/events")["items"]),
        "metrics": scrape(health_port).text + scrape(webhook.health_port).text,
        "plans": "".join(planned(stage, output) for output in ("text", "json")),
    }


def planned(stage: Stage, output: str) -> str:
    """Return a plan as a pipeline may log it; a diff is only for a user's own terminal."""
    result = plan("--kubeconfig", stage.cluster.kubeconfig, "--relaxed-tls", "--output", output)
    assert result.code == CHANGES, result.stderr
    return result.stdout + result.stderr


def fail() -> None:
    raise AssertionError("no event quotes the refusal yet")
