"""`kubectl configmapsync check`, `plan` and `diff` on a cluster."""

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from configmapsync.names import API_VERSION, KIND
from tests.journeys.conftest import Rule
from tests.journeys.faults import Faults
from tests.journeys.stage import Stage
from tests.journeys.user_shell import UserShell
from tests.support.eventually import wait_until
from tests.support.plans import CHANGES, plan
from tests.support.plugin import run_plugin
from tests.support.processes import START_SECONDS

ERRORS, FAILED = 1, 2  # exit codes of check


def document(namespace: str, name: str = "checked", **spec: object) -> dict[str, object]:
    return {
        "apiVersion": API_VERSION,
        "kind": KIND,
        "metadata": {"namespace": namespace, "name": name},
        "spec": {"configMapName": "config", **spec},
    }


def file(folder: Path, *documents: dict[str, object]) -> str:
    path = folder / "syncs.yaml"
    path.write_text(yaml.safe_dump_all(documents))
    return str(path)


def without_file(text: str) -> list[str]:
    """Return the findings without file, line and column."""
    return [re.sub(r"^\S+:\d+:\d+: ", "", line) for line in text.splitlines()]


def test_check_knows_the_namespaces_the_syncs_and_the_configmaps_of_the_cluster(
    shell: UserShell, tmp_path: Path
) -> None:
    home, web, taken = (shell.namespace(prefix) for prefix in ("home", "web", "taken"))
    for namespace in (home, taken):
        shell.cluster.create(
            f"/api/v1/namespaces/{namespace}/configmaps",
            {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "config"}},
        )
    shell.accepted(document(home, "older", destinationNamespace=web))
    path = file(
        tmp_path,
        document(home, destinationNamespaces=[web, taken, "no-such-namespace"]),
        document(web, "loop", destinationNamespace=home),
    )
    printed = run_plugin(shell.cluster, "check", "--cluster", path, exit_code=ERRORS).stdout
    subject, loop = f"{KIND} {home}/checked", f"{KIND} {web}/loop"
    assert sorted(without_file(printed)) == sorted(
        [
            (
                f"error: {subject}: spec.destinationNamespaces[0]: Duplicate value: "
                f'"{web}/config": is already written by {KIND} {home}/older'
            ),
            f'error: {subject}: spec.destinationNamespaces[2]: Not found: "no-such-namespace"',
            (
                f"warning: {subject}: ConfigMap {taken}/config exists and no sync manages it, "
                "so it is not overwritten (conflictPolicy: Fail)"
            ),
            (
                f"warning: {loop}: ConfigMap {home}/config exists and no sync manages it, "
                "so it is not overwritten (conflictPolicy: Fail)"
            ),
            (
                f'error: {loop}: spec.destinationNamespace: Invalid value: "{home}": '
                f"would close a loop: {web}/config -> {home}/config -> {web}/config"
            ),
        ]
    )
    assert shell.stored(home, "checked") is None


def test_check_applies_the_rights_of_the_user(
    shell: UserShell, tmp_path: Path, allow_everywhere: Callable[[str, list[Rule]], None]
) -> None:
    home, web = shell.namespace("home"), shell.namespace("web")
    allow_everywhere(
        "alice",
        [
            {"apiGroups": [""], "resources": ["namespaces"], "verbs": ["get", "list"]},
            {"apiGroups": ["apps.nishaf.info"], "resources": ["*"], "verbs": ["*"]},
        ],
    )
    path = file(tmp_path, document(home, destinationNamespace=web))
    printed = wait_until(
        lambda: (
            run_plugin(
                shell.cluster, "check", "--cluster", path, user="alice", exit_code=ERRORS
            ).stdout
        ),
        START_SECONDS,
    )
    assert without_file(printed) == [
        (
            f"error: {KIND} {home}/checked: spec.configMapName: Forbidden: "
            f'user "alice" may not get the ConfigMap "config" in namespace "{home}"'
        ),
        (
            f"error: {KIND} {home}/checked: spec.destinationNamespace: Forbidden: user "
            f'"alice" may not create, update, delete the ConfigMap "config" in namespace "{web}"'
        ),
    ]


def test_a_namespace_that_only_the_files_have_counts(shell: UserShell, tmp_path: Path) -> None:
    home = shell.namespace("home")
    shell.cluster.create(
        f"/api/v1/namespaces/{home}/configmaps",
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "config"}},
    )
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": f"new-{shell.tag}"}}
    sync = document(home, destinationNamespace=f"new-{shell.tag}")
    path = file(tmp_path, namespace, sync)
    assert run_plugin(shell.cluster, "check", "--cluster", path).stdout == ""


@pytest.mark.only_on("devcluster")
def test_an_api_server_that_fails_says_nothing_about_the_sync(
    shell: UserShell, fault: Faults, tmp_path: Path
) -> None:
    path = file(tmp_path, document(shell.namespace(), destinationNamespace=shell.namespace()))
    fault("fail", verb="patch", resource="configmapsyncs", status=500)
    done = run_plugin(shell.cluster, "check", "--cluster", path, exit_code=FAILED)
    assert "a scripted fault (InternalError)" in done.stderr
    assert done.stdout == ""


def test_a_cluster_that_cannot_be_read_ends_check_with_two(
    shell: UserShell, tmp_path: Path
) -> None:
    home = shell.namespace("home")
    path = file(tmp_path, document(home, destinationNamespace=home))
    failed = run_plugin(shell.cluster, "check", "--cluster", path, user="bob", exit_code=FAILED)
    assert failed.stderr.startswith("Error: no right to read what this command needs")


@pytest.mark.parametrize("output", ["text", "json", "diff"])
def test_plan_prints_what_the_dry_run_prints(stage: Stage, output: str) -> None:
    home, web = stage.namespace("home"), stage.namespace("web")
    stage.source(home)
    sync = stage.sync(home, destinationNamespace=web)
    key = f"{home}/{sync.rpartition('/')[2]}"
    expected = plan("--kubeconfig", stage.cluster.kubeconfig, "--output", output, key)
    printed = run_plugin(stage.cluster, "plan", "-o", output, key, exit_code=CHANGES)
    assert expected.code == CHANGES
    assert _without_uid(printed.stdout) == _without_uid(expected.stdout)


def test_diff_prints_each_copy_line_by_line(stage: Stage) -> None:
    home, web = stage.namespace("home"), stage.namespace("web")
    stage.source(home, data={"color": "blue"})
    sync = stage.sync(home, destinationNamespace=web)
    key = f"{home}/{sync.rpartition('/')[2]}"
    printed = run_plugin(stage.cluster, "diff", key, exit_code=CHANGES).stdout
    assert f"+++ planned/{web}/config\n" in printed
    assert "+  color: blue\n" in printed


def test_json_of_check_has_one_object_for_each_finding(shell: UserShell, tmp_path: Path) -> None:
    path = file(tmp_path, document("home", destinationNamespaces=["web"], sourceNamepsace="x"))
    printed = run_plugin(shell.cluster, "check", path, "-o", "json", exit_code=ERRORS).stdout
    [found] = json.loads(printed)
    assert found == {
        "file": path,
        "line": found["line"],
        "column": 3,
        "severity": "error",
        "subject": f"{KIND} home/checked",
        "field": "spec.sourceNamepsace",
        "message": 'Forbidden: unknown field; did you mean "sourceNamespace"?',
    }
    assert "sourceNamepsace" in Path(path).read_text().splitlines()[found["line"] - 1]


def _without_uid(text: str) -> str:
    return re.sub(r"known-after-apply-\d+", "UID", text)
