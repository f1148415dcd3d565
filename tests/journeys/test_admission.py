"""Every admission rule through `kubectl apply`, with the webhook as a process."""

import json
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from configmapsync.names import API_VERSION, FINALIZER, KIND, PLURAL
from tests.journeys.accounts import kubeconfig_of
from tests.journeys.user_shell import UserShell
from tests.journeys.webhook_process import WebhookProcess
from tests.support.cluster import Cluster
from tests.support.eventually import wait_until
from tests.support.processes import Process

# The API server must reach a webhook on this machine, and the configurations are those of an
# installation.
pytestmark = pytest.mark.only_on("devcluster", "real")

RBAC = "/apis/rbac.authorization.k8s.io/v1"
ALL_ON_CONFIGMAPS = ("get", "create", "update", "delete")


def sync(namespace: str, name: str = "sync", **spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": API_VERSION,
        "kind": KIND,
        "metadata": {"namespace": namespace, "name": name},
        "spec": {"configMapName": "cfg", **spec},
    }


def namespace_document(name: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}


# Defaults and shape


def test_what_is_unset_is_filled_in_and_applying_again_changes_nothing(shell: UserShell) -> None:
    home, other = shell.namespace(), shell.namespace()
    document = sync(home, destinationNamespaces=[other, other])
    shell.accepted(document)
    stored = shell.stored(home, "sync")
    assert stored["metadata"]["finalizers"] == [FINALIZER]
    assert stored["spec"] == {
        "configMapName": "cfg",
        "destinationNamespaces": [other, other],
        "conflictPolicy": "Fail",
        "deletionPolicy": "Delete",
        "sourceDeletionPolicy": "Retain",
    } | {key: stored["spec"][key] for key in stored["spec"] if key == "suspend"}
    shell.accepted(document)
    assert shell.stored(home, "sync")["metadata"]["generation"] == 1


def test_a_diff_after_an_apply_is_empty_and_a_rename_of_the_source_renames_the_copies(
    shell: UserShell,
) -> None:
    home, there = shell.namespace(), shell.namespace()
    keys = [{"key": "z"}, {"key": "a"}, {"key": "z"}]
    document = sync(
        home,
        destinationNamespaces=["x-*", there, "a-*"],
        excludedNamespaces=["z", "b", "z"],
        keys=keys,
    )
    shell.accepted(document)

    assert (
        shell.cluster.kubectl("diff", "-f", "-", input=json.dumps(document), check=False).returncode
        == 0
    )
    document["spec"]["configMapName"] = "cfg-7f9k"
    shell.accepted(document)

    stored = shell.stored(home, "sync")
    assert stored is not None
    assert stored["spec"].items() >= document["spec"].items()
    assert "destinationConfigMapName" not in stored["spec"]


def test_no_tool_considers_a_sync_done_while_no_reconciler_runs(shell: UserShell) -> None:
    """Helm and kstatus compare the observed generation with the generation.

    Without an observed generation they treat any resource as done.
    """
    home, there = shell.namespace(), shell.namespace()
    shell.accepted(sync(home, destinationNamespace=there))

    stored = shell.stored(home, "sync")

    assert stored is not None
    assert stored["status"] == {"observedGeneration": -1}
    assert stored["metadata"]["generation"] == 1


def test_a_selection_of_keys_that_matches_nothing_gives_a_warning(shell: UserShell) -> None:
    home, there = shell.namespace(), shell.namespace()
    shell.configmap(home)
    document = sync(
        home, destinationNamespace=there, keys=[{"key": "a"}, {"key": "*.yml"}, {"key": "b"}]
    )

    output = shell.accepted(document)

    assert 'spec.keys[1] "*.yml" matches no key of the source' in output
    assert 'spec.keys[2] "b" matches no key of the source' in output
    assert "spec.keys[0]" not in output


def test_an_absurd_number_of_errors_gives_a_short_answer(shell: UserShell) -> None:
    home = shell.namespace()
    labels = {f"k{number}": "not a value" for number in range(60)}

    output = shell.refused(sync(home, destinationNamespace=home, metadata={"labels": labels}))

    assert "and 40 more" in output
    assert output.count("a valid label must be") == 20


