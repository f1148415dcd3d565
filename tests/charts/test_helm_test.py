"""Run the pod of `helm test` on an installation, and on one without a webhook."""

from pathlib import Path

import pytest
import yaml

from tests.config.test_pods import violations
from tests.journeys.installation import Installation
from tests.support.helm import helm_program, render
from tests.support.manifests import Manifest, named, of_kind

pytestmark = pytest.mark.skipif(
    helm_program() is None, reason="there is no helm: install one, or run hack/kubectl.py helm"
)

HOOK = "helm.sh/hook"
CONFIGURATION = (
    "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations/configmapsync-webhook"
)


def of_test(home: Path) -> list[Manifest]:
    """Return the objects that only `helm test` creates."""
    rendered = render(home, tests=True)
    return [each for each in rendered if HOOK in each["metadata"].get("annotations", {})]


def test_the_objects_exist_only_during_the_test_and_before_its_pod(tmp_path: Path) -> None:
    objects = of_test(tmp_path)
    weights = {
        each["kind"]: int(each["metadata"]["annotations"].get(f"{HOOK}-weight", "0"))
        for each in objects
    }
    assert weights.pop("Job") > max(weights.values())
    assert {each["metadata"]["annotations"][HOOK] for each in objects} == {"test"}
    policies = {each["metadata"]["annotations"][f"{HOOK}-delete-policy"] for each in objects}
    assert policies == {"before-hook-creation,hook-succeeded"}
    [job] = of_kind(objects, "Job")
    assert list(violations(job["spec"]["template"]["spec"])) == []


@pytest.mark.timeout(600)  # it installs the operator
def test_it_passes_on_an_installation_and_stores_nothing(
    installation: Installation, tmp_path: Path
) -> None:
    cluster = installation.cluster
    objects = of_test(tmp_path)
    cluster.kubectl("apply", "-f", "-", input=yaml.safe_dump_all(objects))
    job = named(objects, "Job", "configmapsync-test")

    passed = installation.kubelet.run(job)

    assert passed.process.wait() == 0, passed.process.output()
    assert "0 errors" in passed.process.output()
    assert cluster.get("/apis/apps.nishaf.info/v1/configmapsyncs")["items"] == []

    other_authority = [{"op": "remove", "path": "/webhooks/0/clientConfig/caBundle"}]
    cluster.patch(CONFIGURATION, other_authority, "application/json-patch+json")
    failed = installation.kubelet.run(job)
    assert failed.process.wait() == 2
    assert "failed calling webhook" in failed.process.output()
