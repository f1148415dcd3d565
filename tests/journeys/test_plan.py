"""A plan says exactly what the reconciler then does, and changes nothing."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

from configmapsync.names import MANAGED_BY_LABEL, MANAGED_BY_VALUE
from tests.journeys.stage import Stage
from tests.support.cluster import Cluster
from tests.support.eventually import wait_until
from tests.support.plans import CHANGES, NO_CONTENT, PlanResult, plan, writes
from tests.support.processes import Process

ROOT = Path(__file__).parents[2]
RBAC = "/apis/rbac.authorization.k8s.io/v1"


def planned(cluster: Cluster, *arguments: str, user: str | None = None) -> PlanResult:
    """Return the plan of the whole cluster, or of `arguments`."""
    kubeconfig = cluster.kubeconfig_for(user) if user else cluster.kubeconfig
    return plan("--kubeconfig", kubeconfig, *arguments)


def configmaps(stage: Stage, namespaces: list[str]) -> dict[str, Any]:
    """Return every ConfigMap of some namespaces by key."""
    items = stage.cluster.get("/api/v1/configmaps")["items"]
    return {
        f"{item['metadata']['namespace']}/{item['metadata']['name']}": item["metadata"]
        for item in items
        if item["metadata"]["namespace"] in namespaces
    }


def is_copy(metadata: dict[str, Any]) -> bool:
    return metadata.get("labels", {}).get(MANAGED_BY_LABEL) == MANAGED_BY_VALUE


def verb(before: dict[str, Any] | None, after: dict[str, Any] | None) -> str:
    """Return the verb that turned one state of a ConfigMap into the other."""
    if before is None:
        return "create"
    if after is None:
        return "delete"
    if before["uid"] != after["uid"]:
        return "recreate"
    return {(True, True): "update", (False, True): "adopt", (True, False): "release"}[
        is_copy(before), is_copy(after)
    ]


def test_the_reconciler_does_exactly_what_the_plan_says(
    stage: Stage, start_reconciler: Callable[..., Process]
) -> None:
    home, chain = stage.namespace("home"), stage.namespace("chain")
    kept, edited, gone, taken, fresh, left = (
        stage.namespace(name) for name in ("k", "e", "g", "t", "f", "l")
    )
    namespaces = [home, chain, kept, edited, gone, taken, fresh, left]
    stage.source(home)
    stage.source(home, "frozen", data={"a": "1"}, immutable=True)
    main = stage.sync(home, destinationNamespaces=[kept, edited, gone, left])
    renamed = stage.sync(home, destinationNamespace=chain, destinationConfigMapName="former")
    stage.sync(chain, configMapName="next", sourceNamespace=chain, destinationNamespace=fresh)
    frozen = stage.sync(home, configMapName="frozen", destinationNamespace=kept)
    orphaned = stage.sync(
        home, destinationNamespace=left, destinationConfigMapName="stays", deletionPolicy="Orphan"
    )
    adopting = stage.sync(home, destinationNamespace=taken, suspend=True, conflictPolicy="Adopt")
    refused = stage.sync(home, destinationNamespace=taken, destinationConfigMapName="foreign")
    stage.put_configmap(taken, "config", data={"old": "1"})
    stage.put_configmap(taken, "foreign", data={"old": "1"})
    reconciler = start_reconciler()
    for sync in (main, renamed, frozen, orphaned):
        stage.ready_becomes(sync, "True", "Synced")
    stage.ready_becomes(refused, "False", "DestinationConflict")
    reconciler.terminate()

    stage.edit(edited, "config", data={"key": "drifted"})
    stage.delete(gone, "config")
    stage.edit_sync(main, destinationNamespaces=[kept, edited, gone])
    stage.edit_sync(renamed, destinationConfigMapName="next")
    stage.edit_sync(orphaned, destinationNamespace=home)
    stage.edit_sync(adopting, suspend=False)
    stage.delete(home, "frozen")
    stage.source(home, "frozen", data={"a": "2"}, immutable=True)
    before, versions = configmaps(stage, namespaces), stage.versions()
    result = planned(stage.cluster, "--output", "json")
    assert stage.versions() == versions
    assert result.code == CHANGES

    start_reconciler()

    def settled() -> None:
        plan = planned(stage.cluster)
        assert plan.code == NO_CONTENT, plan.stdout

    wait_until(settled)
    after = configmaps(stage, namespaces)
    done = {
        (verb(before.get(key), after.get(key)), key)
        for key in before.keys() | after.keys()
        if before.get(key, {}).get("resourceVersion") != after.get(key, {}).get("resourceVersion")
    }

    assert {write for write in writes(result) if write[1].partition("/")[0] in namespaces} == done
    assert {kind for kind, _ in done} == {
        "create",
        "update",
        "recreate",
        "adopt",
        "release",
        "delete",
    }
    # Its source is created only by the first write.
    assert ("create", f"{fresh}/next") in done


def test_a_settled_cluster_has_no_plan(stage: Stage, reconciler: Process) -> None:
    home, _, _, sync = stage.one_copy()
    stage.ready_becomes(sync, "True", "Synced")
    name = f"{home}/{sync.rpartition('/')[2]}"

    result = planned(stage.cluster, name)

    assert result.stdout == (
        f"ConfigMapSync {name}: from {home}/config, 1 key\n  = 1 copy in sync\n\n"
        "Plan: no changes, 1 in sync.\n"
    )
    assert result.code == NO_CONTENT
    assert planned(stage.cluster, name, "--output", "diff").stdout == ""


def test_the_diff_shows_what_would_change_in_a_copy(
    stage: Stage, start_reconciler: Callable[..., Process]
) -> None:
    home, there = stage.namespace(), stage.namespace()
    content = stage.source(home, data={"kept": "1", "changed": "old"})
    sync = stage.sync(home, destinationNamespace=there)
    reconciler = start_reconciler()
    stage.copy_becomes(content, there)
    stage.ready_becomes(sync, "True", "Synced")
    reconciler.terminate()
    stage.edit(home, "config", data={"changed": "new", "added": "1"})
    name = f"{home}/{sync.rpartition('/')[2]}"

    result = planned(stage.cluster, name, "--output", "diff")

    lines = result.stdout.splitlines()
    assert lines[:2] == [f"--- live/{there}/config", f"+++ planned/{there}/config"]
    changed = {line for line in lines[2:] if line.startswith(("+", "-")) and "digest" not in line}
    assert changed == {"-  changed: old", "+  added: '1'", "+  changed: new"}
    assert "update" in (text := planned(stage.cluster, name).stdout)
    assert "the content differs: +added, ~changed\n" in text
    start_reconciler()


def test_files_are_planned_as_if_they_had_been_applied(stage: Stage, tmp_path: Path) -> None:
    home, there, taken = stage.namespace(), stage.namespace(), stage.namespace()
    stage.source(home)
    stage.put_configmap(taken, "config", data={"old": "1"})
    versions = stage.versions()
    file = tmp_path / "sync.yaml"
    file.write_text(
        f"""
