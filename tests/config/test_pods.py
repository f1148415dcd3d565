"""Each pod of `config/` is restricted, declares its needs, and ends in time.

The Pod Security Standard is written out field by field, so that the check needs no
cluster. `test_on_cluster.py` asks a real API server.
"""

from collections.abc import Iterator

import pytest

from reconciler.app import DRAIN_SECONDS
from tests.support.manifests import Manifest, build, named, of_kind, pod_specs
from webhook.settings import Settings as WebhookSettings

PODS = dict(pod_specs(build()))
RUNNING_ALWAYS = [name for name in PODS if name.startswith("Deployment/")]
RESTRICTED_VOLUMES = {
    "configMap",
    "csi",
    "downwardAPI",
    "emptyDir",
    "ephemeral",
    "persistentVolumeClaim",
    "projected",
    "secret",
}


@pytest.fixture(params=PODS)
def pod(request: pytest.FixtureRequest) -> Manifest:
    return PODS[request.param]


def violations(pod: Manifest) -> Iterator[str]:
    """Return what the restricted Pod Security Standard forbids in a pod.

    Source: https://kubernetes.io/docs/concepts/security/pod-security-standards/.
    """
    yield from (
        f"spec.{field}" for field in ("hostNetwork", "hostPID", "hostIPC") if pod.get(field)
    )
    for volume in pod.get("volumes", ()):
        yield from (f"volume {kind}" for kind in volume.keys() - {"name"} - RESTRICTED_VOLUMES)
    whole = pod.get("securityContext", {})
    yield from (
        f"spec.securityContext.{field}"
        for field in ("sysctls", "windowsOptions", "seLinuxOptions")
        if field in whole
    )
    for container in [*pod["containers"], *pod.get("initContainers", ())]:
        own = container.get("securityContext", {})
        yield from (
            f"container {field}" for field in _forbidden_in(container, {**whole, **own}, own)
        )


def _forbidden_in(container: Manifest, effective: Manifest, own: Manifest) -> Iterator[str]:
    if own.get("privileged") or own.get("procMount", "Default") != "Default":
        yield "privileged"
    if own.get("allowPrivilegeEscalation") is not False:
        yield "allowPrivilegeEscalation"
    if "ALL" not in own.get("capabilities", {}).get("drop", ()) or own["capabilities"].get("add"):
        yield "capabilities"
    if effective.get("runAsNonRoot") is not True or effective.get("runAsUser") == 0:
        yield "runAsNonRoot"
    if effective.get("seccompProfile", {}).get("type") not in ("RuntimeDefault", "Localhost"):
        yield "seccompProfile"
    if any("hostPort" in port for port in container.get("ports", ())):
        yield "hostPort"


def test_the_restricted_pod_security_standard_is_kept(pod: Manifest) -> None:
    assert list(violations(pod)) == []


def test_the_namespace_enforces_the_standard() -> None:
    [namespace] = of_kind(build(), "Namespace")
    for mode in ("enforce", "audit", "warn"):
        assert namespace["metadata"]["labels"][f"pod-security.kubernetes.io/{mode}"] == "restricted"


def test_it_runs_as_a_numeric_user_on_a_read_only_root(pod: Manifest) -> None:
    assert pod["securityContext"]["runAsUser"] >= 10000  # above the user ids of the host
    assert pod["securityContext"]["runAsGroup"] >= 10000
    assert all(
        container["securityContext"]["readOnlyRootFilesystem"] for container in pod["containers"]
    )


def test_it_has_requests_and_a_memory_limit(pod: Manifest) -> None:
    for container in pod["containers"]:
        resources = container["resources"]
        assert set(resources["requests"]) == set(resources["limits"]) == {"cpu", "memory"}


def test_the_pod_mounts_its_token_and_the_account_does_not_by_default(
    pod: Manifest,
) -> None:
    assert pod["automountServiceAccountToken"] is True
    assert pod["serviceAccountName"].startswith("configmapsync-")
    for account in of_kind(build(), "ServiceAccount"):
        assert account["automountServiceAccountToken"] is False