def test_all_errors_of_an_object_are_reported_at_once_in_the_format_of_kubernetes(
    shell: UserShell,
) -> None:
    home = shell.namespace()
    output = shell.refused(
        sync(
            home,
            destinationNamespace=shell.namespace(),
            metadata={"labels": {"no good": "x", "fine": "no good"}},
            copyMetadata={"annotations": ["a b"]},
        )
    )
    assert 'The ConfigMapSync "sync" is invalid:' in output
    assert "* spec.metadata.labels[no good]: Invalid value:" in output
    assert "* spec.metadata.labels[fine]: Invalid value:" in output
    assert "* spec.copyMetadata.annotations[0]: Invalid value:" in output


def test_a_configmap_that_the_cluster_writes_is_never_a_destination(shell: UserShell) -> None:
    document = sync(
        shell.namespace(),
        destinationNamespace=shell.namespace(),
        destinationConfigMapName="kube-root-ca.crt",
    )
    assert "is written into every namespace by the cluster itself" in shell.refused(document)


def test_a_destination_is_required(shell: UserShell) -> None:
    assert "at least one" in shell.refused(sync(shell.namespace()))


# Permission


def test_a_user_without_read_rights_learns_nothing_of_the_source(shell: UserShell) -> None:
    home = shell.namespace()
    secret_namespace = f"secret-{shell.tag}"
    shell.may_write_syncs("alice", home)
    shell.allow("alice", home, ALL_ON_CONFIGMAPS)
    document = sync(home, sourceNamespace=secret_namespace, destinationNamespace=home)

    without_namespace = shell.refused(document, user="alice")
    shell.cluster.add_namespace(secret_namespace)
    without_source = shell.refused(document, user="alice")
    shell.configmap(secret_namespace)
    without_right = shell.refused(document, user="alice")

    assert without_namespace == without_source == without_right
    assert (
        'spec.configMapName: Forbidden: user "alice" may not get the ConfigMap "cfg" '
        f'in namespace "{secret_namespace}"'
    ) in without_right
    shell.allow("alice", secret_namespace, ("get",))
    wait_until(lambda: shell.apply(document, user="alice")[0] == 0)


def test_a_user_without_write_rights_learns_nothing_of_a_destination(shell: UserShell) -> None:
    home, allowed = shell.namespace(), shell.namespace()
    secret_namespace = f"secret-{shell.tag}"
    shell.may_write_syncs("alice", home)
    shell.allow("alice", home, ("get",))
    shell.allow("alice", allowed, ALL_ON_CONFIGMAPS)
    document = sync(home, destinationNamespaces=[allowed, secret_namespace])

    without_namespace = shell.refused(document, user="alice")
    shell.cluster.add_namespace(secret_namespace)
    without_right = shell.refused(document, user="alice")
    shell.configmap(secret_namespace)

    assert without_namespace == without_right == shell.refused(document, user="alice")
    assert (
        f'may not create, update, delete the ConfigMap "cfg" in namespace "{secret_namespace}"'
        in without_right
    )
    assert f'in namespace "{allowed}"' not in without_right


def test_a_glob_needs_the_right_in_every_namespace(shell: UserShell) -> None:
    home = shell.namespace()
    shell.may_write_syncs("alice", home)
    shell.allow("alice", home, ALL_ON_CONFIGMAPS)
    output = shell.refused(sync(home, destinationNamespaces=[f"{home}-*"]), user="alice")
    assert 'may not create, update, delete the ConfigMap "cfg" in every namespace' in output


def test_the_orphan_policy_needs_no_right_to_delete(shell: UserShell) -> None:
    home, other = shell.namespace(), shell.namespace()
    shell.may_write_syncs("alice", home)
    shell.allow("alice", home, ("get",))
    shell.allow("alice", other, ("create", "update"))
    output = shell.refused(sync(home, destinationNamespace=other), user="alice")
    assert "may not delete the ConfigMap" in output
    shell.accepted(sync(home, destinationNamespace=other, deletionPolicy="Orphan"), user="alice")


def test_the_source_policy_alone_needs_the_right_to_delete_as_well(shell: UserShell) -> None:
    home, other = shell.namespace(), shell.namespace()
    shell.may_write_syncs("alice", home)
    shell.allow("alice", home, ("get",))
    shell.allow("alice", other, ("create", "update"))
    policies = {"deletionPolicy": "Orphan", "sourceDeletionPolicy": "Delete"}
    output = shell.refused(sync(home, destinationNamespace=other, **policies), user="alice")
    assert f'may not delete the ConfigMap "cfg" in namespace "{other}"' in output


