"""Every rule of admission through `kubectl apply`, with the webhook and the certificate tool as the processes they are."""

import json
import secrets
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from configmapsync.names import API_VERSION, FINALIZER, KIND, PLURAL
from tests.journeys.accounts import kubeconfig_of
from tests.journeys.conftest import install_crd
from tests.journeys.guard import Guard, guarding
from tests.support.cluster import Cluster
from tests.support.eventually import wait_until
from tests.support.processes import Process

# The API server must reach a webhook on this machine, and the configurations are those of an installation.
pytestmark = pytest.mark.only_on("devcluster", "real")

RBAC = "/apis/rbac.authorization.k8s.io/v1"
ALL_ON_CONFIGMAPS = ("get", "create", "update", "delete")


@pytest.fixture(scope="module")
def guard(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guard]:
    """One webhook for all tests of this module that do not break it."""
    install_crd(cluster)
    with guarding(cluster, tmp_path_factory.mktemp("guard")) as guard:
        yield guard


class Desk:
    """Where a user sits: applies syncs with kubectl and reads what it prints."""

    def __init__(self, cluster: Cluster, new_namespace: Callable[..., str]) -> None:
        self.cluster = cluster
        self.namespace = new_namespace
        self.tag = secrets.token_hex(4)

    def apply(
        self, *documents: dict[str, Any], user: str = "admin", arguments: tuple[str, ...] = ()
    ) -> tuple[int, str]:
        """Apply documents in one go; returns the exit code and all that kubectl printed."""
        kubectl = self.cluster.kubectl if user == "admin" else self.cluster.kubectl_as(user)
        text = json.dumps({"apiVersion": "v1", "kind": "List", "items": list(documents)})
        done = kubectl("apply", *arguments, "-f", "-", input=text, check=False)
        return done.returncode, done.stdout + done.stderr

    def accepted(self, *documents: dict[str, Any], **how: Any) -> str:
        """Apply what must be accepted; returns what kubectl printed."""
        code, output = self.apply(*documents, **how)
        assert code == 0, output
        return output

    def refused(self, *documents: dict[str, Any], **how: Any) -> str:
        """Apply what must be refused; returns what kubectl printed."""
        code, output = self.apply(*documents, **how)
        assert code != 0, output
        return output

    def stored(self, namespace: str, name: str) -> dict[str, Any] | None:
        """The sync as the cluster has it."""
        return self.cluster.find(f"/apis/{API_VERSION}/namespaces/{namespace}/{PLURAL}/{name}")

    def configmap(self, namespace: str, name: str = "cfg") -> None:
        """Create a ConfigMap."""
        document = {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": name},
            "data": {"a": "b"},
        }
        self.cluster.create(f"/api/v1/namespaces/{namespace}/configmaps", document)

    def allow(
        self,
        user: str,
        namespace: str,
        verbs: tuple[str, ...],
        group: str = "",
        resource: str = "configmaps",
    ) -> None:
        """Give a user (or `namespace/name`, a service account) rights in one namespace."""
        name = f"role-{secrets.token_hex(4)}"
        rules = [{"apiGroups": [group], "resources": [resource], "verbs": list(verbs)}]
        role = {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "Role",
            "metadata": {"name": name},
            "rules": rules,
        }
        self.cluster.create(f"{RBAC}/namespaces/{namespace}/roles", role)
        account_namespace, slash, account = user.partition("/")
        subject = (
            {"kind": "ServiceAccount", "namespace": account_namespace, "name": account}
            if slash
            else {"kind": "User", "name": user, "apiGroup": "rbac.authorization.k8s.io"}
        )
        binding = {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "RoleBinding",
            "metadata": {"name": name},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": name},
            "subjects": [subject],
        }
        self.cluster.create(f"{RBAC}/namespaces/{namespace}/rolebindings", binding)

    def may_write_syncs(self, user: str, namespace: str) -> None:
        """Let a user write and read syncs there, as the author of one must."""
        self.allow(
            user,
            namespace,
            ("get", "create", "update", "patch", "delete"),
            "apps.nishaf.info",
            PLURAL,
        )


