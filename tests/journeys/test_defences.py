"""The reconciler refuses what the webhook would refuse, if it arrives another way."""

from collections.abc import Callable
from itertools import pairwise

from tests.journeys.stage import Stage, content_of
from tests.support.eventually import wait_until
from tests.support.processes import Process


def test_the_older_of_two_syncs_wins_a_destination_and_the_other_follows_its_deletion(
    stage: Stage, reconciler: Process
) -> None:
    first, second, there = stage.namespace(), stage.namespace(), stage.namespace()
    older_content = stage.source(first, data={"from": "older"})
    younger_content = stage.source(second, data={"from": "younger"})
    older = stage.sync(first, destinationNamespace=there)
    stage.ready_becomes(older, "True", "Synced")
    younger = stage.younger_sync(older, second, destinationNamespace=there)

    ready = stage.ready_becomes(younger, "False", "DestinationContested")
    assert older.rpartition("/")[2] in ready["message"]
    stage.copy_becomes(older_content, there)
    stage.cluster.delete(older)

    stage.copy_becomes(younger_content, there)
    stage.ready_becomes(younger, "True", "Synced")


def test_an_older_sync_regains_a_destination_without_a_gap(
    stage: Stage, reconciler: Process
) -> None:
    first, second, there = stage.namespace(), stage.namespace(), stage.namespace()
    older_content = stage.source(first, data={"from": "older"})
    stage.source(second, data={"from": "younger"})
    older = stage.sync(first, destinationNamespaceSelector={"matchLabels": {"later": stage.tag}})
    stage.ready_becomes(older, "True", "Synced")
    younger = stage.younger_sync(older, second, destinationNamespace=there)
    uid = stage.copy_becomes({"data": {"from": "younger"}}, there)["metadata"]["uid"]

    stage.cluster.patch(
        f"/api/v1/namespaces/{there}", {"metadata": {"labels": {"later": stage.tag}}}
    )

    assert stage.copy_becomes(older_content, there)["metadata"]["uid"] == uid
    stage.ready_becomes(younger, "False", "DestinationContested")
    stage.ready_becomes(older, "True", "Synced")


def test_an_older_sync_regains_an_immutable_copy_as_well(stage: Stage, reconciler: Process) -> None:
    first, second, there = stage.namespace(), stage.namespace(), stage.namespace()
    older_content = stage.source(first, data={"from": "older"})
    younger_content = stage.source(second, data={"from": "younger"}, immutable=True)
    older = stage.sync(first, destinationNamespaceSelector={"matchLabels": {"later": stage.tag}})
    stage.ready_becomes(older, "True", "Synced")
    younger = stage.younger_sync(older, second, destinationNamespace=there)
    stage.copy_becomes(younger_content, there)

    stage.cluster.patch(
        f"/api/v1/namespaces/{there}", {"metadata": {"labels": {"later": stage.tag}}}
    )

    stage.copy_becomes(older_content, there)
    stage.ready_becomes(younger, "False", "DestinationContested")
    stage.ready_becomes(older, "True", "Synced")


def test_a_loop_is_cut_at_its_youngest_sync_and_heals(stage: Stage, reconciler: Process) -> None:
    spaces = [stage.namespace() for _ in range(3)]
    stage.source(spaces[0], data={"round": "0"})
    first = stage.sync(spaces[0], destinationNamespace=spaces[1])
    second = stage.sync(spaces[1], destinationNamespace=spaces[2])
    stage.ready_becomes(first, "True", "Synced")
    stage.ready_becomes(second, "True", "Synced")
    closing = stage.younger_sync(second, spaces[2], destinationNamespaces=[spaces[0]])

    ready = stage.ready_becomes(closing, "False", "LoopDetected")
    source, back = f"{spaces[2]}/config", f"{spaces[0]}/config"
    assert (
        f"would close a loop: {source} -> {back} -> (a ConfigMap of another sync) -> {source}"
        in ready["message"]
    )
    content = stage.edit(spaces[0], "config", data={"round": "1"})
    stage.copy_becomes(content, spaces[2])
    assert "managed-by" not in str((stage.find(spaces[0]) or {})["metadata"].get("labels"))
    stage.cluster.delete(first)

    # The loop is gone, but an unmanaged ConfigMap stands in the way.
    stage.ready_becomes(closing, "False", "DestinationConflict")
    wait_until(lambda: content_of(stage.find(spaces[0]) or {}) == content)


def test_a_chain_carries_an_edit_to_its_end(stage: Stage, reconciler: Process) -> None:
    spaces = [stage.namespace() for _ in range(4)]
    stage.source(spaces[0], data={"n": "1"})
    for before, after in pairwise(spaces):
        stage.sync(before, destinationNamespace=after)
    stage.copy_becomes({"data": {"n": "1"}}, spaces[3])

    content = stage.edit(spaces[0], "config", data={"n": "2"})

    stage.copy_becomes(content, spaces[3])


def test_a_source_among_its_own_destinations_is_left_alone(
    stage: Stage, reconciler: Process
) -> None:
    home, there = stage.namespace("own"), stage.namespace("own")
    content = stage.source(home)
    sync = stage.sync(home, destinationNamespaces=[f"{home[:3]}-*"], excludedNamespaces=["zzz"])

    stage.copy_becomes(content, there)

    stage.ready_becomes(sync, "True", "Synced")
    assert "labels" not in (stage.find(home) or {})["metadata"]