def test_a_destination_is_dropped_only_with_the_right_to_remove_its_copy(shell: UserShell) -> None:
    home, web, prod = shell.namespace(), shell.namespace(), shell.namespace()
    shell.may_write_syncs("alice", home)
    for namespace in (home, web):
        shell.allow("alice", namespace, ALL_ON_CONFIGMAPS)
    shell.accepted(sync(home, destinationNamespaces=[prod, web]))

    for narrowed in (
        sync(home, destinationNamespaces=[web]),
        sync(home, destinationNamespaces=[prod, web], excludedNamespaces=[prod]),
    ):
        output = shell.refused(narrowed, user="alice")
        assert (
            f'may not delete the ConfigMap "cfg" in namespace "{prod}", '
            "from which this change removes it"
        ) in output
    released = shell.refused(
        sync(home, destinationNamespaces=[web], deletionPolicy="Orphan"), user="alice"
    )
    assert f'may not update the ConfigMap "cfg" in namespace "{prod}"' in released

    shell.allow("alice", prod, ("delete",))
    wait_until(lambda: shell.apply(sync(home, destinationNamespaces=[web]), user="alice")[0] == 0)


def test_the_rights_of_a_named_service_account_replace_those_of_the_user(shell: UserShell) -> None:
    home, other = shell.namespace(), shell.namespace()
    shell.may_write_syncs("alice", home)
    shell.allow("alice", home, ("create",), resource="pods")
    document = sync(home, destinationNamespace=other, serviceAccountName="robot")
    shell.cluster.kubectl("create", "serviceaccount", "robot", "-n", home)
    output = shell.refused(document, user="alice")
    assert f'service account "{home}/robot" may not get the ConfigMap "cfg"' in output
    assert "alice" not in output.replace("alice.kubeconfig", "")
    shell.allow(f"{home}/robot", home, ("get",))
    shell.allow(f"{home}/robot", other, ALL_ON_CONFIGMAPS)
    wait_until(lambda: shell.apply(document, user="alice")[0] == 0)


@pytest.mark.parametrize(
    ("verb", "resource"),
    [("impersonate", "serviceaccounts"), ("create", "serviceaccounts/token"), ("create", "pods")],
)
def test_a_user_may_name_a_service_account_only_with_the_right_to_impersonate_it(
    shell: UserShell, verb: str, resource: str
) -> None:
    home, other = shell.namespace(), shell.namespace()
    shell.may_write_syncs("alice", home)
    shell.cluster.kubectl("create", "serviceaccount", "robot", "-n", home)
    for namespace in (home, other):
        shell.allow(f"{home}/robot", namespace, ALL_ON_CONFIGMAPS)
    document = sync(home, destinationNamespace=other, serviceAccountName="robot")

    output = shell.refused(document, user="alice")
    assert (
        'spec.serviceAccountName: Forbidden: user "alice" may not act as '
        f'the service account "{home}/robot"'
    ) in output

    shell.allow("alice", home, (verb,), resource=resource)
    wait_until(lambda: shell.apply(document, user="alice")[0] == 0)


def test_a_service_account_that_does_not_exist_has_no_rights(shell: UserShell) -> None:
    home, other = shell.namespace(), shell.namespace()
    for namespace in (home, other):
        shell.allow(f"{home}/robot", namespace, ALL_ON_CONFIGMAPS)
    document = sync(home, destinationNamespace=other, serviceAccountName="robot")
    assert f'service account "{home}/robot" does not exist' in shell.refused(document)
    shell.cluster.kubectl("create", "serviceaccount", "robot", "-n", home)
    shell.accepted(document)


def test_a_user_without_rights_on_hundreds_of_namespaces_costs_few_access_reviews(
    shell: UserShell, webhook: WebhookProcess
) -> None:
    home = shell.namespace()
    shell.may_write_syncs("alice", home)

    def access_reviews() -> float:
        lines = webhook.metric("configmapsync_access_reviews_total").splitlines()
        return sum(float(line.rpartition(" ")[2]) for line in lines)

    before = access_reviews()
    output = shell.refused(
        sync(home, destinationNamespaces=[f"n-{number}" for number in range(512)]), user="alice"
    )
    assert "ended after 8 denials" in output
    assert access_reviews() - before <= 20


# Existence


def test_all_missing_namespaces_are_reported_at_once(shell: UserShell) -> None:
    home, there = shell.namespace(), shell.namespace()
    gone = [f"gone-{shell.tag}-{letter}" for letter in "ab"]
    output = shell.refused(
        sync(home, sourceNamespace=gone[0], destinationNamespaces=[there, gone[1]])
    )
    assert f'* spec.sourceNamespace: Not found: "{gone[0]}"' in output
    assert f'Not found: "{gone[1]}"' in output
    assert f'"{there}"' not in output