@pytest.fixture
def desk(cluster: Cluster, guard: Guard, new_namespace: Callable[..., str]) -> Desk:
    return Desk(cluster, new_namespace)


def sync(namespace: str, name: str = "sync", **spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": API_VERSION,
        "kind": KIND,
        "metadata": {"namespace": namespace, "name": name},
        "spec": {"configMapName": "cfg", **spec},
    }


def namespace_document(name: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}


# --- defaults and shape


def test_what_is_unset_is_filled_in_and_applying_again_changes_nothing(desk: Desk) -> None:
    home, other = desk.namespace(), desk.namespace()
    document = sync(home, destinationNamespaces=[other, other])
    desk.accepted(document)
    stored = desk.stored(home, "sync")
    assert stored["spec"] == {
        "configMapName": "cfg",
        "destinationNamespaces": [other, other],
        "conflictPolicy": "Fail",
        "deletionPolicy": "Delete",
        "sourceDeletionPolicy": "Retain",
    } | {key: stored["spec"][key] for key in stored["spec"] if key == "suspend"}
    desk.accepted(document)
    assert desk.stored(home, "sync")["metadata"]["generation"] == 1


def test_a_diff_after_an_apply_is_empty_and_a_rename_of_the_source_renames_the_copies(
    desk: Desk,
) -> None:
    home, there = desk.namespace(), desk.namespace()
    keys = [{"key": "z"}, {"key": "a"}, {"key": "z"}]
    document = sync(
        home,
        destinationNamespaces=["x-*", there, "a-*"],
        excludedNamespaces=["z", "b", "z"],
        keys=keys,
    )
    desk.accepted(document)

    assert (
        desk.cluster.kubectl("diff", "-f", "-", input=json.dumps(document), check=False).returncode
        == 0
    )
    document["spec"]["configMapName"] = "cfg-7f9k"
    desk.accepted(document)

    stored = desk.stored(home, "sync")
    assert stored is not None
    assert stored["spec"].items() >= document["spec"].items()
    assert "destinationConfigMapName" not in stored["spec"]


def test_no_tool_considers_a_sync_done_while_no_reconciler_runs(desk: Desk) -> None:
    """Helm and kstatus compare the observed generation with the generation; without one, any resource counts as done."""
    home, there = desk.namespace(), desk.namespace()
    desk.accepted(sync(home, destinationNamespace=there))

    stored = desk.stored(home, "sync")

    assert stored is not None
    assert stored["status"] == {"observedGeneration": -1}
    assert stored["metadata"]["generation"] == 1


def test_a_selection_of_keys_that_matches_nothing_gives_a_warning(desk: Desk) -> None:
    home, there = desk.namespace(), desk.namespace()
    desk.configmap(home)
    document = sync(
        home, destinationNamespace=there, keys=[{"key": "a"}, {"key": "*.yml"}, {"key": "b"}]
    )

    output = desk.accepted(document)

    assert 'spec.keys[1] "*.yml" matches no key of the source' in output
    assert 'spec.keys[2] "b" matches no key of the source' in output
    assert "spec.keys[0]" not in output


def test_an_absurd_number_of_errors_gives_a_short_answer(desk: Desk) -> None:
    home = desk.namespace()
    labels = {f"k{number}": "not a value" for number in range(60)}

    output = desk.refused(sync(home, destinationNamespace=home, metadata={"labels": labels}))

    assert "and 40 more" in output
    assert output.count("a valid label must be") == 20


def test_all_errors_of_an_object_are_reported_at_once_in_the_format_of_kubernetes(
    desk: Desk,
) -> None:
    home = desk.namespace()
    output = desk.refused(
        sync(
            home,
            destinationNamespace=desk.namespace(),
            metadata={"labels": {"no good": "x", "fine": "no good"}},
            copyMetadata={"annotations": ["a b"]},
        )
    )
    assert 'The ConfigMapSync "sync" is invalid:' in output
    assert "* spec.metadata.labels[no good]: Invalid value:" in output
    assert "* spec.metadata.labels[fine]: Invalid value:" in output
    assert "* spec.copyMetadata.annotations[0]: Invalid value:" in output


