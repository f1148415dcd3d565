"""`kubectl configmapsync doctor` examines an installation and finds what is broken."""

import json
import re
from typing import Any

import pytest

from tests.journeys.installation import ADMISSION, Installation
from tests.journeys.stage import Stage
from tests.support.cluster import Cluster
from tests.support.eventually import wait_until
from tests.support.plugin import run_plugin
from tests.support.processes import START_SECONDS

pytestmark = pytest.mark.timeout(300)
CRB = "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings/configmapsync-reconciler"
SECONDS = re.compile(r"\b\d+ s ago")
DATE = re.compile(r"\b20\d\d-\d\d-\d\d\b")


@pytest.fixture
def stage(installation: Installation) -> Stage:
    return Stage(installation.cluster, installation.cluster.new_namespace)


def findings(installation: Installation, exit_code: int, **options: str) -> list[dict[str, Any]]:
    flags = [f"--{name.replace('_', '-')}={value}" for name, value in options.items()]
    done = run_plugin(installation.cluster, "doctor", "-o", "json", *flags, exit_code=exit_code)
    answers: list[dict[str, Any]] = json.loads(done.stdout)
    return answers


def not_ok(found: list[dict[str, Any]]) -> list[tuple[str, str]]:
    """Return level and topic of everything that is not fine, without the pods.

    The processes of these tests have no pods.
    """
    return [
        (each["level"], each["topic"])
        for each in found
        if each["level"] != "ok" and "no pod of the operator" not in each["message"]
    ]


def held(installation: Installation) -> bool:
    """Return whether a reconciler holds the Lease; the first one needs a moment."""
    path = "/apis/coordination.k8s.io/v1/namespaces/configmapsync-system/leases"
    leases = installation.cluster.get(path)["items"]
    return any(lease["spec"].get("holderIdentity") for lease in leases)


def test_a_healthy_installation_has_no_findings(installation: Installation) -> None:
    wait_until(lambda: held(installation), START_SECONDS)
    port = installation.reconcilers[0].ports["health"]
    url = f"http://127.0.0.1:{port}/metrics"
    printed = run_plugin(installation.cluster, "doctor", "--metrics-url", url).stdout
    printed = DATE.sub("DATE", SECONDS.sub("N s ago", printed)).replace(url, "URL")
    lines = [line.rstrip() for line in printed.splitlines()]
    assert lines[0].startswith("✓ API server     kube-apiserver v1.")
    lines = [" ".join(re.sub(r"\S+ leads", "POD leads", line).split()) for line in lines[1:]]
    crd = "configmapsyncs.apps.nishaf.info serves v1 with the schema of this version"
    bundle = "webhook holds 1 certificate, valid until DATE"
    assert lines == [
        f"✓ CRD {crd}",
        f"✓ certificates caBundle of the mutating {bundle}",
        f"✓ certificates caBundle of the validating {bundle}",
        "✓ webhook the API server reaches and trusts the webhook",
        "✓ rights configmapsync-system/configmapsync-reconciler has all 22 rights",
        "✓ rights configmapsync-system/configmapsync-webhook has all 8 rights",
        "✓ rights configmapsync-system/configmapsync-certs has all 10 rights",
        "✓ leader POD leads and renewed its Lease N s ago",
        "✓ watches URL: the oldest of 4 watches heard something N s ago",
        "✓ syncs the reconciler has reported on 0 syncs",
        "✓ destinations no destination is blocked",
        "✓ orphans every copy has its sync",
    ]


def test_a_webhook_that_is_not_trusted_or_not_running_is_a_failure(
    installation: Installation,
) -> None:
    cluster = installation.cluster
    path = f"{ADMISSION}/validatingwebhookconfigurations/configmapsync-webhook"
    good = cluster.get(path)["webhooks"][0]["clientConfig"]["caBundle"]
    change = {"op": "replace", "path": "/webhooks/0/clientConfig/caBundle", "value": ""}
    cluster.patch(path, [change], "application/json-patch+json")
    try:
        found = wait_until(
            lambda: _with(installation, "does not trust the certificate"), START_SECONDS
        )
        assert ("failure", "certificates") in not_ok(found)
    finally:
        cluster.patch(path, [change | {"value": good}], "application/json-patch+json")
    wait_until(lambda: not_ok(findings(installation, 0)) == [], START_SECONDS)