def test_namespaces_and_a_sync_in_one_file_are_accepted_every_time(
    shell: UserShell, cluster: Cluster
) -> None:
    for number in range(5):
        home, other = f"new-{shell.tag}-{number}-a", f"new-{shell.tag}-{number}-b"
        cluster.remove_later(home)
        cluster.remove_later(other)
        shell.accepted(
            namespace_document(home),
            namespace_document(other),
            sync(home, destinationNamespaces=[other]),
        )


def test_a_sync_right_behind_its_namespace_is_accepted_a_hundred_times_in_a_row(
    shell: UserShell, cluster: Cluster
) -> None:
    for number in range(100):
        name = f"quick-{shell.tag}-{number}"
        cluster.add_namespace(name)
        document = sync(name, destinationNamespace=name, destinationConfigMapName="copy")
        answer = cluster.request(
            "POST", f"/apis/{API_VERSION}/namespaces/{name}/{PLURAL}", document
        )
        assert answer.status == 201, answer.text


# Self-sync, loops, contested destinations


def test_a_destination_that_is_the_source_is_refused(shell: UserShell) -> None:
    home = shell.namespace()
    output = shell.refused(sync(home, destinationNamespace=home))
    assert "spec.destinationNamespace: Invalid value" in output
    assert "the source itself" in output


def test_a_loop_through_three_syncs_is_refused_and_spelled_out(shell: UserShell) -> None:
    a, b, c = (shell.namespace(letter) for letter in "abc")
    shell.accepted(sync(a, destinationNamespace=b), sync(b, destinationNamespace=c))
    output = shell.refused(sync(c, destinationNamespace=a))
    assert f"would close a loop: {c}/cfg -> {a}/cfg -> {b}/cfg -> {c}/cfg" in output
    shell.accepted(sync(c, destinationNamespace=a, destinationConfigMapName="other"))


def test_a_loop_over_a_glob_and_a_rename_is_found_as_well(shell: UserShell) -> None:
    a, b = shell.namespace(f"x{shell.tag}-a"), shell.namespace(f"x{shell.tag}-b")
    shell.accepted(
        sync(a, destinationNamespaces=[f"x{shell.tag}-b*"], destinationConfigMapName="renamed")
    )
    output = shell.refused(
        sync(
            b,
            configMapName="renamed",
            destinationNamespaceSelector={},
            destinationConfigMapName="cfg",
        )
    )
    assert f"{b}/renamed -> {a}/cfg -> {b}/renamed" in output


def test_three_syncs_that_form_a_loop_in_one_file_are_not_all_accepted(shell: UserShell) -> None:
    a, b, c = (shell.namespace(letter) for letter in "abc")
    code, output = shell.apply(
        sync(a, destinationNamespace=b),
        sync(b, destinationNamespace=c),
        sync(c, destinationNamespace=a),
    )
    assert code != 0, output
    assert "would close a loop" in output


def test_a_taken_destination_is_refused_and_names_the_other_sync_only_to_users_that_may_read_it(
    shell: UserShell,
) -> None:
    first, second, target = shell.namespace(), shell.namespace(), shell.namespace()
    shell.accepted(sync(first, "older", destinationNamespace=target))
    contest = sync(second, destinationNamespace=target)
    assert (
        f'Duplicate value: "{target}/cfg": is already written by ConfigMapSync {first}/older'
        in shell.refused(contest)
    )
    shell.may_write_syncs("alice", second)
    for namespace in (second, target):
        shell.allow("alice", namespace, ALL_ON_CONFIGMAPS)
    output = shell.refused(contest, user="alice")
    assert "is already written by another ConfigMapSync" in output
    assert first not in output
    shell.delete(first, "older")
    wait_until(lambda: shell.apply(contest, user="alice")[0] == 0)


def test_a_tenant_cannot_veto_a_sync_for_all_namespaces_by_claiming_its_name_first(
    shell: UserShell,
) -> None:
    home, tenant = shell.namespace(), shell.namespace("squatted")
    name = f"shared-{shell.tag}"
    shell.accepted(
        sync(
            tenant,
            "squatter",
            suspend=True,
            destinationNamespace=tenant,
            destinationConfigMapName=name,
        )
    )
    everywhere = sync(home, "everywhere", configMapName=name, destinationNamespaces=["*"])

    output = shell.accepted(everywhere)

    assert (
        f"ConfigMap {tenant}/{name} is already written by ConfigMapSync {tenant}/squatter" in output
    )
    output = shell.refused(sync(home, "exact", configMapName=name, destinationNamespace=tenant))
    assert "spec.destinationNamespace: Duplicate value" in output