def test_a_configmap_that_the_cluster_writes_is_never_a_destination(desk: Desk) -> None:
    document = sync(
        desk.namespace(),
        destinationNamespace=desk.namespace(),
        destinationConfigMapName="kube-root-ca.crt",
    )
    assert "is written into every namespace by the cluster itself" in desk.refused(document)


def test_a_destination_is_required(desk: Desk) -> None:
    assert "at least one" in desk.refused(sync(desk.namespace()))


# --- permission


def test_a_user_without_read_rights_learns_nothing_of_the_source(desk: Desk) -> None:
    home = desk.namespace()
    secret_place = f"secret-{desk.tag}"
    desk.may_write_syncs("alice", home)
    desk.allow("alice", home, ALL_ON_CONFIGMAPS)
    document = sync(home, sourceNamespace=secret_place, destinationNamespace=home)

    without_namespace = desk.refused(document, user="alice")
    desk.cluster.add_namespace(secret_place)
    without_source = desk.refused(document, user="alice")
    desk.configmap(secret_place)
    without_right = desk.refused(document, user="alice")

    assert without_namespace == without_source == without_right
    assert (
        f'spec.configMapName: Forbidden: user "alice" may not get the ConfigMap "cfg" in namespace "{secret_place}"'
        in (without_right)
    )
    desk.allow("alice", secret_place, ("get",))
    wait_until(lambda: desk.apply(document, user="alice")[0] == 0)


def test_a_user_without_write_rights_learns_nothing_of_a_destination(desk: Desk) -> None:
    home, allowed = desk.namespace(), desk.namespace()
    secret_place = f"secret-{desk.tag}"
    desk.may_write_syncs("alice", home)
    desk.allow("alice", home, ("get",))
    desk.allow("alice", allowed, ALL_ON_CONFIGMAPS)
    document = sync(home, destinationNamespaces=[allowed, secret_place])

    without_namespace = desk.refused(document, user="alice")
    desk.cluster.add_namespace(secret_place)
    without_right = desk.refused(document, user="alice")
    desk.configmap(secret_place)

    assert without_namespace == without_right == desk.refused(document, user="alice")
    assert (
        f'may not create, update, delete the ConfigMap "cfg" in namespace "{secret_place}"'
        in without_right
    )
    assert f'in namespace "{allowed}"' not in without_right


def test_a_glob_needs_the_right_in_every_namespace(desk: Desk) -> None:
    home = desk.namespace()
    desk.may_write_syncs("alice", home)
    desk.allow("alice", home, ALL_ON_CONFIGMAPS)
    output = desk.refused(sync(home, destinationNamespaces=[f"{home}-*"]), user="alice")
    assert 'may not create, update, delete the ConfigMap "cfg" in every namespace' in output


def test_the_orphan_policy_needs_no_right_to_delete(desk: Desk) -> None:
    home, other = desk.namespace(), desk.namespace()
    desk.may_write_syncs("alice", home)
    desk.allow("alice", home, ("get",))
    desk.allow("alice", other, ("create", "update"))
    output = desk.refused(sync(home, destinationNamespace=other), user="alice")
    assert "may not delete the ConfigMap" in output
    desk.accepted(sync(home, destinationNamespace=other, deletionPolicy="Orphan"), user="alice")


def test_the_source_policy_alone_needs_the_right_to_delete_as_well(desk: Desk) -> None:
    home, other = desk.namespace(), desk.namespace()
    desk.may_write_syncs("alice", home)
    desk.allow("alice", home, ("get",))
    desk.allow("alice", other, ("create", "update"))
    policies = {"deletionPolicy": "Orphan", "sourceDeletionPolicy": "Delete"}
    output = desk.refused(sync(home, destinationNamespace=other, **policies), user="alice")
    assert f'may not delete the ConfigMap "cfg" in namespace "{other}"' in output


