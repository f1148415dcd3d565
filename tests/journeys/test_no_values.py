"""Nothing that is said anywhere holds a value of a ConfigMap: canaries go through every story, and are looked for everywhere."""

import base64
import itertools
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from configmapsync.names import API_VERSION, PLURAL
from tests.journeys.conftest import install_crd
from tests.journeys.guard import Guard, guarding
from tests.journeys.scrape import scrape
from tests.journeys.stage import Stage
from tests.support.cluster import Cluster
from tests.support.eventually import wait_until
from tests.support.plans import CHANGES, plan
from tests.support.processes import Process, free_port

pytestmark = pytest.mark.only_on("devcluster", "real")

CANARY = "canary-4c1f"
BYTES = b"\x00\x01canary-in-bytes-77aa\xff"
TEXT = f'user = "{CANARY}-user"\npassword: {CANARY}-password\n<{CANARY}-tag>\n'
ENCODED = base64.b64encode(BYTES).decode()
FOUND_BY = (CANARY, "canary-in-bytes", ENCODED[4:-4])
REFUSED = "refused by"
POLICIES = "/apis/admissionregistration.k8s.io/v1"


@pytest.fixture
def guard(cluster: Cluster, tmp_path: Path) -> Iterator[Guard]:
    install_crd(cluster)
    with guarding(cluster, tmp_path, "--log-level", "debug") as guard:
        yield guard


@pytest.fixture
def port() -> int:
    return free_port()


@pytest.fixture
def reconciler(
    guard: Guard, stage: Stage, port: int, start_reconciler: Callable[..., Process]
) -> Process:
    return start_reconciler("--log-level", "debug", port=port)


@pytest.fixture
def quoting(stage: Stage) -> Iterator[Callable[[str], None]]:
    """Have the API server refuse every copy in a namespace, and quote its values: by a policy, or by a fault where there are none."""
    name = f"quoting-{stage.tag}"
    paths = [
        f"{POLICIES}/validatingadmissionpolicies",
        f"{POLICIES}/validatingadmissionpolicybindings",
    ]

    def quote(namespace: str) -> None:
        if not stage.cluster.is_real:
            message = f"denied by policy: data is {json.dumps(TEXT)}, binaryData is {ENCODED}"
            where = {"verb": "write", "resource": "configmaps", "namespace": namespace}
            stage.cluster.create(
                "/devcluster/faults", {"action": "fail", "status": 422, "message": message, **where}
            )
            return
        rule = {
            "apiGroups": [""],
            "apiVersions": ["v1"],
            "operations": ["CREATE", "UPDATE"],
            "resources": ["configmaps"],
        }
        text = "'denied: ' + object.data['app.ini'].replace('\\n', ' ')"  # a message may not have more than one line
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
    if not stage.cluster.is_real:
        stage.cluster.delete("/devcluster/faults")
        return
    for path in reversed(paths):
        stage.cluster.request("DELETE", f"{path}/{name}")


def applied_source(stage: Stage, namespace: str, text: str) -> None:
    """As kubectl applies it: with the whole content once more in an annotation."""
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
    stage: Stage, reconciler: Process, guard: Guard, port: int, quoting: Callable[[str], None]
) -> None:
    home, good, bad, taken = (
        stage.namespace(prefix) for prefix in ("home", "good", "bad", "taken")
    )
    applied_source(stage, home, TEXT)
    stage.put_configmap(taken, "config", data={"own": f"{CANARY}-of-somebody-else"})
    sync = stage.sync(home, destinationNamespaces=[good, bad, taken])
    stage.copy_becomes({"data": {"app.ini": TEXT}, "binaryData": {"raw": ENCODED}}, good)
    stage.ready_becomes(sync, "False", "DestinationConflict")

    # drift, adoption, other keys, an immutable copy that must change, a copy that goes
    stage.edit(good, "config", data={"app.ini": f"{CANARY}-drift"})
    stage.copy_becomes({"data": {"app.ini": TEXT}, "binaryData": {"raw": ENCODED}}, good)
    stage.edit_sync(sync, conflictPolicy="Adopt")
    stage.ready_becomes(sync, "True", "Synced")
    stage.edit_sync(sync, keys=[{"key": "app.ini", "as": "other.ini"}, {"key": "raw"}])
    stage.copy_becomes({"data": {"other.ini": TEXT}, "binaryData": {"raw": ENCODED}}, good)
    stage.edit_sync(sync, keys=None)
    stage.delete(good, "config")
    stage.copy_becomes({"data": {"app.ini": TEXT}, "binaryData": {"raw": ENCODED}}, good)

    # the API server quotes what it refuses
    quoting(bad)
    numbers = itertools.count()
    wait_until(lambda: applied_and_refused(stage, home, sync, f"{TEXT}edit {next(numbers)}\n"), 30)

    said = everything_said(stage, reconciler, guard, port)

    assert '"level": "debug"' in said["reconciler"], "the test looks at debug lines"
    assert REFUSED in said["syncs"], "the refusal is in the status, without its text"
    assert REFUSED in said["events"]
    assert {
        name: found
        for name, text in said.items()
        if (found := [each for each in FOUND_BY if each in text])
    } == {}


def applied_and_refused(stage: Stage, home: str, sync: str, text: str) -> None:
    """A policy takes some seconds to hold on a real server: edit until it does."""
    failures = stage.cluster.get(sync)["status"].get("failures", [])
    if not any(REFUSED in failure["message"] for failure in failures):
        applied_source(stage, home, text)
        raise AssertionError(failures)


def everything_said(stage: Stage, reconciler: Process, guard: Guard, port: int) -> dict[str, str]:
    """Logs, statuses, events, metrics and plans."""
    assert guard.process is not None
    wait_until(
        lambda: REFUSED in json.dumps(stage.cluster.get("/api/v1/events")["items"]) or fail()
    )
    return {
        "reconciler": reconciler.output(),
        "webhook": guard.process.output(),
        "syncs": json.dumps(stage.cluster.get(f"/apis/{API_VERSION}/{PLURAL}")["items"]),
        "events": json.dumps(stage.cluster.get("/api/v1/events")["items"]),
        "metrics": scrape(port).text + scrape(guard.health_port).text,
        "plans": "".join(planned(stage, output) for output in ("text", "json")),
    }


def planned(stage: Stage, output: str) -> str:
    """What would be done, as it may go into the log of a pipeline; a diff is for a person's own terminal."""
    result = plan("--kubeconfig", stage.cluster.kubeconfig, "--relaxed-tls", "--output", output)
    assert result.code == CHANGES, result.stderr
    return result.stdout + result.stderr


def fail() -> None:
    raise AssertionError("no event quotes the refusal yet")