def test_a_loop_hides_the_steps_that_the_user_may_not_read(shell: UserShell) -> None:
    a, b, c = (shell.namespace(letter) for letter in "abc")
    shell.accepted(sync(a, destinationNamespace=b), sync(b, destinationNamespace=c))
    shell.may_write_syncs("alice", c)
    for namespace in (a, c):
        shell.allow("alice", namespace, ALL_ON_CONFIGMAPS)

    output = shell.refused(sync(c, destinationNamespace=a), user="alice")

    assert (
        f"would close a loop: {c}/cfg -> {a}/cfg -> (a ConfigMap of another sync) -> {c}/cfg"
        in output
    )
    assert f"{b}/cfg" not in output


# Warnings


def test_a_possible_mistake_gives_a_warning_and_is_accepted(shell: UserShell) -> None:
    home, other = shell.namespace(), shell.namespace()
    shell.configmap(other)
    output = shell.accepted(
        sync(home, destinationNamespaces=[other, f"missing-{shell.tag}-*"], suspend=True)
    )
    assert "Warning: spec.suspend" in output
    assert f"ConfigMap {home}/cfg does not exist yet" in output
    assert f'"missing-{shell.tag}-*" matches no namespace now' in output
    assert f"ConfigMap {other}/cfg exists and no sync manages it" in output


def test_a_correct_sync_gives_no_warning(shell: UserShell) -> None:
    home, other = shell.namespace(), shell.namespace()
    shell.configmap(home)
    assert "Warning" not in shell.accepted(sync(home, destinationNamespace=other))


# Writes that are always allowed


def test_a_sync_that_is_no_longer_valid_can_still_be_labelled_and_deleted(shell: UserShell) -> None:
    home, other = shell.namespace(), shell.namespace()
    shell.accepted(sync(home, destinationNamespace=other))
    path = f"/apis/{API_VERSION}/namespaces/{home}/{PLURAL}/sync"
    shell.cluster.patch(path, {"metadata": {"finalizers": [FINALIZER]}})
    shell.cluster.delete(f"/api/v1/namespaces/{other}")
    kubectl = shell.cluster.kubectl
    kubectl("label", "-n", home, "configmapsyncs.apps.nishaf.info/sync", "some=label")
    kubectl("annotate", "-n", home, "configmapsyncs.apps.nishaf.info/sync", "some=annotation")
    kubectl("delete", "-n", home, "configmapsyncs.apps.nishaf.info/sync", "--wait=false")
    assert shell.stored(home, "sync")["metadata"]["deletionTimestamp"]
    shell.cluster.patch(path, {"metadata": {"finalizers": None}})
    wait_until(lambda: shell.stored(home, "sync") is None)


def test_an_edit_of_the_spec_is_checked_again(shell: UserShell) -> None:
    home, other = shell.namespace(), shell.namespace()
    shell.accepted(sync(home, destinationNamespace=other))
    assert "Not found" in shell.refused(sync(home, destinationNamespace=f"gone-{shell.tag}"))
    assert shell.stored(home, "sync")["spec"]["destinationNamespace"] == other


def test_a_dry_run_is_checked_and_has_no_effect(shell: UserShell) -> None:
    home, other = shell.namespace(), shell.namespace()
    dry = {"arguments": ("--dry-run=server",)}
    assert "Not found" in shell.refused(sync(home, destinationNamespace=f"gone-{shell.tag}"), **dry)
    shell.accepted(sync(home, destinationNamespace=other), **dry)
    assert shell.stored(home, "sync") is None
    # This is a loop only if the dry run had an effect.
    shell.accepted(sync(other, destinationNamespace=home))


def test_server_side_apply_is_checked_like_any_other_write(shell: UserShell) -> None:
    home, other = shell.namespace(), shell.namespace()
    server_side = {"arguments": ("--server-side",)}
    assert "Not found" in shell.refused(
        sync(home, destinationNamespace=f"gone-{shell.tag}"), **server_side
    )
    shell.accepted(sync(home, destinationNamespace=other), **server_side)
    document = sync(home, destinationNamespace=other)
    assert "serverside-applied" in shell.accepted(document, **server_side)
    assert shell.stored(home, "sync")["metadata"]["finalizers"] == [FINALIZER]
    difference = shell.cluster.kubectl(
        "diff", "--server-side", "-f", "-", input=json.dumps(document), check=False
    )
    assert (difference.returncode, difference.stdout) == (0, "")
    document["spec"]["suspend"] = True
    shell.accepted(document, **server_side)
    assert shell.stored(home, "sync")["metadata"]["finalizers"] == [FINALIZER]