def test_a_destination_is_dropped_only_with_the_right_to_remove_its_copy(desk: Desk) -> None:
    home, web, prod = desk.namespace(), desk.namespace(), desk.namespace()
    desk.may_write_syncs("alice", home)
    for namespace in (home, web):
        desk.allow("alice", namespace, ALL_ON_CONFIGMAPS)
    desk.accepted(sync(home, destinationNamespaces=[prod, web]))

    for narrowed in (
        sync(home, destinationNamespaces=[web]),
        sync(home, destinationNamespaces=[prod, web], excludedNamespaces=[prod]),
    ):
        output = desk.refused(narrowed, user="alice")
        assert (
            f'may not delete the ConfigMap "cfg" in namespace "{prod}", from which this change removes it'
            in output
        )
    released = desk.refused(
        sync(home, destinationNamespaces=[web], deletionPolicy="Orphan"), user="alice"
    )
    assert f'may not update the ConfigMap "cfg" in namespace "{prod}"' in released

    desk.allow("alice", prod, ("delete",))
    wait_until(lambda: desk.apply(sync(home, destinationNamespaces=[web]), user="alice")[0] == 0)


def test_the_rights_of_a_named_service_account_replace_those_of_the_user(desk: Desk) -> None:
    home, other = desk.namespace(), desk.namespace()
    desk.may_write_syncs("alice", home)
    desk.allow("alice", home, ("create",), resource="pods")
    document = sync(home, destinationNamespace=other, serviceAccountName="robot")
    desk.cluster.kubectl("create", "serviceaccount", "robot", "-n", home)
    output = desk.refused(document, user="alice")
    assert f'service account "{home}/robot" may not get the ConfigMap "cfg"' in output
    assert "alice" not in output.replace("alice.kubeconfig", "")
    desk.allow(f"{home}/robot", home, ("get",))
    desk.allow(f"{home}/robot", other, ALL_ON_CONFIGMAPS)
    wait_until(lambda: desk.apply(document, user="alice")[0] == 0)


@pytest.mark.parametrize(
    ("verb", "resource"),
    [("impersonate", "serviceaccounts"), ("create", "serviceaccounts/token"), ("create", "pods")],
)
def test_a_service_account_is_named_only_by_a_user_who_may_act_as_it(
    desk: Desk, verb: str, resource: str
) -> None:
    home, other = desk.namespace(), desk.namespace()
    desk.may_write_syncs("alice", home)
    desk.cluster.kubectl("create", "serviceaccount", "robot", "-n", home)
    for namespace in (home, other):
        desk.allow(f"{home}/robot", namespace, ALL_ON_CONFIGMAPS)
    document = sync(home, destinationNamespace=other, serviceAccountName="robot")

    output = desk.refused(document, user="alice")
    assert (
        f'spec.serviceAccountName: Forbidden: user "alice" may not act as the service account "{home}/robot"'
        in output
    )

    desk.allow("alice", home, (verb,), resource=resource)
    wait_until(lambda: desk.apply(document, user="alice")[0] == 0)


def test_a_service_account_that_does_not_exist_has_no_rights(desk: Desk) -> None:
    home, other = desk.namespace(), desk.namespace()
    for namespace in (home, other):
        desk.allow(f"{home}/robot", namespace, ALL_ON_CONFIGMAPS)
    document = sync(home, destinationNamespace=other, serviceAccountName="robot")
    assert f'service account "{home}/robot" does not exist' in desk.refused(document)
    desk.cluster.kubectl("create", "serviceaccount", "robot", "-n", home)
    desk.accepted(document)


def test_a_user_without_rights_who_names_hundreds_of_namespaces_costs_few_access_reviews(
    desk: Desk, guard: Guard
) -> None:
    home = desk.namespace()
    desk.may_write_syncs("alice", home)

    def access_reviews() -> float:
        lines = guard.metric("configmapsync_access_reviews_total").splitlines()
        return sum(float(line.rpartition(" ")[2]) for line in lines)

    before = access_reviews()
    output = desk.refused(
        sync(home, destinationNamespaces=[f"n-{number}" for number in range(512)]), user="alice"
    )
    assert "ended after 8 refusals" in output
    assert access_reviews() - before <= 20


# --- existence


def test_all_missing_namespaces_are_reported_at_once(desk: Desk) -> None:
    home, there = desk.namespace(), desk.namespace()
    gone = [f"gone-{desk.tag}-{letter}" for letter in "ab"]
    output = desk.refused(
        sync(home, sourceNamespace=gone[0], destinationNamespaces=[there, gone[1]])
    )
    assert f'* spec.sourceNamespace: Not found: "{gone[0]}"' in output
    assert f'Not found: "{gone[1]}"' in output
    assert f'"{there}"' not in output


