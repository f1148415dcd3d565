"""Check digest, keys and marks of a copy, and what writes and releases change."""

import json
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from configmapsync.content import Content, choose_keys, digest, unmatched_keys
from configmapsync.copies import KEPT_METADATA, CopyRecord, abridge
from configmapsync.names import (
    ADOPTED,
    APPLIED_METADATA,
    DESTINATION,
    MARKS,
    RELEASED_BY,
    SYNCED_BY,
    NamespacedName,
)
from configmapsync.rendering import (
    CopyTemplate,
    copy_template,
    is_up_to_date,
    release_patch,
    render,
)
from configmapsync.spec import DeletionPolicy, KeySelection
from tests.configmapsync.objects import record, source, sync
from tests.configmapsync.worlds import patched

texts = st.dictionaries(st.text(max_size=4), st.text(max_size=6), max_size=4)
contents = st.builds(Content, data=texts, binary_data=texts, immutable=st.booleans())


@settings(max_examples=200, deadline=None)
@given(contents, st.randoms(use_true_random=False))
def test_the_digest_does_not_depend_on_the_order_of_keys(content: Content, rng: object) -> None:
    keys = list(content.data)
    rng.shuffle(keys)  # type: ignore[attr-defined]
    turned = Content(
        {key: content.data[key] for key in keys},
        dict(reversed(list(content.binary_data.items()))),
        content.immutable,
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
def test_no_two_contents_hash_the_same_bytes(one: dict[str, str], other: dict[str, str]) -> None:
    assert digest(Content(one, {})) != digest(Content(other, {}))
    assert digest(Content(one, {})) != digest(Content({}, one))


def chosen(
    *keys: tuple[str, str | None], data: dict[str, str], binary: dict[str, str] | None = None
) -> Content:
    return choose_keys(
        Content(data, binary or {}),
        [KeySelection.model_validate({"key": key, "as": new}) for key, new in keys],
    )


def test_the_size_of_content_is_that_of_its_text_on_the_wire() -> None:
    assert Content({"a": "xyz"}, {"b": "AAA="}).size == 9
    assert Content({"ä": "名" * 100}, {}).size == 302


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


def test_an_exact_key_wins_over_a_glob_with_the_same_new_name() -> None:
    assert (
        chosen(("*", None), ("a", "b"), data={"a": "from a", "b": "from b"}).data["b"] == "from a"
    )


def test_a_created_copy_is_up_to_date() -> None:
    wanted = copy_template(sync(metadata={"labels": {"team": "web"}}), source({"k": "v"}))
    written = render(wanted, "there", None)

    assert "resourceVersion" not in written["metadata"]
    live = record(
        written["metadata"]["labels"], written["metadata"]["annotations"], data=written["data"]
    )
    assert is_up_to_date(live, wanted)
    assert live.managed
    assert live.synced_by == NamespacedName("home", "sync")
    assert live.deletion_policy is DeletionPolicy.DELETE


def test_any_difference_from_the_template_is_found() -> None:
    wanted = copy_template(sync(metadata={"labels": {"team": "web"}}), source({"k": "v"}))
    metadata = render(wanted, "there", None)["metadata"]
    labels, annotations = metadata["labels"], metadata["annotations"]

    assert not is_up_to_date(record(labels, annotations, data={"k": "other"}), wanted)
    assert not is_up_to_date(
        record(labels | {"team": "other"}, annotations, data={"k": "v"}), wanted
    )
    for key in annotations:
        assert not is_up_to_date(
            record(labels, {k: v for k, v in annotations.items() if k != key}, data={"k": "v"}),
            wanted,
        )
    assert is_up_to_date(
        record(labels | {"theirs": "1"}, annotations | {"theirs": "2"}, data={"k": "v"}), wanted
    )


def test_metadata_that_is_no_longer_applied_goes_and_that_of_others_stays() -> None:
    before = render(
        copy_template(sync(metadata={"labels": {"team": "web", "tier": "1"}}), source()),
        "there",
        None,
    )["metadata"]
    live = record(
        before["labels"] | {"theirs": "x"}, before["annotations"] | {"note": "y", ADOPTED: "true"}
    )
    wanted = copy_template(sync(metadata={"labels": {"team": "web"}}), source())

    assert not is_up_to_date(live, wanted)
    after = render(wanted, "there", live)["metadata"]
    assert after["labels"]["theirs"] == "x"
    assert after["annotations"]["note"] == "y"
    assert after["annotations"][ADOPTED] == "true"
    assert "tier" not in after["labels"]
    assert (after["uid"], after["resourceVersion"]) == ("uid-of-copy", "7")


@pytest.mark.parametrize("mark", ["not json", "[]", '{"labels": 5}', '"text"'])
def test_an_unreadable_list_of_applied_metadata_removes_nothing(mark: str) -> None:
    live = record({"theirs": "1"}, {APPLIED_METADATA: mark})

    assert (
        render(copy_template(sync(), source()), "there", live)["metadata"]["labels"]["theirs"]
        == "1"
    )


def test_the_list_of_applied_metadata_goes_with_its_last_entry() -> None:
    with_label = render(
        copy_template(sync(metadata={"labels": {"team": "web"}}), source()), "there", None
    )["metadata"]
    plain = copy_template(sync(), source())

    assert not is_up_to_date(record(with_label["labels"], with_label["annotations"]), plain)
    assert (
        APPLIED_METADATA
        not in render(plain, "there", record(with_label["labels"], with_label["annotations"]))[
            "metadata"
        ]["annotations"]
    )


def test_metadata_of_the_source_is_copied_only_by_allow_list_and_never_tracking_keys() -> None:
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
    everything = copy_template(
        sync(copyMetadata={"labels": ["*"], "annotations": ["*"]}),
        source(labels=labels, annotations=annotations),
    )
    nothing = copy_template(sync(), source(labels=labels, annotations=annotations))

    assert {key for key in everything.labels if key not in MARKS} == {"grafana_dashboard", "other"}
    assert {key for key in everything.annotations if key not in MARKS} == {"note"}
    assert set(nothing.labels) | set(nothing.annotations) <= MARKS
    assert json.loads(everything.annotations[APPLIED_METADATA]) == {
        "annotations": ["note"],
        "labels": ["grafana_dashboard", "other"],
    }


def test_a_release_removes_only_the_marks_and_only_from_the_observed_version() -> None:
    metadata = render(copy_template(sync(), source()), "there", None)["metadata"]
    patch = release_patch(record(metadata["labels"] | {"theirs": "1"}, metadata["annotations"]))[
        "metadata"
    ]

    assert (patch["uid"], patch["resourceVersion"]) == ("uid-of-copy", "7")
    assert patch["labels"] == dict.fromkeys(metadata["labels"])
    assert patch["annotations"].pop(RELEASED_BY) == "home/sync there/config"
    assert patch["annotations"] == dict.fromkeys(metadata["annotations"])


def written(wanted: CopyTemplate, over: CopyRecord | None, *, adopted: bool = False) -> CopyRecord:
    """Return the record of the object that `render` returns."""
    metadata = render(wanted, "there", over, adopted=adopted)["metadata"]
    return record(metadata["labels"], metadata["annotations"])


keys = st.sampled_from(["app.kubernetes.io/managed-by", "team", "tier", "owner"])
mappings = st.dictionaries(keys, st.sampled_from(["theirs", "Helm", "x"]), max_size=4)
asked = st.dictionaries(
    st.sampled_from(["team", "tier", "other"]), st.sampled_from(["ours", "x"]), max_size=3
)


@settings(max_examples=300, deadline=None)
@given(mappings, mappings, st.lists(st.tuples(asked, asked), min_size=1, max_size=3))
def test_a_release_restores_what_adoption_and_later_writes_replaced(
    labels: dict[str, str],
    annotations: dict[str, str],
    edits: list[tuple[dict[str, str], dict[str, str]]],
) -> None:
    before = record(labels, annotations)
    copy = before
    for number, (wanted_labels, wanted_annotations) in enumerate(edits):
        metadata = {"labels": wanted_labels, "annotations": wanted_annotations}
        wanted = copy_template(sync(metadata=metadata), source())
        copy = written(wanted, copy, adopted=number == 0)
        assert is_up_to_date(replace(copy, digest=wanted.digest), wanted)
        assert copy.adopted

    after = patched(copy, release_patch(copy))

    assert (after.labels, after.annotations) == (before.labels, before.annotations)


def test_a_label_that_the_sync_no_longer_applies_gets_its_previous_value() -> None:
    theirs = record({"team": "theirs"})
    adopted = written(
        copy_template(sync(metadata={"labels": {"team": "ours"}}), source()), theirs, adopted=True
    )
    assert adopted.labels["team"] == "ours"

    assert written(copy_template(sync(), source()), adopted).labels["team"] == "theirs"


def test_finalizers_and_owners_that_others_put_on_a_copy_are_written_again() -> None:
    others = {
        "finalizers": ["example.com/held"],
        "ownerReferences": [{"apiVersion": "v1", "kind": "Pod", "name": "p", "uid": "u"}],
        "generateName": "config-",
    }
    wanted = copy_template(sync(), source())

    update = render(wanted, "there", replace(record(), others=others))["metadata"]
    again = render(
        wanted, "there", replace(record({"theirs": "1"}), others=others), recreated=True
    )["metadata"]

    assert others.items() <= update.items()
    assert update["resourceVersion"] == "7"
    assert others.items() <= again.items()
    assert again["labels"]["theirs"] == "1"
    assert not {"uid", "resourceVersion"} & again.keys()


def test_large_metadata_of_others_is_not_cached_and_the_copy_is_still_up_to_date() -> None:
    wanted = copy_template(sync(metadata={"labels": {"team": "web"}}), source())
    metadata = render(wanted, "there", None)["metadata"]
    noise = {f"example.com/{number}": "x" * 100 for number in range(2000)}
    whole = record(metadata["labels"] | {"theirs": "1"}, metadata["annotations"] | noise)

    kept = abridge(whole)

    assert sum(map(len, (*kept.labels, *kept.annotations))) < KEPT_METADATA
    assert is_up_to_date(kept, wanted)
    assert not is_up_to_date(
        abridge(replace(whole, labels={**whole.labels, "team": "other"})), wanted
    )
    assert not is_up_to_date(
        kept, copy_template(sync(metadata={"labels": {"team": "another"}}), source())
    )
    assert abridge(record({"theirs": "1"})) == record({"theirs": "1"})
    with pytest.raises(ValueError, match="not read whole"):
        render(wanted, "there", kept)
    with pytest.raises(ValueError, match="not read whole"):
        release_patch(kept)


def test_a_forged_mark_as_long_as_an_object_is_not_cached() -> None:
    forged = record({}, {SYNCED_BY: "home/" + "x" * 1_000_000, DESTINATION: "there/config"})

    kept = abridge(forged)

    assert kept.annotations == {DESTINATION: "there/config"}
    assert kept.synced_by is None


def test_empty_parts_are_left_out_and_immutable_is_set() -> None:
    wanted = copy_template(sync(), source(binary_data={"b": "AA=="}, immutable=True))

    assert render(wanted, "there", None).keys() == {
        "apiVersion",
        "kind",
        "metadata",
        "binaryData",
        "immutable",
    }


@pytest.mark.parametrize("text", ["", "a", "a/", "/b", "a/b/c", None])
def test_a_name_that_is_no_namespaced_name_is_none(text: str | None) -> None:
    assert NamespacedName.parse(text) is None
    assert record(annotations={SYNCED_BY: text or ""}).synced_by is None


def test_a_copy_without_a_readable_policy_is_kept() -> None:
    assert record().deletion_policy is DeletionPolicy.ORPHAN


def test_each_entry_of_keys_that_matches_nothing_is_reported_with_its_path() -> None:
    keys = sync(keys=[{"key": key} for key in ("a", "missing", "*.yml", "*.yaml", "b*")]).spec.keys

    assert unmatched_keys(keys, ["a", "c.yaml"]) == (
        'spec.keys[1] "missing" matches no key of the source',
        'spec.keys[2] "*.yml" matches no key of the source',
        'spec.keys[4] "b*" matches no key of the source',
    )
    assert unmatched_keys((), ["a"]) == ()
