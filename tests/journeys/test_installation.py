"""The whole demo with exactly what `config/default` installs.

That is its ServiceAccounts, roles, arguments, variables and mounts. The API server
enforces RBAC and calls the webhook by its Service, with the CA of the certificate tool.
"""

import base64
import json
import shutil
import signal
from pathlib import Path
from typing import Any, NamedTuple
from urllib.request import urlopen

import pytest
import yaml

from certs.bundle import authorities_in
from configmapsync.names import MANAGED_BY_LABEL
from hack.roles import ROLES
from tests.config.installation import uninstall
from tests.journeys.installation import ADMISSION, Installation, Names, installed
from tests.journeys.stage import Stage
from tests.support.audit import Used, rights_used
from tests.support.cluster import Cluster
from tests.support.eventually import wait_until
from tests.support.manifests import CONFIG, DEFAULT
from tests.support.processes import LOCAL_ADDRESS
from tests.support.service_account import mounting
from tests.support.web import Web


@pytest.fixture
def stage(installation: Installation) -> Stage:
    return Stage(installation.cluster, installation.cluster.new_namespace)


def assert_no_request_was_refused(installation: Installation) -> None:
    """Check that no process was refused a request by RBAC."""
    for pod in installation.kubelet.pods:
        assert (
            f"system:serviceaccount:{installation.names.namespace}" not in pod.process.output()
        ), pod.process.explain("refused")
        if pod.process.exit_code is None and "health" in pod.ports:
            with urlopen(
                f"http://{LOCAL_ADDRESS}:{pod.ports['health']}/metrics", timeout=10
            ) as answer:
                requests = [
                    line
                    for line in answer.read().decode().splitlines()
                    if "rest_client_requests_total{" in line
                ]
            assert requests
            assert [line for line in requests if 'code="403"' in line] == []


def test_copies_are_created_updated_repaired_and_deleted(
    installation: Installation, stage: Stage
) -> None:
    home, team, later = stage.namespace(), f"team-{stage.tag}", f"team-{stage.tag}-later"
    stage.cluster.add_namespace(team)
    content = stage.source(home)
    sync = stage.sync(home, destinationNamespaces=[f"team-{stage.tag}*"])
    stage.copy_becomes(content, team)
    stage.ready_becomes(sync, "True", "Synced")
    wait_until(lambda: success_event_count(stage, home) > 0)

    stage.delete(home, "config")
    stage.ready_becomes(sync, "False", "SourceNotFound")
    stage.source(home)
    stage.ready_becomes(sync, "True", "Synced")
    wait_until(lambda: success_event_count(stage, home) > 1)
    content = stage.edit(home, "config", data={"key": "newest"})
    stage.copy_becomes(content, team)
    stage.edit(team, "config", data={"key": "damaged"})
    stage.copy_becomes(content, team)
    stage.delete(team, "config")
    stage.copy_becomes(content, team)
    stage.cluster.add_namespace(later)
    stage.copy_becomes(content, later)

    stage.cluster.delete(sync)
    stage.copy_goes(team)
    stage.copy_goes(later)
    wait_until(lambda: stage.cluster.find(sync) is None)
    assert_no_request_was_refused(installation)


def success_event_count(stage: Stage, namespace: str) -> int:
    """Return how often the success event was emitted."""
    events = stage.cluster.get(f"/api/v1/namespaces/{namespace}/events")["items"]
    return max((event["count"] for event in events if event["reason"] == "Synced"), default=0)


def test_an_existing_configmap_is_adopted_and_released(
    installation: Installation, stage: Stage
) -> None:
    home, there = stage.namespace(), stage.namespace()
    stage.put_configmap(there, "config", data={"theirs": "1"})
    content = stage.source(home)
    sync = stage.sync(home, destinationNamespace=there, conflictPolicy="Adopt")
    stage.copy_becomes(content, there)

    stage.cluster.delete(sync)
    wait_until(lambda: stage.cluster.find(sync) is None)
    assert MANAGED_BY_LABEL not in stage.find(there)["metadata"].get("labels", {})
    assert_no_request_was_refused(installation)


