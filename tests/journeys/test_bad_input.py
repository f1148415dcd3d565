"""Bad input gives one clear line and the right exit code, or a condition.

It never causes a traceback or a crash loop on one object.
"""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from tests.journeys.accounts import kubeconfig_of
from tests.journeys.conftest import CRD, install_crd
from tests.journeys.stage import Stage
from tests.support.cluster import Cluster
from tests.support.eventually import wait_until
from tests.support.processes import Process, free_port

WRONG_FILES = {
    "no such file": None,
    "not YAML": "{[",
    "empty": "",
    "no cluster": "apiVersion: v1\nkind: Config\n",
    "no such context": "clusters: [{name: a, cluster: {server: 'https://127.0.0.1:1'}}]\n"
    "contexts: []\ncurrent-context: nope\n",
    "no address": "clusters: [{name: a, cluster: {server: 'nonsense'}}]\n"
    "contexts: [{name: a, context: {cluster: a}}]\ncurrent-context: a\n",
}


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the reconciler until it ends."""
    return subprocess.run(
        [sys.executable, "-m", "reconciler", *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={**os.environ, **environment},
    )


@pytest.mark.parametrize("text", WRONG_FILES.values(), ids=WRONG_FILES.keys())
def test_an_unusable_kubeconfig_gives_one_line_and_exit_code_1(
    tmp_path: Path, text: str | None
) -> None:
    path = tmp_path / "kubeconfig"
    if text is not None:
        path.write_text(text)

    done = run("--kubeconfig", str(path), "--health-address", "127.0.0.1:0")

    assert done.returncode == 1
    lines = done.stderr.strip().splitlines()
    assert len(lines) == 1, done.stderr
    assert str(path) in json.loads(lines[0])["error"]


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["--workers", "0"], "--workers"),
        (["--log-format", "xml"], "--log-format"),
        (["--health-address", "here"], "--health-address"),
        (["--nonsense"], "--nonsense"),
    ],
)
def test_a_wrong_flag_is_named_and_gives_exit_code_2(arguments: list[str], problem: str) -> None:
    done = run(*arguments)

    assert done.returncode == 2
    assert problem in done.stderr
    assert "Traceback" not in done.stderr


def test_environment_variables_are_checked_like_flags() -> None:
    assert run(CONFIGMAPSYNC_WORKERS="0").returncode == 2


def test_a_taken_port_gives_one_line_and_exit_code_1(
    cluster: Cluster, start_process: Callable[..., Process]
) -> None:
    port = free_port()
    first = start_process(
        "reconciler",
        "--kubeconfig",
        kubeconfig_of(cluster, "reconciler"),
        "--health-address",
        f"127.0.0.1:{port}",
    )
    first.wait_for_line("started")

    done = run(
        "--kubeconfig",
        str(kubeconfig_of(cluster, "reconciler")),
        "--health-address",
        f"127.0.0.1:{port}",
    )

    assert done.returncode == 1
    assert "cannot listen" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_reconciler_waits_for_an_api_server_that_is_down_at_the_start(
    tmp_path: Path, cluster: Cluster, start_process: Callable[..., Process]
) -> None:
    config = yaml.safe_load(kubeconfig_of(cluster, "reconciler").read_text())
    config["clusters"][0]["cluster"]["server"] = f"https://127.0.0.1:{free_port()}"
    path = tmp_path / "away"
    path.write_text(yaml.safe_dump(config))

    process = start_process("reconciler", "--kubeconfig", path, "--health-address", "127.0.0.1:0")

    process.wait_for_line("cannot list or watch")
    assert process.exit_code is None
    assert process.terminate() == 0
    assert "Traceback" not in process.output()


def test_a_missing_crd_is_logged_and_the_reconciler_waits_for_it(
    fresh_cluster: Cluster, start_process: Callable[..., Process]
) -> None:
    assert fresh_cluster.find(CRD) is None
    port = free_port()
    process = start_process(
        "reconciler",
        "--kubeconfig",
        kubeconfig_of(fresh_cluster, "reconciler"),
        "--health-address",
        f"127.0.0.1:{port}",
    )
    process.wait_for_line("configmapsyncs")

    install_crd(fresh_cluster)

    process.wait_until_answering(f"http://127.0.0.1:{port}/readyz", within=30)
    assert "Traceback" not in process.output()


def test_missing_rights_are_logged_and_the_reconciler_waits_for_them(
    cluster: Cluster, crd: None, start_process: Callable[..., Process]
) -> None:
    process = start_process(
        "reconciler",
        "--kubeconfig",
        cluster.kubeconfig_for("alice"),
        "--health-address",
        "127.0.0.1:0",
    )

    line = process.wait_for_line("Forbidden")

    assert "alice" in line
    assert process.terminate() == 0


def test_objects_written_with_a_relaxed_schema_get_a_condition_and_block_no_other(
    fresh_cluster: Cluster, start_process: Callable[..., Process]
) -> None:
    install_crd(fresh_cluster)
    wait_until(lambda: _relax(fresh_cluster))
    stage = Stage(fresh_cluster, fresh_cluster.new_namespace)
    home, there = stage.namespace(), stage.namespace()
    broken = [
        # The API server uses a changed schema a moment later.
        wait_until(lambda: stage.sync(home, "no-destination")),
        stage.sync(home, "wrong-types", destinationNamespaces={"a": 1}, keys="x", suspend="yes"),
        stage.sync(home, "unknown", destinationNamespace=there, nonsense=True),
        stage.sync(home, "bad-names", destinationNamespace="Not_A_Name", configMapName="*"),
    ]
    content = stage.source(home)
    good = stage.sync(home, "good", destinationNamespace=there)
    start_process(
        "reconciler",
        "--kubeconfig",
        kubeconfig_of(fresh_cluster, "reconciler"),
        "--health-address",
        "127.0.0.1:0",
    )

    stage.copy_becomes(content, there)
    stage.ready_becomes(good, "True", "Synced")
    for sync in broken:
        stage.ready_becomes(sync, "False", "InvalidSpec")
    stage.remove_syncs()
    wait_until(lambda: all(fresh_cluster.find(sync) is None for sync in broken))


def _relax(cluster: Cluster) -> None:
    """Replace the schema by one that admits any object, as an old or foreign CRD might."""
    crd = cluster.get(CRD)
    version = crd["spec"]["versions"][0]
    version["schema"] = {
        "openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    }
    cluster.replace(CRD, crd)
