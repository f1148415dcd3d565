"""Each sample of `config/samples`, applied with kubectl, does what its comment says."""

from collections.abc import Callable
from pathlib import Path

import pytest

from configmapsync.names import MARKS, PLURAL, RELEASED_BY
from tests.journeys.accounts import kubeconfig_of
from tests.journeys.conftest import install_crd
from tests.journeys.stage import Stage
from tests.support.cluster import Cluster
from tests.support.processes import Process, free_port

SAMPLES = Path(__file__).parents[2] / "config" / "samples"


@pytest.fixture
def empty_stage(fresh_cluster: Cluster, start_process: Callable[..., Process]) -> Stage:
    """A cluster without the samples' names, with the CRD and a reconciler."""
    install_crd(fresh_cluster)
    health = f"127.0.0.1:{free_port()}"
    reconciler = start_process(
        "reconciler",
        "--kubeconfig",
        kubeconfig_of(fresh_cluster, "reconciler"),
        "--health-address",
        health,
    )
    reconciler.wait_until_answering(f"http://{health}/readyz")
    return Stage(fresh_cluster, fresh_cluster.new_namespace)


def apply(stage: Stage, sample: str) -> None:
    stage.cluster.kubectl(
        "apply", "-f", SAMPLES / "prerequisites.yaml", "-f", SAMPLES / f"{sample}.yaml"
    )


def delete(stage: Stage, sample: str) -> None:
    stage.cluster.kubectl("delete", "-f", SAMPLES / f"{sample}.yaml", "--timeout=30s")


def test_three_fields_copy_a_configmap_follow_it_and_clean_up(empty_stage: Stage) -> None:
    apply(empty_stage, "three-fields")

    empty_stage.copy_becomes(
        {"data": {"log-level": "info", "region": "eu-west"}}, "my-app-namespace", "shared-config"
    )
    edited = empty_stage.edit("config-central", "shared-config", data={"log-level": "debug"})
    empty_stage.copy_becomes(edited, "my-app-namespace", "shared-config")

    delete(empty_stage, "three-fields")
    empty_stage.copy_goes("my-app-namespace", "shared-config")


def test_many_namespaces_are_served_but_no_sandbox_and_the_copies_outlive_the_sync(
    empty_stage: Stage,
) -> None:
    apply(empty_stage, "many-namespaces")
    content = {"data": {"retries": "3"}}

    for namespace in ("team-web", "reporting"):
        empty_stage.copy_becomes(content, namespace, "team-defaults")
    empty_stage.cluster.add_namespace("team-later")
    empty_stage.copy_becomes(content, "team-later", "team-defaults")
    empty_stage.cluster.kubectl("label", "namespace", "my-app-namespace", "config=shared")
    empty_stage.copy_becomes(content, "my-app-namespace", "team-defaults")
    assert empty_stage.find("team-web-sandbox", "team-defaults") is None

    delete(empty_stage, "many-namespaces")
    metadata = empty_stage.find("team-web", "team-defaults")["metadata"]
    assert MARKS & {*metadata.get("labels", {}), *metadata.get("annotations", {})} == {RELEASED_BY}


def test_a_part_of_a_configmap_is_copied_under_another_name(empty_stage: Stage) -> None:
    apply(empty_stage, "part-of-a-configmap")
    data = {
        "app.yaml": "greeting: hello\n",
        "database.yaml": "pool: 10\n",
        "feature.properties": "feature.enabled=true",
    }

    copy = empty_stage.copy_becomes({"data": data}, "my-app-namespace", "app-settings")

    labels = {key: value for key, value in copy["metadata"]["labels"].items() if key not in MARKS}
    assert labels == {"team": "web", "grafana_dashboard": "1"}


def test_all_samples_together_are_ready(empty_stage: Stage) -> None:
    empty_stage.cluster.kubectl("apply", "-k", SAMPLES)

    empty_stage.cluster.kubectl(
        "wait", "--for=condition=Ready", PLURAL, "--all", "--all-namespaces", "--timeout=30s"
    )
    applied = {path.name for path in SAMPLES.glob("*.yaml")} - {"kustomization.yaml"}
    assert all(f"- {name}\n" in (SAMPLES / "kustomization.yaml").read_text() for name in applied)