def _with(installation: Installation, text: str) -> list[dict[str, Any]]:
    found = findings(installation, 1)
    [webhook] = [each for each in found if each["topic"] == "webhook"]
    assert text in webhook["message"]
    return found


def test_a_missing_role_binding_is_named_with_the_rights(installation: Installation) -> None:
    cluster = installation.cluster
    binding = cluster.get(CRB)
    cluster.delete(CRB)
    try:
        found = wait_until(lambda: _lacking(installation), START_SECONDS)
        assert "configmapsync-system/configmapsync-reconciler lacks" in found["message"]
        assert "list configmaps" in found["message"]
        assert found["remedy"] == "kubectl apply -k config/rbac, or helm upgrade"
    finally:
        for field in ("resourceVersion", "uid", "creationTimestamp"):
            binding["metadata"].pop(field, None)
        cluster.create(CRB.rpartition("/")[0], binding)
    wait_until(lambda: not_ok(findings(installation, 0)) == [], START_SECONDS)


def _lacking(installation: Installation) -> dict[str, Any]:
    found = [each for each in findings(installation, 1) if each["topic"] == "rights"]
    failed = [each for each in found if each["level"] == "failure"]
    assert len(failed) == 1, found
    return failed[0]


def test_blocked_destinations_and_orphans_are_listed(
    installation: Installation, stage: Stage
) -> None:
    home, taken, left = (stage.namespace(prefix) for prefix in ("home", "taken", "left"))
    stage.source(home)
    stage.put_configmap(taken, "config")
    sync = stage.sync(home, "blocked", destinationNamespaces=[taken])
    stage.ready_becomes(sync, "False", "DestinationConflict")
    marks = {
        "labels": {
            "app.kubernetes.io/managed-by": "configmapsync",
            "apps.nishaf.info/sync-uid": "0a0a0a0a-0000-4000-8000-000000000000",
        },
        "annotations": {
            "apps.nishaf.info/synced-by": f"{home}/gone",
            "apps.nishaf.info/destination": f"{left}/orphan",
            "apps.nishaf.info/deletion-policy": "Orphan",
        },
    }
    document = {"metadata": {"name": "orphan", **marks}, "data": {"key": "value-of-a-configmap"}}
    stage.cluster.create(f"/api/v1/namespaces/{left}/configmaps", document)
    found = findings(installation, 0)
    by_topic = {each["topic"]: each for each in found}
    assert by_topic["destinations"]["level"] == "warning"
    assert by_topic["destinations"]["message"] == (
        f"1 sync cannot write all copies (DestinationConflict 1): {home}/blocked"
    )
    assert by_topic["destinations"]["remedy"] == f"kubectl configmapsync explain {home}/blocked"
    # The grace period of these tests is short, so the reconciler may have released it already.
    if by_topic["orphans"]["level"] == "warning":
        assert f"{left}/orphan" in by_topic["orphans"]["message"]
    assert "value-of-a-configmap" not in json.dumps(found)
    stage.cluster.delete(sync)


def test_a_user_without_rights_gets_the_reasons_and_no_failure(
    installation: Installation,
) -> None:
    done = run_plugin(installation.cluster, "doctor", "-o", "json", user="bob")
    found = json.loads(done.stdout)
    assert {each["level"] for each in found} <= {"ok", "skipped"}
    skipped = [each for each in found if each["level"] == "skipped"]
    assert len(skipped) >= 5
    assert all("no right" in each["message"] for each in skipped)


def test_a_cluster_without_the_operator_names_what_is_missing(fresh_cluster: Cluster) -> None:
    printed = run_plugin(fresh_cluster, "doctor", exit_code=1).stdout
    assert "✗ CRD            configmapsyncs.apps.nishaf.info is not installed" in printed
    assert "-> kubectl apply -k config/crd" in printed
    assert "✗ webhook        no validating webhook for ConfigMapSync is registered" in printed
    for command in ("status", "graph"):
        error = run_plugin(fresh_cluster, command, exit_code=1).stderr
        assert error == (
            "Error: the cluster does not serve ConfigMapSync (apps.nishaf.info/v1)\n"
            "Install the CRD: kubectl apply -k config/crd, or the Helm chart.\n"
        )