def test_namespaces_and_a_sync_in_one_file_are_accepted_every_time(desk: Desk) -> None:
    for number in range(5):
        home, other = f"new-{desk.tag}-{number}-a", f"new-{desk.tag}-{number}-b"
        desk.accepted(
            namespace_document(home),
            namespace_document(other),
            sync(home, destinationNamespaces=[other]),
        )


def test_a_sync_right_behind_its_namespace_is_accepted_a_hundred_times_in_a_row(
    desk: Desk, cluster: Cluster
) -> None:
    for number in range(100):
        name = f"quick-{desk.tag}-{number}"
        cluster.add_namespace(name)
        document = sync(name, destinationNamespace=name, destinationConfigMapName="copy")
        answer = cluster.request(
            "POST", f"/apis/{API_VERSION}/namespaces/{name}/{PLURAL}", document
        )
        assert answer.status == 201, answer.text


# --- self-sync, loops, contests


def test_a_destination_that_is_the_source_is_refused(desk: Desk) -> None:
    home = desk.namespace()
    output = desk.refused(sync(home, destinationNamespace=home))
    assert "spec.destinationNamespace: Invalid value" in output
    assert "the source itself" in output


def test_a_loop_through_three_syncs_is_refused_and_spelled_out(desk: Desk) -> None:
    a, b, c = (desk.namespace(letter) for letter in "abc")
    desk.accepted(sync(a, destinationNamespace=b), sync(b, destinationNamespace=c))
    output = desk.refused(sync(c, destinationNamespace=a))
    assert f"would close a loop: {c}/cfg -> {a}/cfg -> {b}/cfg -> {c}/cfg" in output
    desk.accepted(sync(c, destinationNamespace=a, destinationConfigMapName="other"))


def test_a_loop_over_a_glob_and_a_rename_is_found_as_well(desk: Desk) -> None:
    a, b = desk.namespace(f"x{desk.tag}-a"), desk.namespace(f"x{desk.tag}-b")
    desk.accepted(
        sync(a, destinationNamespaces=[f"x{desk.tag}-b*"], destinationConfigMapName="renamed")
    )
    output = desk.refused(
        sync(
            b,
            configMapName="renamed",
            destinationNamespaceSelector={},
            destinationConfigMapName="cfg",
        )
    )
    assert f"{b}/renamed -> {a}/cfg -> {b}/renamed" in output


def test_three_syncs_that_form_a_loop_in_one_file_are_not_all_accepted(desk: Desk) -> None:
    a, b, c = (desk.namespace(letter) for letter in "abc")
    code, output = desk.apply(
        sync(a, destinationNamespace=b),
        sync(b, destinationNamespace=c),
        sync(c, destinationNamespace=a),
    )
    assert code != 0, output
    assert "would close a loop" in output


def test_a_taken_destination_is_refused_and_names_the_other_sync_only_to_users_that_may_read_it(
    desk: Desk,
) -> None:
    first, second, target = desk.namespace(), desk.namespace(), desk.namespace()
    desk.accepted(sync(first, "older", destinationNamespace=target))
    contest = sync(second, destinationNamespace=target)
    assert (
        f'Duplicate value: "{target}/cfg": is already written by ConfigMapSync {first}/older'
        in desk.refused(contest)
    )
    desk.may_write_syncs("alice", second)
    for namespace in (second, target):
        desk.allow("alice", namespace, ALL_ON_CONFIGMAPS)
    told = desk.refused(contest, user="alice")
    assert "is already written by another ConfigMapSync" in told
    assert first not in told
    desk.cluster.kubectl("delete", "-n", first, "configmapsyncs.apps.nishaf.info/older")
    wait_until(lambda: desk.apply(contest, user="alice")[0] == 0)


