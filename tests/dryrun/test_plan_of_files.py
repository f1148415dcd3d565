"""`plan` on files needs no cluster and applies the same rules."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from configmapsync.names import API_VERSION, KIND
from dryrun import command
from tests.support.plans import CHANGES, FAILURE, NO_CONTENT, plan, writes

SECRET_VALUE = "the-value-that-must-stay-secret"


def namespace(name: str, **labels: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}}


def configmap(place: str, data: dict[str, str] | None = None, **parts: Any) -> dict[str, Any]:
    at, _, name = place.partition("/")
    metadata = {"namespace": at, "name": name, **parts.pop("metadata", {})}
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": metadata,
        "data": data or {"key": SECRET_VALUE},
        **parts,
    }


def sync(place: str, **spec: Any) -> dict[str, Any]:
    at, _, name = place.partition("/")
    return {
        "apiVersion": API_VERSION,
        "kind": KIND,
        "metadata": {"namespace": at, "name": name},
        "spec": spec,
    }


def text(*documents: dict[str, Any]) -> str:
    return yaml.safe_dump_all(documents)


DOCUMENTS = text(
    configmap("central/config", {"LOG_LEVEL": SECRET_VALUE, "PORT": "80"}),
    namespace("web", team="a"),
    namespace("shop", team="a"),
    configmap("shop/config", {"mine": "1"}),
    sync(
        "central/shared",
        configMapName="config",
        destinationNamespaceSelector={"matchLabels": {"team": "a"}},
    ),
    sync("central/lost", configMapName="nowhere", destinationNamespace="web"),
)


def test_text_lists_each_write_each_refusal_and_the_sum() -> None:
    result = plan("-f", "-", given=DOCUMENTS)

    assert result.stdout == (
        "ConfigMapSync central/lost\n"
        '  ! SourceNotFound: source ConfigMap "central/nowhere" not found\n'
        "  no changes\n"
        "\n"
        "ConfigMapSync central/shared: from central/config, 2 keys\n"
        "  + create   web/config  there is no copy\n"
        '  ! shop  DestinationConflict: ConfigMap "shop/config" exists and is not '
        "managed by ConfigMapSync; delete it, choose\n"
        "      another destinationConfigMapName, or set conflictPolicy: Adopt\n"
        "\n"
        "Plan: 1 to create, 1 refused.\n"
    )
    assert result.code == CHANGES


def test_neither_text_nor_json_holds_a_value_and_the_diff_does() -> None:
    answers = {
        output: plan("-f", "-", "--output", output, given=DOCUMENTS)
        for output in ("text", "json", "diff")
    }

    assert [
        output
        for output, result in answers.items()
        if SECRET_VALUE in result.stdout + result.stderr
    ] == ["diff"]
    assert {result.code for result in answers.values()} == {CHANGES}
    assert f"+  LOG_LEVEL: {SECRET_VALUE}\n" in answers["diff"].stdout
    assert "--- /dev/null\n+++ planned/web/config\n" in answers["diff"].stdout
    assert "DestinationConflict" in answers["diff"].stderr


def test_a_copy_that_is_the_source_of_another_sync_is_followed_to_the_end() -> None:
    result = plan(
        *("-f", "-", "--output", "json"),
        given=text(
            configmap("a/config"),
            namespace("b"),
            namespace("c"),
            sync("c/second", configMapName="config", sourceNamespace="b", destinationNamespace="c"),
            sync("a/first", configMapName="config", destinationNamespace="b"),
        ),
    )

    assert writes(result) == {("create", "b/config"), ("create", "c/config")}


def test_a_spec_with_errors_is_reported_with_field_paths_and_fails() -> None:
    result = plan(
        "-f",
        "-",
        given=text(
            sync("a/bad", configMapName="Not A Name", keys=[{"key": "x*", "as": "y"}], nonsense=1)
        ),
    )

    assert result.code == FAILURE
    assert "  * spec.configMapName: Invalid value:" in result.stdout
    assert "  * spec.nonsense: " in result.stdout
    machine = plan(
        *("-f", "-", "--output", "json"),
        given=text(sync("a/bad", configMapName="x", keys=[{"key": "x*", "as": "y"}])),
    )
    errors = machine.document["syncs"][0]["errors"]
    assert {error["field"] for error in errors} == {"spec.destinationNamespace", "spec.keys[0].as"}


def test_a_loop_is_cut_where_the_reconciler_would_cut_it() -> None:
    result = plan(
        *("-f", "-", "--output", "json"),
        given=text(
            configmap("a/config"),
            sync("a/there", configMapName="config", destinationNamespace="b"),
            sync("b/back", configMapName="config", destinationNamespace="a"),
        ),
    )

    assert writes(result) == {("create", "b/config")}
    reasons = {
        sync["name"]: [refused["reason"] for refused in sync["refused"]]
        for sync in result.document["syncs"]
    }
    assert reasons == {"there": [], "back": ["LoopDetected"]}


def test_copies_without_their_sync_are_listed_with_their_future() -> None:
    def left(name: str, policy: str) -> dict[str, Any]:
        labels = {"app.kubernetes.io/managed-by": "configmapsync", "apps.nishaf.info/sync-uid": "u"}
        marks = {"synced-by": "a/gone", "destination": f"b/{name}", "deletion-policy": policy}
        annotations = {f"apps.nishaf.info/{mark}": value for mark, value in marks.items()}
        return configmap(f"b/{name}", metadata={"labels": labels, "annotations": annotations})

    result = plan(
        "-f",
        "-",
        given=text(
            left("one", "Delete"),
            left("two", "Orphan"),
            sync("a/s", configMapName="x", destinationNamespace="b"),
        ),
    )

    assert result.stdout.startswith(
        "ConfigMapSync a/gone: missing\n"
        "  - delete   b/one  its sync is gone\n"
        "  < release  b/two  its sync is gone\n"
        "  note: its copies are handled after it has been missing for --orphan-grace\n"
    )


def test_the_operators_own_namespace_is_reached_by_its_name_alone() -> None:
    spaces = [namespace("configmapsync-system"), namespace("other")]
    everywhere = sync(
        "a/s", configMapName="config", destinationNamespaces=["*"], destinationConfigMapName="copy"
    )
    given = text(configmap("a/config"), everywhere, *spaces)

    assert writes(plan("-f", "-", "--output", "json", given=given)) == {
        ("create", "a/copy"),
        ("create", "other/copy"),
    }
    elsewhere = plan("-f", "-", "--output", "json", "--operator-namespace", "other", given=given)
    assert writes(elsewhere) == {("create", "a/copy"), ("create", "configmapsync-system/copy")}


def test_the_order_of_the_objects_changes_nothing() -> None:
    backwards = text(*reversed(list(yaml.safe_load_all(DOCUMENTS))))

    assert plan("-f", "-", "--output", "json", given=backwards) == plan(
        "-f", "-", "--output", "json", given=DOCUMENTS
    )


def test_only_namespaces_that_the_files_name_exist() -> None:
    result = plan(
        "-f",
        "-",
        given=text(
            configmap("a/config"), sync("a/s", configMapName="config", destinationNamespace="b")
        ),
    )

    assert 'NamespaceNotFound: namespace "b" not found' in result.stdout
    assert result.code == NO_CONTENT


def test_folders_lists_and_other_kinds_are_read_as_kubectl_would(tmp_path: Path) -> None:
    (tmp_path / "1.yaml").write_text(
        text(configmap("a/config"), {"apiVersion": "v1", "kind": "Secret", "metadata": {}})
    )
    listed = {
        "apiVersion": "v1",
        "kind": "List",
        "items": [namespace("b"), sync("a/s", configMapName="config", destinationNamespace="b")],
    }
    (tmp_path / "2.json").write_text(json.dumps(listed))
    (tmp_path / "notes.txt").write_text("not read")

    result = plan("-f", tmp_path, "a/s", "--output", "json")

    assert writes(result) == {("create", "b/config")}


def test_an_unreadable_or_missing_file_gives_one_line_and_exit_code_1(tmp_path: Path) -> None:
    broken = tmp_path / "broken.yaml"
    broken.write_text(f"a: [{SECRET_VALUE}\nb: }}")
    answers = [
        plan("-f", broken),
        plan("-f", tmp_path / "missing.yaml"),
        plan("-f", "-", "a/missing", given=DOCUMENTS),
        plan("not-a-place"),
        plan("--no-such-flag"),
    ]

    assert {result.code for result in answers} == {FAILURE}
    assert all(result.stdout == "" and SECRET_VALUE not in result.stderr for result in answers)
    assert "no ConfigMapSync and no copy of a/missing found" in answers[2].stderr


def test_files_that_are_settled_change_nothing() -> None:
    first = plan(
        "-f",
        "-",
        "--output",
        "diff",
        given=text(configmap("a/config"), namespace("b"), sync_with_uid()),
    )
    copy = "\n".join(line[1:] for line in first.stdout.splitlines()[3:])

    result = plan(
        "-f",
        "-",
        given=text(configmap("a/config"), namespace("b"), sync_with_uid(), yaml.safe_load(copy)),
    )

    assert result.stdout.endswith("  = 1 copy in sync\n\nPlan: no changes, 1 in sync.\n")
    assert result.code == NO_CONTENT


def test_a_closed_output_pipe_is_no_error(tmp_path: Path) -> None:
    (tmp_path / "world.yaml").write_text(DOCUMENTS)
    reader, writer = os.pipe()
    os.close(reader)
    arguments = [sys.executable, "-m", "reconciler", "plan", "-f", str(tmp_path)]
    done = subprocess.run(
        arguments, stdout=writer, stderr=subprocess.PIPE, text=True, timeout=60, check=False
    )
    os.close(writer)

    assert (done.returncode, done.stderr) == (CHANGES, "")


def sync_with_uid() -> dict[str, Any]:
    document = sync("a/s", configMapName="config", destinationNamespace="b")
    document["metadata"]["uid"] = "11111111-2222-3333-4444-555555555555"
    return document


@pytest.mark.parametrize(
    ("document", "said"),
    [
        (
            configmap("a/config", {"PORT": 80}),
            "ConfigMap config: Expected `str`, got `int` - at `$.data[...]`",
        ),  # type: ignore[dict-item]
        (
            sync("a/s") | {"metadata": {"name": "s", "uid": [SECRET_VALUE]}},
            "ConfigMapSync s has the wrong shape",
        ),
        (
            sync("a/s") | {"metadata": {"name": "s", "finalizers": {1: SECRET_VALUE, "a": {1}}}},
            "ConfigMapSync s has the wrong shape",
        ),
        (
            {
                "apiVersion": "v1",
                "kind": "Namespace",
                "metadata": {"name": "n", "labels": {"a": 1}},
            },
            "Namespace n: Expected",
        ),
        (
            {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {}},
            "contains a ConfigMap without a name",
        ),
    ],
)
def test_an_object_that_no_api_server_accepts_gives_one_line(
    document: dict[str, Any], said: str
) -> None:
    result = plan("-f", "-", given=text(document))

    assert result.code == FAILURE
    assert said in result.stderr
    assert SECRET_VALUE not in result.stderr
    assert result.stderr.count("\n") == 1


def test_a_mistake_of_the_program_is_not_reported_as_a_mistake_of_the_user(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An internal KeyError once ended as a line that blamed the files; it needs its traceback."""

    def broken(*_arguments: Any) -> Any:
        raise KeyError("internal")

    monkeypatch.setattr(command, "read", broken)
    with pytest.raises(KeyError):
        command.main(["--filename", str(tmp_path)])
