"""Move a cluster from another tool with `kubectl configmapsync import`."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.journeys.accounts import kubeconfig_of
from tests.journeys.conftest import install_crd
from tests.journeys.stage import Stage, content_of
from tests.journeys.webhook_process import running_webhook
from tests.plugin.peers.examples import (
    EXAMPLES,
    NAMESPACES,
    REFLECTOR,
    Example,
    configmap,
)
from tests.support.cluster import Cluster
from tests.support.eventually import wait_until
from tests.support.plugin import run_plugin
from tests.support.processes import Process, free_port

INCOMPLETE = 1  # the exit code if something cannot be expressed


@pytest.fixture
def own_stage(
    fresh_cluster: Cluster, tmp_path: Path, start_process: Callable[..., Process]
) -> Iterator[Stage]:
    """A cluster with the namespaces of the examples, and with webhook and reconciler."""
    install_crd(fresh_cluster)
    for name, labels in NAMESPACES.items():
        create_namespace(fresh_cluster, name, labels)
    folder = tmp_path / "webhook"
    folder.mkdir()
    with running_webhook(fresh_cluster, folder):
        health = f"127.0.0.1:{free_port()}"
        kubeconfig = kubeconfig_of(fresh_cluster, "reconciler")
        reconciler = start_process(
            "reconciler", "--kubeconfig", kubeconfig, "--health-address", health
        )
        reconciler.wait_until_answering(f"http://{health}/readyz")
        yield Stage(fresh_cluster, fresh_cluster.new_namespace)


def create_namespace(cluster: Cluster, name: str, labels: dict[str, str]) -> None:
    metadata = {"name": name, "labels": labels}
    document = {"apiVersion": "v1", "kind": "Namespace", "metadata": metadata}
    cluster.create("/api/v1/namespaces", document)


def create(stage: Stage, document: dict[str, Any]) -> Any:
    namespace = document["metadata"]["namespace"]
    return stage.cluster.create(f"/api/v1/namespaces/{namespace}/configmaps", document)


def copies_of(stage: Stage, example: Example) -> set[str]:
    """Return the namespaces with a ConfigMap of that name, content and no other content."""
    source = stage.find(*example.source)
    items = stage.cluster.get("/api/v1/configmaps")["items"]
    return {
        item["metadata"]["namespace"]
        for item in items
        if item["metadata"]["name"] == example.name
        and content_of(item) == content_of(source)
        and (item["metadata"]["namespace"], example.name) != example.source
    }


def test_the_documented_examples_become_syncs_that_make_the_same_copies(own_stage: Stage) -> None:
    cluster = own_stage.cluster
    for example in EXAMPLES:
        for document in example.objects:
            create(own_stage, document)
    existing = {item["metadata"]["name"] for item in cluster.get("/api/v1/namespaces")["items"]}
    written = run_plugin(cluster, "import", exit_code=INCOMPLETE)
    assert written.stdout.count("kind: ConfigMapSync") == len(EXAMPLES)
    assert 'the expression "namespace-[0-9]*" has no equal' in written.stderr
    checked = cluster.folder / "imported.yaml"
    checked.write_text(written.stdout)
    run_plugin(cluster, "check", "--cluster", str(checked))

    cluster.kubectl("apply", "-f", str(checked))

    for example in EXAMPLES:
        system = existing - {example.source[0]} if example.system else frozenset()

        def same_copies(
            example: Example = example, expected: Any = example.copies | system
        ) -> None:
            assert copies_of(own_stage, example) == expected, example.title

        wait_until(same_copies, 20.0)
    assert run_plugin(cluster, "import", exit_code=INCOMPLETE).stdout == written.stdout

    create_namespace(cluster, "later", {"env": "production", "app": "kubed"})
    for name in ("auto-config-map", "wide-config-map", "both-ways", "omni", "omni-some"):
        wait_until(lambda name=name: own_stage.find("later", name) is not None)
    assert own_stage.find("later", "by-label") is None


def test_existing_copies_are_taken_over_in_place_and_foreign_configmaps_stay(
    own_stage: Stage,
) -> None:
    automatic = {
        f"{REFLECTOR}reflection-allowed": "true",
        f"{REFLECTOR}reflection-allowed-namespaces": "namespace-.*",
        f"{REFLECTOR}reflection-auto-enabled": "true",
    }
    mirror = {f"{REFLECTOR}reflects": "central/app", f"{REFLECTOR}auto-reflects": "True"}
    create(own_stage, configmap("central", "app", automatic, {"level": "new"}))
    before = create(own_stage, configmap("namespace-1", "app", mirror, {"level": "old"}))
    foreign = create(own_stage, configmap("namespace-2", "app", {}, {"mine": "yes"}))
    written = run_plugin(own_stage.cluster, "import")
    assert "exists in namespace-2; it is left alone" in written.stderr

    own_stage.cluster.kubectl("apply", "-f", "-", input=written.stdout)

    for namespace in ("namespace-1", "namespace-33", "namespace-x"):
        own_stage.copy_becomes({"data": {"level": "new"}}, namespace, "app")
    after = own_stage.find("namespace-1", "app")
    assert after is not None
    assert after["metadata"]["uid"] == before["metadata"]["uid"]
    assert own_stage.find("namespace-2", "app") == foreign
    assert own_stage.find("other", "app") is None


def test_secrets_with_annotations_are_listed_and_their_values_are_not_read(
    own_stage: Stage,
) -> None:
    document = configmap("central", "password", {f"{REFLECTOR}reflection-allowed": "true"})
    secret = document | {"kind": "Secret", "data": {"key": "c2VjcmV0"}}
    own_stage.cluster.create("/api/v1/namespaces/central/secrets", secret)
    written = run_plugin(own_stage.cluster, "import", exit_code=INCOMPLETE)
    assert "Secret central/password: a Secret is not copied" in written.stderr
    assert "c2VjcmV0" not in written.stdout + written.stderr


def test_without_the_rights_to_read_the_command_ends_with_two(own_stage: Stage) -> None:
    failed = run_plugin(own_stage.cluster, "import", user="alice", exit_code=2)
    assert failed.stderr.startswith("Error: no right to read what this command needs")
