"""The helm program installs, upgrades and uninstalls a release on a cluster."""

from collections.abc import Callable
from pathlib import Path

import pytest

from configmapsync.names import API_VERSION, PLURAL
from tests.support.cluster import Cluster
from tests.support.eventually import wait_until
from tests.support.helm import CHART, Values, helm, helm_program

pytestmark = pytest.mark.skipif(
    helm_program() is None, reason="there is no helm: install one, or run hack/kubectl.py helm"
)

RELEASE, NAMESPACE = "acme", "tools"
DEPLOYMENT = f"/apis/apps/v1/namespaces/{NAMESPACE}/deployments/acme-configmapsync-reconciler"
CRD = f"/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{PLURAL}.apps.nishaf.info"
CONFIGURATIONS = "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations"


@pytest.fixture
def run_helm(fresh_cluster: Cluster, tmp_path: Path) -> Callable[..., str]:
    """Run helm on the test's own cluster and require success."""

    def run(*arguments: str | Path, values: Values | None = None) -> str:
        done = helm(*arguments, home=tmp_path, values=values, kubeconfig=fresh_cluster.kubeconfig)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    return run


def test_it_is_installed_upgraded_and_uninstalled_and_the_crd_outlives_it(
    fresh_cluster: Cluster, run_helm: Callable[..., str]
) -> None:
    output = run_helm(
        "install", RELEASE, CHART, "--namespace", NAMESPACE, "--create-namespace", values={}
    )

    assert fresh_cluster.get(DEPLOYMENT)["spec"]["replicas"] == 2
    wait = f"kubectl wait -n {NAMESPACE} --for=condition=Available"
    assert f"{wait} deployment acme-configmapsync-reconciler" in output
    [configuration] = fresh_cluster.get(CONFIGURATIONS)["items"]
    trusted = [{"op": "add", "path": "/webhooks/0/clientConfig/caBundle", "value": "cm9vdA=="}]
    injected = f"{CONFIGURATIONS}/{configuration['metadata']['name']}"
    fresh_cluster.patch(injected, trusted, "application/json-patch+json")

    run_helm(
        "upgrade", RELEASE, CHART, "--namespace", NAMESPACE, values={"reconciler": {"replicas": 3}}
    )

    assert fresh_cluster.get(DEPLOYMENT)["spec"]["replicas"] == 3
    # The namespace existed before the release.
    assert fresh_cluster.get(injected)["webhooks"][0]["clientConfig"]["caBundle"] == "cm9vdA=="

    run_helm("uninstall", RELEASE, "--namespace", NAMESPACE)

    assert fresh_cluster.find(DEPLOYMENT) is None
    assert fresh_cluster.get(CONFIGURATIONS)["items"] == []
    assert fresh_cluster.find(CRD) is not None  # every sync stays with the CRD
    # The API server serves a changed CRD a moment later.
    wait_until(lambda: fresh_cluster.get(f"/apis/{API_VERSION}/{PLURAL}"))