apiVersion: apps.nishaf.info/v1
kind: ConfigMapSync
metadata: {{name: new, namespace: {home}}}
spec: {{configMapName: config, destinationNamespaces: [{there}, {taken}]}}
"""
    )

    result = planned(stage.cluster, "-f", str(file), "--with-cluster", "--output", "json")

    assert writes(result) == {("create", f"{there}/config")}
    (refused,) = result.document["syncs"][0]["refused"]
    assert (refused["namespace"], refused["reason"]) == (taken, "DestinationConflict")
    assert stage.versions() == versions


Rules = list[dict[str, Any]]
READING: Rules = [
    {"apiGroups": [""], "resources": ["configmaps", "namespaces"], "verbs": ["get", "list"]},
    {"apiGroups": ["apps.nishaf.info"], "resources": ["configmapsyncs"], "verbs": ["get", "list"]},
]


def test_plan_needs_only_the_reconcilers_rights_in_its_pod(
    stage: Stage, allow_everywhere: Callable[[str, Rules], None]
) -> None:
    roles = yaml.safe_load_all((ROOT / "config/rbac/reconciler.yaml").read_text())
    (rules,) = [
        role["rules"]
        for role in roles
        if (role["kind"], role["metadata"]["name"]) == ("ClusterRole", "reconciler")
    ]
    allow_everywhere("bob", rules)
    home, there = stage.namespace(), stage.namespace()
    stage.source(home)
    sync = stage.sync(home, destinationNamespace=there)

    result = wait_until(
        lambda: (result := planned(stage.cluster, user="bob")).code == CHANGES and result
    )

    assert f"+ create   {there}/config" in result.stdout
    assert f"{home}/{sync.rpartition('/')[2]}" in result.stdout


def test_plan_needs_only_read_rights_and_names_what_it_could_not_check(
    stage: Stage, allow_everywhere: Callable[[str, Rules], None]
) -> None:
    home, there = stage.namespace(), stage.namespace()
    stage.source(home)
    stage.service_account(home)
    sync = stage.sync(home, destinationNamespace=there, serviceAccountName="robot")
    name = f"{home}/{sync.rpartition('/')[2]}"
    versions = stage.versions()
    allow_everywhere("bob", READING)

    result = wait_until(
        lambda: (result := planned(stage.cluster, name, user="bob")).code == CHANGES and result
    )

    assert f"+ create   {there}/config" in result.stdout
    assert f"no right to check service account {home}/robot: the plan assumes" in result.stdout
    asked = planned(stage.cluster, name)  # by a user that may ask
    assert "NotAuthorized" in asked.stdout
    assert asked.code == NO_CONTENT
    assert stage.versions() == versions


def test_a_user_without_read_rights_gets_one_line(stage: Stage) -> None:
    result = planned(stage.cluster, user="alice")

    assert result.code == 1
    assert result.stdout == ""
    assert 'User "alice" cannot list resource' in result.stderr
