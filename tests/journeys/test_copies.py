"""Copies appear, follow, are repaired and are deleted, by the real process."""

import pytest

from tests.journeys.stage import Stage, content_of, encoded
from tests.support.eventually import wait_until
from tests.support.processes import Process

LONG_NAME = ".".join(["x" * 61] * 4) + "-" * 0  # 247 characters of valid DNS labels
MEBIBYTE = 1 << 20


def test_the_original_three_fields_work_unchanged(stage: Stage, reconciler: Process) -> None:
    central, application = stage.namespace("config-central"), stage.namespace("my-app-namespace")
    content = stage.source(central, "shared-config", data={"a": "1"})
    sync = stage.sync(
        "default",
        sourceNamespace=central,
        destinationNamespace=application,
        configMapName="shared-config",
    )

    copy = stage.copy_becomes(content, application, "shared-config")

    stage.ready_becomes(sync, "True", "Synced")
    assert copy["metadata"]["annotations"]["apps.nishaf.info/source"] == f"{central}/shared-config"
    assert stage.cluster.get(sync)["status"]["summary"] == "1/1"
    stage.cluster.delete(sync)
    wait_until(lambda: stage.cluster.find(sync) is None)


def test_names_globs_and_selectors_add_up_and_exclusions_win(
    stage: Stage, reconciler: Process
) -> None:
    home = stage.namespace("home")
    named, globbed = stage.namespace("named"), stage.namespace(f"team-{stage.tag}-a")
    labelled = stage.namespace("labelled", {"wants": stage.tag})
    excluded = stage.namespace(f"team-{stage.tag}-sandbox")
    content = stage.source(home)
    sync = stage.sync(
        home,
        destinationNamespaces=[named, f"team-{stage.tag}-*"],
        destinationNamespaceSelector={"matchLabels": {"wants": stage.tag}},
        excludedNamespaces=[excluded],
    )

    for namespace in (named, globbed, labelled):
        stage.copy_becomes(content, namespace)

    stage.ready_becomes(sync, "True", "Synced")
    assert stage.cluster.get(sync)["status"]["destinations"] == {
        "desired": 3,
        "synced": 3,
        "failed": 0,
    }
    assert stage.find(excluded) is None


def test_every_edit_of_the_source_is_followed_and_idle_means_no_write(
    stage: Stage, reconciler: Process
) -> None:
    home, there = stage.namespace(), stage.namespace()
    stage.source(home)
    sync = stage.sync(home, destinationNamespace=there)
    stage.ready_becomes(sync, "True", "Synced")

    for number in range(5):
        content = stage.edit(
            home, "config", data={"key": f"value {number}", f"key-{number}": "more"}
        )
        stage.copy_becomes(content, there)
    content = stage.edit(home, "config", data={"key": None})
    stage.copy_becomes(content, there)

    stage.assert_idle()