def test_variables_of_services_are_not_read_as_flags(pod: Manifest) -> None:
    """A Service named after the operator must not change its settings.

    Kubernetes would set CONFIGMAPSYNC_WEBHOOK_PORT=tcp://..., which the webhook would read as a
    flag.
    """
    assert pod["enableServiceLinks"] is False


def test_its_priority_is_a_built_in_class_that_a_quota_permits_in_its_namespace(
    pod: Manifest,
) -> None:
    quota = named(build(), "ResourceQuota", "configmapsync-critical")
    [scope] = quota["spec"]["scopeSelector"]["matchExpressions"]

    assert pod["priorityClassName"] == "system-cluster-critical"
    assert scope == {
        "scopeName": "PriorityClass",
        "operator": "In",
        "values": [pod["priorityClassName"]],
    }
    assert set(quota["spec"]["hard"]) == {"pods"}


def test_the_installation_creates_no_priority_class() -> None:
    """A PriorityClass has no access control: every pod of every namespace may name it."""
    assert of_kind(build(), "PriorityClass") == []


@pytest.mark.parametrize("name", RUNNING_ALWAYS)
def test_it_has_a_liveness_and_a_readiness_probe(name: str) -> None:
    [container] = PODS[name]["containers"]
    assert container["livenessProbe"]["httpGet"]["path"] == "/healthz"
    assert container["readinessProbe"]["httpGet"]["path"] == "/readyz"


@pytest.mark.parametrize("name", RUNNING_ALWAYS)
def test_two_replicas_are_spread_and_a_drain_evicts_one_at_a_time(name: str) -> None:
    name = name.partition("/")[2]
    assert named(build(), "Deployment", name)["spec"]["replicas"] == 2
    assert named(build(), "PodDisruptionBudget", name)["spec"]["maxUnavailable"] == 1
    keys = {
        constraint["topologyKey"]
        for constraint in PODS[f"Deployment/{name}"]["topologySpreadConstraints"]
    }
    assert keys == {"kubernetes.io/hostname", "topology.kubernetes.io/zone"}


def test_the_kubelet_waits_longer_than_a_stop_takes() -> None:
    requests_in_flight = 5.0  # the API server waits at most this long for a webhook
    lease_given_back = 5.0
    drained = WebhookSettings.model_fields["drain_seconds"].default
    assert grace("configmapsync-webhook") > drained + requests_in_flight
    assert grace("configmapsync-reconciler") > DRAIN_SECONDS + lease_given_back


def grace(deployment: str) -> float:
    return float(PODS[f"Deployment/{deployment}"]["terminationGracePeriodSeconds"])


def test_a_run_of_the_certificate_tool_is_over_before_the_next() -> None:
    renewal = named(build(), "CronJob", "configmapsync-certs")["spec"]
    assert renewal["concurrencyPolicy"] == "Forbid"
    assert renewal["jobTemplate"]["spec"]["activeDeadlineSeconds"] < 3600


def test_the_install_job_is_gone_before_an_upgrade() -> None:
    """The pods of a Job cannot be changed, so an old Job would refuse a new image."""
    assert (
        named(build(), "Job", "configmapsync-certs-install")["spec"]["ttlSecondsAfterFinished"]
        <= 60
    )


@pytest.mark.parametrize(
    ("change", "found"),
    [
        ({"hostNetwork": True}, "spec.hostNetwork"),
        ({"volumes": [{"name": "host", "hostPath": {"path": "/"}}]}, "volume hostPath"),
        ({"securityContext": {"runAsNonRoot": True}}, "container seccompProfile"),
        ({"containers": [{"name": "bare"}]}, "container allowPrivilegeEscalation"),
    ],
)
def test_a_pod_that_breaks_the_standard_is_found(change: Manifest, found: str) -> None:
    pod = next(iter(PODS.values()))
    assert found in list(violations({**pod, **change}))


def test_no_role_has_a_wildcard() -> None:
    for role in of_kind(build(), "Role", "ClusterRole"):
        for rule in role.get("rules", ()):
            assert "*" not in {
                *rule.get("apiGroups", ()),
                *rule.get("resources", ()),
                *rule["verbs"],
            }, role["metadata"]