def test_a_tenant_cannot_veto_a_sync_for_all_namespaces_by_claiming_its_name_first(
    desk: Desk,
) -> None:
    home, tenant = desk.namespace(), desk.namespace("squatted")
    name = f"shared-{desk.tag}"
    desk.accepted(
        sync(
            tenant,
            "squatter",
            suspend=True,
            destinationNamespace=tenant,
            destinationConfigMapName=name,
        )
    )
    everywhere = sync(home, "everywhere", configMapName=name, destinationNamespaces=["*"])

    output = desk.accepted(everywhere)

    assert (
        f"ConfigMap {tenant}/{name} is already written by ConfigMapSync {tenant}/squatter" in output
    )
    output = desk.refused(sync(home, "exact", configMapName=name, destinationNamespace=tenant))
    assert "spec.destinationNamespace: Duplicate value" in output


def test_a_loop_hides_the_steps_that_the_user_may_not_read(desk: Desk) -> None:
    a, b, c = (desk.namespace(letter) for letter in "abc")
    desk.accepted(sync(a, destinationNamespace=b), sync(b, destinationNamespace=c))
    desk.may_write_syncs("alice", c)
    for namespace in (a, c):
        desk.allow("alice", namespace, ALL_ON_CONFIGMAPS)

    output = desk.refused(sync(c, destinationNamespace=a), user="alice")

    assert (
        f"would close a loop: {c}/cfg -> {a}/cfg -> (a ConfigMap of another sync) -> {c}/cfg"
        in output
    )
    assert f"{b}/cfg" not in output


# --- warnings


def test_a_possible_mistake_gives_a_warning_and_is_accepted(desk: Desk) -> None:
    home, other = desk.namespace(), desk.namespace()
    desk.configmap(other)
    output = desk.accepted(
        sync(home, destinationNamespaces=[other, f"nobody-{desk.tag}-*"], suspend=True)
    )
    assert "Warning: spec.suspend" in output
    assert f"ConfigMap {home}/cfg does not exist yet" in output
    assert f'"nobody-{desk.tag}-*" matches no namespace now' in output
    assert f"ConfigMap {other}/cfg exists and no sync manages it" in output


def test_a_correct_sync_gives_no_warning(desk: Desk) -> None:
    home, other = desk.namespace(), desk.namespace()
    desk.configmap(home)
    assert "Warning" not in desk.accepted(sync(home, destinationNamespace=other))


# --- what is always allowed


def test_a_sync_that_is_no_longer_valid_can_still_be_labelled_and_deleted(desk: Desk) -> None:
    home, other = desk.namespace(), desk.namespace()
    desk.accepted(sync(home, destinationNamespace=other))
    path = f"/apis/{API_VERSION}/namespaces/{home}/{PLURAL}/sync"
    desk.cluster.patch(path, {"metadata": {"finalizers": [FINALIZER]}})
    desk.cluster.delete(f"/api/v1/namespaces/{other}")
    kubectl = desk.cluster.kubectl
    kubectl("label", "-n", home, "configmapsyncs.apps.nishaf.info/sync", "some=label")
    kubectl("annotate", "-n", home, "configmapsyncs.apps.nishaf.info/sync", "some=annotation")
    kubectl("delete", "-n", home, "configmapsyncs.apps.nishaf.info/sync", "--wait=false")
    assert desk.stored(home, "sync")["metadata"]["deletionTimestamp"]
    desk.cluster.patch(path, {"metadata": {"finalizers": None}})
    wait_until(lambda: desk.stored(home, "sync") is None)


def test_an_edit_of_the_spec_is_checked_again(desk: Desk) -> None:
    home, other = desk.namespace(), desk.namespace()
    desk.accepted(sync(home, destinationNamespace=other))
    assert "Not found" in desk.refused(sync(home, destinationNamespace=f"gone-{desk.tag}"))
    assert desk.stored(home, "sync")["spec"]["destinationNamespace"] == other


def test_a_dry_run_is_checked_and_has_no_effect(desk: Desk) -> None:
    home, other = desk.namespace(), desk.namespace()
    dry = {"arguments": ("--dry-run=server",)}
    assert "Not found" in desk.refused(sync(home, destinationNamespace=f"gone-{desk.tag}"), **dry)
    desk.accepted(sync(home, destinationNamespace=other), **dry)
    assert desk.stored(home, "sync") is None
    desk.accepted(
        sync(other, destinationNamespace=home)
    )  # a loop only if the dry run had left something behind