@pytest.mark.parametrize(
    "parts",
    [
        pytest.param({"data": {"big": "x" * (MEBIBYTE - 3)}}, id="one mebibyte"),
        pytest.param(
            {"data": {"xml": "<" * (MEBIBYTE // 8)}}, id="many characters that JSON escapes"
        ),
        pytest.param({"binaryData": {"blob": encoded(bytes(range(256)) * 64)}}, id="binary data"),
        pytest.param({"data": {}}, id="empty"),
        pytest.param(
            {"data": {"a.b-c_d": "1", ".x": "2", "-": "3"}}, id="keys with dots and dashes"
        ),
        pytest.param({"data": {"k" * 253: "1"}}, id="a long key"),
        pytest.param(
            {"data": {"text": 'grüße, 世界 \U0001f600\n\t\u2028 \\ " &amp;'}}, id="any text"
        ),
        pytest.param(
            {"data": {"both": "1"}, "binaryData": {"blob": encoded(b"\xff\xfe")}},
            id="text and binary",
        ),
        pytest.param({"data": {"a": "1"}, "immutable": True}, id="immutable"),
    ],
)
def test_content_is_copied_byte_for_byte(
    stage: Stage, reconciler: Process, parts: dict[str, object]
) -> None:
    home, there = stage.namespace(), stage.namespace()
    content = stage.source(home, **parts)
    sync = stage.sync(home, destinationNamespace=there)

    stage.copy_becomes(content, there, within=20)

    stage.ready_becomes(sync, "True", "Synced")


@pytest.mark.parametrize("name", ["n" * 63, LONG_NAME, "v" * 253], ids=["63", "247", "253"])
def test_long_names_of_source_and_sync(stage: Stage, reconciler: Process, name: str) -> None:
    home, there = stage.namespace(), stage.namespace()
    content = stage.source(home, name)
    sync = stage.sync(home, name, configMapName=name, destinationNamespace=there)

    copy = stage.copy_becomes(content, there, name)

    stage.ready_becomes(sync, "True", "Synced")
    assert copy["metadata"]["annotations"]["apps.nishaf.info/synced-by"] == f"{home}/{name}"


def test_a_damaged_copy_is_repaired_and_a_deleted_one_comes_back(
    stage: Stage, reconciler: Process
) -> None:
    home, there = stage.namespace(), stage.namespace()
    content = stage.source(home, data={"a": "1"})
    stage.sync(home, destinationNamespace=there)
    copy = stage.copy_becomes(content, there)

    stage.edit(there, "config", data={"a": "damaged", "foreign": "key"})
    stage.copy_becomes(content, there)
    stage.edit(there, "config", metadata={"annotations": {"apps.nishaf.info/synced-by": None}})
    mark = "apps.nishaf.info/synced-by"
    wait_until(
        lambda: (
            (stage.find(there) or {})["metadata"]["annotations"].get(mark)
            == copy["metadata"]["annotations"][mark]
        )
    )
    stage.delete(there, "config")
    stage.copy_becomes(content, there)


def test_labels_and_annotations_of_others_stay_on_a_copy(stage: Stage, reconciler: Process) -> None:
    home, there = stage.namespace(), stage.namespace()
    stage.source(home)
    stage.sync(home, destinationNamespace=there, metadata={"labels": {"team": "web"}})
    stage.copy_becomes({"data": {"key": "value"}}, there)

    stage.edit(
        there, "config", metadata={"labels": {"theirs": "1"}, "annotations": {"theirs": "2"}}
    )
    content = stage.edit(home, "config", data={"key": "new"})

    copy = stage.copy_becomes(content, there)
    assert copy["metadata"]["labels"]["theirs"] == "1"
    assert copy["metadata"]["labels"]["team"] == "web"
    assert copy["metadata"]["annotations"]["theirs"] == "2"


def test_deleting_the_sync_removes_the_copies_and_never_the_source(
    stage: Stage, reconciler: Process
) -> None:
    home, there, also_there = stage.namespace(), stage.namespace(), stage.namespace()
    content = stage.source(home)
    sync = stage.sync(home, destinationNamespaces=[there, also_there, home])
    stage.copy_becomes(content, there)
    stage.copy_becomes(content, also_there)

    stage.cluster.delete(sync)

    stage.copy_goes(there)
    stage.copy_goes(also_there)
    wait_until(lambda: stage.cluster.find(sync) is None)
    assert content_of(stage.find(home) or {}) == content


def test_orphaned_copies_stay_without_the_operators_marks(
    stage: Stage, reconciler: Process
) -> None:
    home, there, content, sync = stage.one_copy(deletionPolicy="Orphan")

    stage.cluster.delete(sync)

    wait_until(lambda: stage.cluster.find(sync) is None)
    left = stage.find(there)
    assert left is not None
    assert content_of(left) == content
    assert "labels" not in left["metadata"]
    assert left["metadata"]["annotations"] == {
        "apps.nishaf.info/released-by": f"{home}/{sync.rpartition('/')[2]} {there}/config"
    }


def test_an_unmanaged_configmap_is_never_changed_and_the_sync_heals_when_it_goes(
    stage: Stage, reconciler: Process
) -> None:
    home, taken, free = stage.namespace(), stage.namespace(), stage.namespace()
    content = stage.source(home)
    foreign = stage.put_configmap(taken, "config", data={"theirs": "untouched"})
    sync = stage.sync(home, destinationNamespaces=[taken, free])

    stage.copy_becomes(content, free)
    ready = stage.ready_becomes(sync, "False", "DestinationConflict")
    assert taken in ready["message"]
    stage.edit(home, "config", data={"key": "newer"})
    stage.copy_becomes({"data": {"key": "newer"}}, free)
    assert stage.find(taken) == foreign
    stage.delete(taken, "config")

    stage.copy_becomes({"data": {"key": "newer"}}, taken)
    stage.ready_becomes(sync, "True", "Synced")


def test_a_namespace_gains_and_loses_its_copy_with_its_label(
    stage: Stage, reconciler: Process
) -> None:
    home, there = stage.namespace(), stage.namespace()
    content = stage.source(home)
    stage.sync(home, destinationNamespaceSelector={"matchLabels": {"wants": stage.tag}})

    stage.cluster.patch(
        f"/api/v1/namespaces/{there}", {"metadata": {"labels": {"wants": stage.tag}}}
    )
    stage.copy_becomes(content, there)
    stage.cluster.patch(f"/api/v1/namespaces/{there}", {"metadata": {"labels": {"wants": None}}})
    stage.copy_goes(there)


def test_a_disabled_namespace_keeps_no_copy(stage: Stage, reconciler: Process) -> None:
    _, there, content, sync = stage.one_copy()

    stage.cluster.patch(
        f"/api/v1/namespaces/{there}",
        {"metadata": {"labels": {"apps.nishaf.info/sync": "disabled"}}},
    )
    stage.copy_goes(there)
    stage.ready_becomes(sync, "False", "NamespaceDisabled")
    stage.cluster.patch(
        f"/api/v1/namespaces/{there}", {"metadata": {"labels": {"apps.nishaf.info/sync": None}}}
    )

    stage.copy_becomes(content, there)


def test_a_renamed_destination_and_chosen_keys_take_effect_at_once(
    stage: Stage, reconciler: Process
) -> None:
    home, there = stage.namespace(), stage.namespace()
    stage.source(home, data={"app.yaml": "1", "app.json": "2", "old": "3", "secret": "4"})
    sync = stage.sync(home, destinationNamespace=there)
    stage.copy_becomes(
        {"data": {"app.yaml": "1", "app.json": "2", "old": "3", "secret": "4"}}, there
    )

    stage.edit_sync(
        sync,
        destinationConfigMapName="renamed",
        keys=[{"key": "app.*"}, {"key": "old", "as": "new"}],
    )

    stage.copy_becomes({"data": {"app.yaml": "1", "app.json": "2", "new": "3"}}, there, "renamed")
    stage.copy_goes(there)
    stage.ready_becomes(sync, "True", "Synced")


def test_suspending_leaves_copies_as_they_are(stage: Stage, reconciler: Process) -> None:
    home, there, content, sync = stage.one_copy()

    stage.edit_sync(sync, suspend=True)
    stage.ready_becomes(sync, "True", "Suspended")
    newer = stage.edit(home, "config", data={"key": "newer"})
    stage.assert_idle()
    assert content_of(stage.find(there) or {}) == content
    stage.edit_sync(sync, suspend=False)

    stage.copy_becomes(newer, there)


def test_immutable_copies_are_replaced(stage: Stage, reconciler: Process) -> None:
    home, there = stage.namespace(), stage.namespace()
    stage.source(home, data={"a": "1"}, immutable=True)
    stage.sync(home, destinationNamespace=there)
    stage.copy_becomes({"data": {"a": "1"}, "immutable": True}, there)

    stage.delete(home, "config")
    stage.source(home, data={"a": "2"}, immutable=True)

    stage.copy_becomes({"data": {"a": "2"}, "immutable": True}, there)


def test_an_unmanaged_configmap_is_adopted_only_on_request_and_released_at_the_end(
    stage: Stage, reconciler: Process
) -> None:
    home, there = stage.namespace(), stage.namespace()
    content = stage.source(home)
    uid = stage.put_configmap(there, "config", {"theirs": "1"}, data={"existed": "before"})[
        "metadata"
    ]["uid"]
    sync = stage.sync(home, destinationNamespace=there, conflictPolicy="Adopt")

    copy = stage.copy_becomes(content, there)
    assert copy["metadata"]["uid"] == uid
    assert copy["metadata"]["labels"]["theirs"] == "1"
    assert copy["metadata"]["annotations"]["apps.nishaf.info/adopted"] == "true"
    content = stage.edit(home, "config", data={"key": "newer"})
    assert (
        stage.copy_becomes(content, there)["metadata"]["annotations"]["apps.nishaf.info/adopted"]
        == "true"
    )
    stage.cluster.delete(sync)

    wait_until(lambda: stage.cluster.find(sync) is None)
    left = stage.find(there) or {}
    assert left["metadata"]["uid"] == uid
    assert content_of(left) == content
    assert left["metadata"]["labels"] == {"theirs": "1"}


def test_metadata_of_the_source_is_copied_only_by_name_and_removed_when_no_longer_named(
    stage: Stage, reconciler: Process
) -> None:
    home, there = stage.namespace(), stage.namespace()
    labels = {"grafana_dashboard": "1", "argocd.argoproj.io/instance": "app", "other": "2"}
    stage.put_configmap(home, "config", labels, data={"key": "value"})
    sync = stage.sync(
        home,
        destinationNamespace=there,
        copyMetadata={"labels": ["*"]},
        metadata={"labels": {"team": "web"}},
    )

    copied = stage.copy_becomes({"data": {"key": "value"}}, there)["metadata"]["labels"]
    assert {
        key: value
        for key, value in copied.items()
        if "configmapsync" not in value and "sync-uid" not in key
    } == {
        "grafana_dashboard": "1",
        "other": "2",
        "team": "web",
    }
    stage.edit(there, "config", metadata={"labels": {"theirs": "stays"}})
    stage.edit_sync(
        sync, copyMetadata={"labels": ["grafana_*"]}, metadata={"labels": {"team": None}}
    )

    def trimmed() -> bool:
        labels = (stage.find(there) or {})["metadata"]["labels"]
        return "other" not in labels and "team" not in labels and labels["grafana_dashboard"] == "1"

    wait_until(trimmed)
    assert (stage.find(there) or {})["metadata"]["labels"]["theirs"] == "stays"
