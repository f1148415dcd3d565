"""What a copy is: its digest, its keys, its marks, and what is written and taken off."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from configmapsync.content import Content, choose_keys, digest, released, render, satisfied, template
from configmapsync.names import ADOPTED, APPLIED_METADATA, MARKS, SYNCED_BY, NamespacedName
from configmapsync.resource import DeletionPolicy, KeySelection
from tests.configmapsync.objects import record, source, sync

texts = st.dictionaries(st.text(max_size=4), st.text(max_size=6), max_size=4)
contents = st.builds(Content, data=texts, binary_data=texts, immutable=st.booleans())


@settings(max_examples=200, deadline=None)
@given(contents, st.randoms(use_true_random=False))
def test_the_digest_does_not_depend_on_the_order_of_keys(content: Content, chance: object) -> None:
    keys = list(content.data)
    chance.shuffle(keys)  # type: ignore[attr-defined]
    turned = Content(
        {key: content.data[key] for key in keys}, dict(reversed(list(content.binary_data.items()))), content.immutable
    )

    assert digest(turned) == digest(content)


@settings(max_examples=300, deadline=None)
@given(contents, contents)
def test_different_content_has_different_digests(one: Content, other: Content) -> None:
    same = (dict(one.data), dict(one.binary_data), one.immutable) == (
        dict(other.data),
        dict(other.binary_data),
        other.immutable,
    )

    assert (digest(one) == digest(other)) == same


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"a": "bc"}, {"ab": "c"}),
        ({"a": "", "b": ""}, {"a": "b", "": ""}),
        ({"a": "1|1|b"}, {"a": "1", "b": ""}),
        ({"a": "b"}, {}),
    ],
)
def test_no_two_contents_run_into_the_same_bytes(one: dict[str, str], other: dict[str, str]) -> None:
    assert digest(Content(one, {})) != digest(Content(other, {}))
    assert digest(Content(one, {})) != digest(Content({}, one))


def chosen(*keys: tuple[str, str | None], data: dict[str, str], binary: dict[str, str] | None = None) -> Content:
    return choose_keys(
        Content(data, binary or {}), [KeySelection.model_validate({"key": key, "as": new}) for key, new in keys]
    )


def test_without_a_choice_every_key_is_copied() -> None:
    assert chosen(data={"a": "1"}, binary={"b": "2"}) == Content({"a": "1"}, {"b": "2"})


def test_keys_and_globs_choose_over_both_parts_and_keys_may_be_renamed() -> None:
    content = chosen(
        ("*.yaml", None),
        ("old", "new"),
        ("gone", None),
        data={"a.yaml": "1", "old": "2", "c": "3"},
        binary={"b.yaml": "4"},
    )

    assert content == Content({"a.yaml": "1", "new": "2"}, {"b.yaml": "4"})


def test_an_exact_choice_wins_over_what_a_glob_brings_under_the_same_name() -> None:
    assert chosen(("*", None), ("a", "b"), data={"a": "from a", "b": "from b"}).data["b"] == "from a"


def test_a_copy_written_from_nothing_satisfies_its_template() -> None:
    wanted = template(sync(metadata={"labels": {"team": "web"}}), source({"k": "v"}))
    written = render(wanted, "there", None)

    assert "resourceVersion" not in written["metadata"]
    live = record(written["metadata"]["labels"], written["metadata"]["annotations"], data=written["data"])
    assert satisfied(live, wanted)
    assert live.managed
    assert live.synced_by == NamespacedName("home", "sync")
    assert live.deletion_policy is DeletionPolicy.DELETE


def test_any_difference_that_is_ours_is_noticed() -> None:
    wanted = template(sync(metadata={"labels": {"team": "web"}}), source({"k": "v"}))
    metadata = render(wanted, "there", None)["metadata"]
    labels, annotations = metadata["labels"], metadata["annotations"]

    assert not satisfied(record(labels, annotations, data={"k": "other"}), wanted)
    assert not satisfied(record(labels | {"team": "other"}, annotations, data={"k": "v"}), wanted)
    for key in annotations:
        assert not satisfied(
            record(labels, {k: v for k, v in annotations.items() if k != key}, data={"k": "v"}), wanted
        )
    assert satisfied(record(labels | {"theirs": "1"}, annotations | {"theirs": "2"}, data={"k": "v"}), wanted)


def test_what_is_no_longer_asked_for_goes_and_what_others_put_there_stays() -> None:
    before = render(template(sync(metadata={"labels": {"team": "web", "tier": "1"}}), source()), "there", None)[
        "metadata"
    ]
    live = record(before["labels"] | {"theirs": "x"}, before["annotations"] | {"note": "y", ADOPTED: "true"})
    wanted = template(sync(metadata={"labels": {"team": "web"}}), source())

    assert not satisfied(live, wanted)
    after = render(wanted, "there", live)["metadata"]
    assert after["labels"]["theirs"] == "x"
    assert after["annotations"]["note"] == "y"
    assert after["annotations"][ADOPTED] == "true"
    assert "tier" not in after["labels"]
    assert (after["uid"], after["resourceVersion"]) == ("uid-of-copy", "7")


@pytest.mark.parametrize("mark", ["not json", "[]", '{"labels": 5}', '"text"'])
def test_an_unreadable_list_of_applied_metadata_takes_nothing_off(mark: str) -> None:
    live = record({"theirs": "1"}, {APPLIED_METADATA: mark})

    assert render(template(sync(), source()), "there", live)["metadata"]["labels"]["theirs"] == "1"


def test_the_last_of_our_metadata_takes_its_list_along() -> None:
    with_label = render(template(sync(metadata={"labels": {"team": "web"}}), source()), "there", None)["metadata"]
    plain = template(sync(), source())

    assert not satisfied(record(with_label["labels"], with_label["annotations"]), plain)
    assert (
        APPLIED_METADATA
        not in render(plain, "there", record(with_label["labels"], with_label["annotations"]))["metadata"][
            "annotations"
        ]
    )


def test_metadata_of_the_source_comes_along_only_by_allow_list_and_never_what_tools_track_by() -> None:
    labels = {
        "grafana_dashboard": "1",
        "app.kubernetes.io/instance": "x",
        "argocd.argoproj.io/instance": "y",
        "other": "2",
    }
    annotations = {
        "kubectl.kubernetes.io/last-applied-configuration": "{}",
        "meta.helm.sh/release-name": "r",
        "note": "n",
    }
    everything = template(
        sync(copyMetadata={"labels": ["*"], "annotations": ["*"]}), source(labels=labels, annotations=annotations)
    )
    nothing = template(sync(), source(labels=labels, annotations=annotations))

    assert {key for key in everything.labels if key not in MARKS} == {"grafana_dashboard", "other"}
    assert {key for key in everything.annotations if key not in MARKS} == {"note"}
    assert set(nothing.labels) | set(nothing.annotations) <= MARKS
    assert json.loads(everything.annotations[APPLIED_METADATA]) == {
        "annotations": ["note"],
        "labels": ["grafana_dashboard", "other"],
    }


def test_releasing_takes_off_our_marks_and_nothing_else_and_only_from_what_was_seen() -> None:
    metadata = render(template(sync(), source()), "there", None)["metadata"]
    patch = released(record(metadata["labels"] | {"theirs": "1"}, metadata["annotations"]))["metadata"]

    assert (patch["uid"], patch["resourceVersion"]) == ("uid-of-copy", "7")
    assert set(patch["labels"]) == set(metadata["labels"])
    assert set(patch["annotations"]) == set(metadata["annotations"])
    assert {*patch["labels"].values(), *patch["annotations"].values()} == {None}


def test_empty_parts_are_left_out_and_an_immutable_one_is_said() -> None:
    wanted = template(sync(), source(binary_data={"b": "AA=="}, immutable=True))

    assert render(wanted, "there", None).keys() == {"apiVersion", "kind", "metadata", "binaryData", "immutable"}


@pytest.mark.parametrize("text", ["", "a", "a/", "/b", "a/b/c", None])
def test_a_name_that_is_no_namespaced_name_is_none(text: str | None) -> None:
    assert NamespacedName.parse(text) is None
    assert record(annotations={SYNCED_BY: text or ""}).synced_by is None


def test_a_copy_without_a_readable_policy_is_kept() -> None:
    assert record().deletion_policy is DeletionPolicy.ORPHAN