def test_protected_namespaces_are_reached_by_exact_name_only(
    stage: Stage, reconciler: Process
) -> None:
    home = stage.namespace()
    content = stage.source(home, f"cm-{stage.tag}")
    reaching = stage.sync(
        home, configMapName=f"cm-{stage.tag}", destinationNamespaces=["kube-p*", "kube-node-lease"]
    )

    stage.copy_becomes(content, "kube-node-lease", f"cm-{stage.tag}")

    stage.ready_becomes(reaching, "True", "Synced")
    assert stage.find("kube-public", f"cm-{stage.tag}") is None
    stage.cluster.delete(reaching)
    stage.copy_goes("kube-node-lease", f"cm-{stage.tag}")


def test_a_copy_whose_sync_was_made_again_is_taken_back(
    stage: Stage, start_reconciler: Callable[..., Process]
) -> None:
    home, there = stage.namespace(), stage.namespace()
    content = stage.source(home)
    sync = stage.sync(home, "again", destinationNamespace=there)
    first = start_reconciler()
    uid = stage.copy_becomes(content, there)["metadata"]["uid"]
    first.kill()
    stage.cluster.patch(sync, {"metadata": {"finalizers": None}})
    stage.cluster.delete(sync)
    made_again = stage.sync(home, "again", destinationNamespace=there)

    start_reconciler()

    stage.ready_becomes(made_again, "True", "Synced")
    copy = stage.copy_becomes(content, there)
    assert copy["metadata"]["uid"] == uid
    assert (
        copy["metadata"]["labels"]["apps.nishaf.info/sync-uid"]
        == stage.cluster.get(made_again)["metadata"]["uid"]
    )


def test_forged_marks_never_lead_to_a_delete(stage: Stage, reconciler: Process) -> None:
    home, there, elsewhere = stage.namespace(), stage.namespace(), stage.namespace()
    content = stage.source(home)
    sync = stage.sync(home, destinationNamespace=there)
    copy = stage.copy_becomes(content, there)
    labels = {
        **copy["metadata"]["labels"],
        "apps.nishaf.info/sync-uid": "00000000-0000-0000-0000-000000000000",
    }
    forged = stage.put_configmap(elsewhere, "config", labels, data={"theirs": "1"})

    stage.edit(home, "config", data={"key": "newer"})
    stage.copy_becomes({"data": {"key": "newer"}}, there)
    stage.cluster.delete(sync)
    stage.copy_goes(there)

    assert stage.find(elsewhere) == forged


def test_a_sync_that_is_refused_for_a_loop_claims_no_destination(
    stage: Stage, reconciler: Process
) -> None:
    front, back, third = stage.namespace(), stage.namespace(), stage.namespace()
    stage.source(back, data={"from": "back"})
    content = stage.source(third, data={"from": "third"})
    oldest = stage.sync(back, destinationNamespace=front)
    stage.copy_becomes({"data": {"from": "back"}}, front)
    cut = stage.younger_sync(
        oldest, front, destinationNamespace=back, destinationConfigMapName="config"
    )
    stage.ready_becomes(cut, "False", "LoopDetected")
    youngest = stage.younger_sync(cut, third, destinationNamespace=back)

    # The destination conflicts with the source there, no longer with a sync.
    stage.ready_becomes(youngest, "False", "DestinationConflict")
    stage.edit_sync(youngest, conflictPolicy="Adopt")

    stage.copy_becomes(content, back)
    stage.copy_becomes(content, front)
    stage.ready_becomes(youngest, "True", "Synced")
    stage.ready_becomes(cut, "False", "LoopDetected")
    stage.cluster.delete(oldest)

    stage.ready_becomes(youngest, "False", "DestinationContested")
    assert cut.rpartition("/")[2] in stage.condition(youngest)["message"]


def test_a_loop_closed_by_a_label_is_cut_at_its_youngest_sync_and_heals_without_the_label(
    stage: Stage, reconciler: Process
) -> None:
    front, back = stage.namespace(), stage.namespace()
    selector = {"matchLabels": {"loop": stage.tag}}
    older = stage.sync(front, destinationNamespaceSelector=selector)
    stage.source(back)
    younger = stage.younger_sync(older, back, destinationNamespace=front)
    stage.ready_becomes(younger, "True", "Synced")
    stage.ready_becomes(older, "True", "Synced")

    stage.cluster.patch(f"/api/v1/namespaces/{back}", {"metadata": {"labels": {"loop": stage.tag}}})

    message = stage.ready_becomes(younger, "False", "LoopDetected")["message"]
    assert f"{back}/config -> {front}/config -> {back}/config" in message
    content = stage.edit(back, "config", data={"key": "newer"})
    stage.cluster.patch(f"/api/v1/namespaces/{back}", {"metadata": {"labels": {"loop": None}}})

    stage.copy_becomes(content, front)
    stage.ready_becomes(younger, "True", "Synced")
    stage.ready_becomes(older, "True", "Synced")