def test_an_immutable_copy_is_made_again(installation: Installation, stage: Stage) -> None:
    home, there = stage.namespace(), stage.namespace()
    content = stage.source(home, immutable=True, data={"a": "1"})
    stage.sync(home, destinationNamespace=there)
    stage.copy_becomes(content, there)
    stage.delete(home, "config")
    stage.copy_becomes(stage.source(home, data={"a": "2"}), there)
    assert_no_request_was_refused(installation)


def test_harmful_syncs_are_refused(installation: Installation, stage: Stage) -> None:
    home, there = stage.namespace(), stage.namespace()
    stage.source(home)
    stage.sync(home, destinationNamespace=there)
    back = {"configMapName": "config", "sourceNamespace": there, "destinationNamespace": home}
    assert "would close a loop" in applied(stage, home, "back", back)
    nowhere = {"configMapName": "config", "destinationNamespace": f"gone-{stage.tag}"}
    assert "not found" in applied(stage, home, "nowhere", nowhere).lower()
    stage.cluster.kubectl(
        "create", "rolebinding", "alice", "--clusterrole=edit", "--user=alice", "-n", there
    )
    theirs = {"configMapName": "config", "sourceNamespace": home, "destinationNamespace": there}
    assert 'user "alice" may not get the ConfigMap "config"' in applied(
        stage, there, "theirs", theirs, user="alice"
    )
    missing = {
        "configMapName": "missing",
        "destinationNamespace": there,
        "destinationConfigMapName": "other",
    }
    assert "Warning" in applied(stage, home, "early", missing)
    assert_no_request_was_refused(installation)


def test_users_have_the_rights_of_their_role_in_a_namespace(stage: Stage) -> None:
    home = stage.namespace()
    stage.cluster.kubectl(
        "create", "rolebinding", "bob", "--clusterrole=view", "--user=bob", "-n", home
    )
    stage.cluster.kubectl(
        "create", "rolebinding", "alice", "--clusterrole=edit", "--user=alice", "-n", home
    )

    def may(user: str, verb: str) -> bool:
        resource = "configmapsyncs.apps.nishaf.info"
        done = stage.cluster.kubectl_as(user)(
            "auth", "can-i", verb, resource, "-n", home, check=False
        )
        return done.stdout.strip() == "yes"

    wait_until(lambda: may("bob", "list"))
    wait_until(lambda: may("alice", "create"))
    assert not may("bob", "create")
    assert not may("bob", "delete")


def test_the_rights_of_a_named_service_account_replace_those_of_the_user(
    installation: Installation, stage: Stage
) -> None:
    home, there = stage.namespace(), stage.namespace()
    stage.service_account(home)
    for namespace in (home, there):
        account = f"--serviceaccount={home}:robot"
        stage.cluster.kubectl(
            "create", "rolebinding", "robot", "--clusterrole=edit", account, "-n", namespace
        )
    content = stage.source(home)
    sync = stage.sync(home, destinationNamespace=there, serviceAccountName="robot")
    stage.copy_becomes(content, there)
    stage.cluster.delete(sync)
    stage.copy_goes(there)
    assert_no_request_was_refused(installation)


def test_a_renewal_finds_nothing_to_do(installation: Installation) -> None:
    renewal = installation.run_certificates("cronjobs", "certs")
    assert renewal.process.wait() == 0
    assert "certificate kept" in renewal.process.output()
    assert "authority kept" in renewal.process.output()
    assert_no_request_was_refused(installation)


@pytest.mark.parametrize("how", ["--server-side=false", "--server-side=true"])
def test_applying_it_again_keeps_the_ca_bundle(
    installation: Installation, stage: Stage, how: str
) -> None:
    before = reached_by(stage)
    stage.cluster.kubectl(
        "apply", how, "--force-conflicts" if how.endswith("true") else "--wait=true", "-k", DEFAULT
    )
    assert reached_by(stage) == before
    home = stage.namespace()
    nowhere = {"configMapName": "config", "destinationNamespace": f"gone-{stage.tag}"}
    assert "Not found" in applied(stage, home, "nowhere", nowhere)