# The webhook stops, starts, and changes its certificate


def test_certificates_are_rotated_twenty_times_under_load_and_no_admission_fails(
    shell: UserShell, webhook: WebhookProcess
) -> None:
    home, other = shell.namespace(), shell.namespace()
    collection = f"/apis/{API_VERSION}/namespaces/{home}/{PLURAL}?dryRun=All"
    enough = threading.Event()

    def admissions(number: int) -> list[str]:
        failed, document = [], sync(home, f"load-{number}", destinationNamespace=other)
        while not enough.is_set():
            answer = shell.cluster.request("POST", collection, document)
            failed += [answer.text] if answer.status != 201 else []
        return failed

    served = {webhook.metric("configmapsync_certificate_expiry_timestamp_seconds{")}
    with ThreadPoolExecutor(4) as threads:
        load = [threads.submit(admissions, number) for number in range(4)]
        try:
            for number in range(20):
                webhook.rotate("all" if number % 5 == 4 else "certificate")
                wait_until(
                    lambda: (
                        webhook.metric("configmapsync_certificate_expiry_timestamp_seconds{")
                        not in served
                    )
                )
                served.add(webhook.metric("configmapsync_certificate_expiry_timestamp_seconds{"))
        finally:
            enough.set()
        assert [failed for done in load for failed in done.result()] == []
    assert len(served) == 21


def test_with_the_webhook_down_only_writes_of_syncs_are_refused(
    shell: UserShell, webhook: WebhookProcess
) -> None:
    home, other = shell.namespace(), shell.namespace()
    shell.accepted(sync(home, destinationNamespace=other))
    assert webhook.process is not None
    assert webhook.process.terminate() == 0
    try:
        assert "failed calling webhook" in shell.refused(
            sync(home, "late", destinationNamespace=other)
        )
        shell.configmap(home)
        shell.cluster.kubectl(
            "label", "-n", home, "configmapsyncs.apps.nishaf.info/sync", "some=label"
        )
        shell.delete(home, "sync")
    finally:
        webhook.start()
    wait_until(lambda: shell.apply(sync(home, "late", destinationNamespace=other))[0] == 0)


def test_a_webhook_that_is_stopping_answers_requests_in_flight(
    shell: UserShell, webhook: WebhookProcess
) -> None:
    home, other = shell.namespace(), shell.namespace()
    collection = f"/apis/{API_VERSION}/namespaces/{home}/{PLURAL}?dryRun=All"
    with ThreadPoolExecutor(8) as threads:
        documents = [sync(home, f"s-{number}", destinationNamespace=other) for number in range(64)]
        asked = [
            threads.submit(shell.cluster.request, "POST", collection, document)
            for document in documents[:32]
        ]
        assert webhook.process is not None
        ending = threads.submit(webhook.process.terminate)
        answers = [one.result() for one in asked]
        assert ending.result() == 0
    webhook.start()
    refused = [answer.text for answer in answers if answer.status != 201]
    # A refused connection means the webhook had ended; a broken one would be a defect.
    assert all("failed calling webhook" in text for text in refused)


def test_the_crd_still_holds_its_own_rules_without_a_webhook(
    shell: UserShell, webhook: WebhookProcess
) -> None:
    home = shell.namespace()
    webhook.unregister()
    try:
        wait_until(
            lambda: shell.apply(sync(home, destinationNamespace=f"gone-{shell.tag}"))[0] == 0
        )
        assert "is invalid" in shell.refused(sync(home, "bad", destinationNamespace="Not Valid"))
    finally:
        webhook.register()
        webhook.ensure_certificates()


def test_the_webhook_without_a_certificate_is_not_ready_and_logs_why(
    cluster: Cluster, webhook: WebhookProcess, start_process: Callable[..., Process], tmp_path: Any
) -> None:
    process = start_process(
        "webhook",
        *(
            "--kubeconfig",
            kubeconfig_of(cluster, "webhook"),
            "--relaxed-tls",
            "--certificate-dir",
            tmp_path / "nothing",
        ),
        *("--listen", "127.0.0.1:0", "--health-address", "127.0.0.1:0", "--drain-seconds", "0"),
    )
    assert "waiting for tls.crt and tls.key" in process.wait_for_line("certificate not loaded")
    assert process.terminate() == 0
