"""Every value of the chart is documented, and the examples for GitOps render."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from configmapsync.defaulting import with_defaults
from configmapsync.names import GROUP, KIND, PLURAL, VERSION
from configmapsync.parsing import parse
from configmapsync.validation import validate
from tests.support.helm import CHART, helm_program, render
from tests.support.manifests import CONFIG, pod_specs

README = (CHART / "README.md").read_text()
GITOPS = CONFIG / "samples" / "gitops"
needs_helm = pytest.mark.skipif(
    helm_program() is None, reason="there is no helm: install one, or run hack/kubectl.py helm"
)


def leaves(values: dict[str, Any], parent: str = "") -> set[str]:
    """Return the path of each value; resources are set as a whole."""
    found: set[str] = set()
    for name, value in values.items():
        path = f"{parent}{name}"
        nested = isinstance(value, dict) and value and name != "resources"
        found |= leaves(value, f"{path}.") if nested else {path}
    return found


def test_the_table_has_a_row_with_a_description_for_each_value() -> None:
    rows = [
        [cell.strip(" `") for cell in line.strip("|").split("|")]
        for line in README.splitlines()
        if line.startswith("| `")
    ]
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    assert {row[0] for row in rows} == leaves(values)
    assert len(rows) == len(leaves(values))
    assert all(row[2] for row in rows)


def test_the_annotations_for_artifact_hub_describe_the_crd_and_a_valid_example() -> None:
    annotations = yaml.safe_load((CHART / "Chart.yaml").read_text())["annotations"]
    [crd] = yaml.safe_load(annotations["artifacthub.io/crds"])
    assert (crd["kind"], crd["version"], crd["name"]) == (KIND, VERSION, f"{PLURAL}.{GROUP}")
    [example] = yaml.safe_load(annotations["artifacthub.io/crdsExamples"])
    assert validate(with_defaults(parse(example))) == []
    assert all(isinstance(value, str) for value in annotations.values())


@needs_helm
def test_the_application_of_argo_cd_renders(tmp_path: Path) -> None:
    application = yaml.safe_load((GITOPS / "argocd-application.yaml").read_text())
    source = application["spec"]["source"]
    assert CONFIG.parent / source["path"] == CHART
    rendered = render(
        tmp_path,
        source["helm"]["valuesObject"],
        source["helm"]["releaseName"],
        application["spec"]["destination"]["namespace"],
    )
    _require_image_and_monitor(rendered, source["helm"]["valuesObject"])
    ignored = {each["kind"] for each in application["spec"]["ignoreDifferences"]}
    assert ignored == {manifest["kind"] for manifest in rendered if "Webhook" in manifest["kind"]}


@needs_helm
def test_the_helm_release_of_flux_renders(tmp_path: Path) -> None:
    repository, release = yaml.safe_load_all((GITOPS / "flux-helmrelease.yaml").read_text())
    spec = release["spec"]
    assert spec["chart"]["spec"]["sourceRef"]["name"] == repository["metadata"]["name"]
    assert CONFIG.parent / spec["chart"]["spec"]["chart"] == CHART
    rendered = render(tmp_path, spec["values"], spec["releaseName"], spec["targetNamespace"])
    _require_image_and_monitor(rendered, spec["values"])


def _require_image_and_monitor(rendered: list[Any], values: dict[str, Any]) -> None:
    images = {
        container["image"] for _, pod in pod_specs(rendered) for container in pod["containers"]
    }
    [image] = images
    assert image.startswith(f"{values['image']['repository']}:")
    assert any(manifest["kind"] == "ServiceMonitor" for manifest in rendered)