class Reached(NamedTuple):
    """How the API server reaches one webhook."""

    bundle: bytes
    path: str


def reached_by(stage: Stage) -> set[Reached]:
    """Return the client configuration of both webhooks."""
    kinds = ("mutatingwebhookconfigurations", "validatingwebhookconfigurations")
    found = [
        stage.cluster.get(f"{ADMISSION}/{kind}/configmapsync-webhook")["webhooks"] for kind in kinds
    ]
    clients = [webhook["clientConfig"] for webhooks in found for webhook in webhooks]
    return {
        Reached(base64.b64decode(client["caBundle"]), client["service"]["path"])
        for client in clients
    }


def test_the_copies_of_a_sync_removed_by_force_are_deleted_in_time(
    installation: Installation, stage: Stage
) -> None:
    _, there, _, sync = stage.one_copy()
    leader = installation.leader().process
    leader.send(signal.SIGSTOP)
    stage.cluster.patch(sync, {"metadata": {"finalizers": None}})
    stage.cluster.delete(sync)
    leader.send(signal.SIGCONT)
    stage.copy_goes(there)
    assert_no_request_was_refused(installation)


def test_a_damaged_certificate_is_replaced(installation: Installation) -> None:
    secret = f"/api/v1/namespaces/{installation.names.namespace}/secrets/configmapsync-webhook"
    garbage = base64.b64encode(b"garbage").decode()
    installation.cluster.patch(secret, {"data": {"tls.crt": garbage}})
    assert installation.run_certificates("cronjobs", "certs").process.wait() == 0
    assert installation.cluster.get(secret)["data"]["tls.crt"] != garbage
    assert_no_request_was_refused(installation)


def test_after_a_revocation_no_former_ca_is_trusted_and_admission_continues(
    installation: Installation, stage: Stage
) -> None:
    before = {
        authority for found in reached_by(stage) for authority in authorities_in(found.bundle)
    }
    revoking = installation.revoke_certificates()
    assert revoking.process.wait(within=60) == 0, revoking.process.explain("the revocation failed")
    installation.kubelet.refresh()
    after = {authority for found in reached_by(stage) for authority in authorities_in(found.bundle)}
    assert len(after) == 1
    assert after.isdisjoint(before)
    home = stage.namespace()
    nowhere = {"configMapName": "config", "destinationNamespace": f"gone-{stage.tag}"}
    wait_until(lambda: "Not found" in applied(stage, home, "nowhere", nowhere))
    assert_no_request_was_refused(installation)


@pytest.mark.skipif(
    not mounting(), reason="mounts of its own are not allowed to a process on this machine"
)
def test_the_operators_namespace_is_a_destination_only_by_exact_name(
    installation: Installation, stage: Stage
) -> None:
    home, there, own = stage.namespace(), stage.namespace(), installation.names.namespace
    content = stage.source(home, f"own-{stage.tag}")
    spec = {"configMapName": f"own-{stage.tag}", "destinationNamespaces": [there, f"{own[:-1]}?"]}
    sync = stage.sync(home, **spec)
    stage.copy_becomes(content, there, f"own-{stage.tag}")
    stage.ready_becomes(sync, "True", "Synced")
    assert stage.find(own, f"own-{stage.tag}") is None

    stage.edit_sync(sync, destinationNamespaces=[there, own])
    stage.copy_becomes(content, own, f"own-{stage.tag}")
    stage.cluster.delete(sync)
    stage.copy_goes(own, f"own-{stage.tag}")