def test_server_side_apply_is_checked_like_any_other_write(desk: Desk) -> None:
    home, other = desk.namespace(), desk.namespace()
    server_side = {"arguments": ("--server-side",)}
    assert "Not found" in desk.refused(
        sync(home, destinationNamespace=f"gone-{desk.tag}"), **server_side
    )
    desk.accepted(sync(home, destinationNamespace=other), **server_side)
    assert "serverside-applied" in desk.accepted(
        sync(home, destinationNamespace=other), **server_side
    )


# --- the webhook comes, goes, and changes its certificate


def test_certificates_are_rotated_twenty_times_under_load_and_no_admission_fails(
    desk: Desk, guard: Guard
) -> None:
    home, other = desk.namespace(), desk.namespace()
    collection = f"/apis/{API_VERSION}/namespaces/{home}/{PLURAL}?dryRun=All"
    enough = threading.Event()

    def admissions(number: int) -> list[str]:
        failed, document = [], sync(home, f"load-{number}", destinationNamespace=other)
        while not enough.is_set():
            answer = desk.cluster.request("POST", collection, document)
            failed += [answer.text] if answer.status != 201 else []
        return failed

    served = {guard.metric("configmapsync_certificate_expiry_timestamp_seconds{")}
    with ThreadPoolExecutor(4) as threads:
        load = [threads.submit(admissions, number) for number in range(4)]
        try:
            for number in range(20):
                guard.rotate("all" if number % 5 == 4 else "certificate")
                wait_until(
                    lambda: (
                        guard.metric("configmapsync_certificate_expiry_timestamp_seconds{")
                        not in served
                    )
                )
                served.add(guard.metric("configmapsync_certificate_expiry_timestamp_seconds{"))
        finally:
            enough.set()
        assert [failed for done in load for failed in done.result()] == []
    assert len(served) == 21


def test_with_the_webhook_down_only_writes_of_syncs_are_refused(desk: Desk, guard: Guard) -> None:
    home, other = desk.namespace(), desk.namespace()
    desk.accepted(sync(home, destinationNamespace=other))
    assert guard.process is not None
    assert guard.process.terminate() == 0
    try:
        assert "failed calling webhook" in desk.refused(
            sync(home, "late", destinationNamespace=other)
        )
        desk.configmap(home)
        desk.cluster.kubectl(
            "label", "-n", home, "configmapsyncs.apps.nishaf.info/sync", "some=label"
        )
        desk.cluster.kubectl("delete", "-n", home, "configmapsyncs.apps.nishaf.info/sync")
    finally:
        guard.start()
    wait_until(lambda: desk.apply(sync(home, "late", destinationNamespace=other))[0] == 0)


def test_a_webhook_that_is_stopping_answers_requests_in_flight(desk: Desk, guard: Guard) -> None:
    home, other = desk.namespace(), desk.namespace()
    collection = f"/apis/{API_VERSION}/namespaces/{home}/{PLURAL}?dryRun=All"
    with ThreadPoolExecutor(8) as threads:
        documents = [sync(home, f"s-{number}", destinationNamespace=other) for number in range(64)]
        asked = [
            threads.submit(desk.cluster.request, "POST", collection, document)
            for document in documents[:32]
        ]
        assert guard.process is not None
        ending = threads.submit(guard.process.terminate)
        answers = [one.result() for one in asked]
        assert ending.result() == 0
    guard.start()
    refused = [answer.text for answer in answers if answer.status != 201]
    assert all(
        "failed calling webhook" in text for text in refused
    )  # the API server came after the end, and was not hung up on


def test_the_crd_still_holds_its_own_rules_without_a_webhook(desk: Desk, guard: Guard) -> None:
    home = desk.namespace()
    guard.unregister()
    try:
        wait_until(lambda: desk.apply(sync(home, destinationNamespace=f"gone-{desk.tag}"))[0] == 0)
        assert "is invalid" in desk.refused(sync(home, "bad", destinationNamespace="Not Valid"))
    finally:
        guard.register()
        guard.ensure_certificates()


def test_it_is_not_ready_without_a_certificate_and_says_so(
    cluster: Cluster, guard: Guard, start_process: Callable[..., Process], tmp_path: Any
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