@pytest.mark.skipif(
    not mounting(), reason="mounts of its own are not allowed to a process on this machine"
)
def test_an_invalid_token_is_replaced_by_the_kubelets_new_one(
    installation: Installation, stage: Stage
) -> None:
    """A recreated account has the same rights in RBAC, but its former tokens are invalid."""
    home, there = stage.namespace(), stage.namespace()
    stage.source(home)
    stage.sync(home, destinationNamespace=there)
    accounts = f"/api/v1/namespaces/{installation.names.namespace}/serviceaccounts"
    account = f"{accounts}/configmapsync-reconciler"
    again = {**stage.cluster.get(account), "metadata": {"name": "configmapsync-reconciler"}}
    previous = installation.leader().account.token()

    stage.cluster.delete(account)
    stage.cluster.create(account.rpartition("/")[0], again)
    for pod in installation.reconcilers:
        pod.account.renew()

    server = Web(stage.cluster.url, stage.cluster.authority_file)
    wait_until(
        lambda: server.request("GET", "/api/v1/configmaps", token=previous).status == 401, within=30
    )
    stage.copy_becomes(stage.edit(home, "config", data={"key": "after"}), there)
    assert installation.lease()["spec"]["leaseTransitions"] == 0


@pytest.mark.parametrize("process", ROLES)
def test_the_roles_grant_exactly_the_rights_that_were_used(
    installation: Installation, process: str
) -> None:
    """The tests above use every verb of every rule, and no process needs one more."""
    granted = {
        Used(rule.group, rule.resource, verb)
        for role in ROLES[process]
        for rule in role.rules
        for verb in rule.verbs
    }
    account = f"system:serviceaccount:{installation.names.namespace}:configmapsync-{process}"
    wait_until(lambda: same(rights_used(installation.audit_log, account), granted))


def same(used: set[Used], granted: set[Used]) -> None:
    assert used == granted, (
        f"never used: {sorted(granted - used)}; used by another role: {sorted(used - granted)}"
    )


def test_the_standby_takes_over_and_every_pod_ends_in_time(
    installation: Installation, stage: Stage
) -> None:
    home, there, *_ = stage.one_copy()

    assert installation.leader().end() == 0
    stage.copy_becomes(stage.edit(home, "config", data={"key": "after the first"}), there)
    assert installation.lease()["spec"]["leaseTransitions"] >= 1
    uninstall(stage.cluster, patience="30")
    stage.copy_goes(there)
    assert installation.leader().end() == 0
    assert [webhook.end() for webhook in installation.webhooks] == [0, 0]
    assert_no_request_was_refused(installation)


def test_an_installation_under_other_names_works_the_same(cluster: Cluster, tmp_path: Path) -> None:
    config = shutil.copytree(CONFIG, tmp_path / "config")
    theirs = {"namespace": "elsewhere", "namePrefix": "acme-", "resources": ["../default"]}
    (config / "theirs").mkdir()
    (config / "theirs" / "kustomization.yaml").write_text(yaml.safe_dump(theirs))
    if cluster.kind == "existing":
        pytest.skip("an existing cluster is not for installations of tests")

    with installed(
        cluster.kind, tmp_path, config / "theirs", Names("elsewhere", "acme-configmapsync-")
    ) as installation:
        stage = Stage(installation.cluster, installation.cluster.new_namespace)
        home, there = stage.namespace(), stage.namespace()
        content = stage.source(home)
        stage.sync(home, destinationNamespace=there)
        stage.copy_becomes(content, there)
        nowhere = {"configMapName": "config", "destinationNamespace": f"gone-{stage.tag}"}
        assert "Not found" in applied(stage, home, "nowhere", nowhere)
        assert installation.lease()["spec"]["holderIdentity"]
        assert installation.run_certificates("cronjobs", "certs").process.wait() == 0
        assert_no_request_was_refused(installation)


def applied(
    stage: Stage, namespace: str, name: str, spec: dict[str, Any], user: str = "admin"
) -> str:
    """Return the output of kubectl when a user applies a sync."""
    document = {
        "apiVersion": "apps.nishaf.info/v1",
        "kind": "ConfigMapSync",
        "metadata": {"name": name, "namespace": namespace},
        "spec": spec,
    }
    kubectl = stage.cluster.kubectl if user == "admin" else stage.cluster.kubectl_as(user)
    done = kubectl("apply", "-f", "-", input=json.dumps(document), check=False)
    return done.stdout + done.stderr
