"""The documented examples of three tools select the same namespaces as syncs."""

import json

import pytest

from configmapsync.admission_checks import AdmissionInput, Snapshot, check
from configmapsync.defaulting import with_defaults
from configmapsync.destination_paths import destination_paths
from configmapsync.names import PROTECTED_NAMESPACES
from configmapsync.parsing import parse
from configmapsync.selection import Namespace, Selector
from plugin.peers import documents
from plugin.peers.importing import translate
from plugin.peers.inventory import Inventory
from plugin.peers.regexes import Regex
from plugin.peers.rendering import as_yaml
from tests.plugin.peers.examples import (
    EXAMPLES,
    KUBED,
    NAMESPACES,
    REFLECTOR,
    REPLICATOR,
    SYSTEM_NAMESPACES,
    Example,
    configmap,
)


def labelled(name: str, labels: dict[str, str]) -> Namespace:
    return Namespace(name, {**labels, "kubernetes.io/metadata.name": name})


ALL = {name: labelled(name, labels) for name, labels in NAMESPACES.items()} | {
    name: labelled(name, {}) for name in SYSTEM_NAMESPACES
}


def inventory(*objects: object, namespaces: dict[str, Namespace] | None = None) -> Inventory:
    found = Inventory(namespaces=namespaces)
    for each in objects:
        documents.add(found, each)
    return found


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.title)
def test_the_sync_of_an_example_selects_the_namespaces_of_its_copies(example: Example) -> None:
    syncs, remarks = translate(inventory(*example.objects, namespaces=ALL))
    [imported] = syncs
    sync = with_defaults(parse(imported.document))
    assert tuple(sync.source) == example.source
    assert sync.destination_name == example.name
    expected = example.copies | (SYSTEM_NAMESPACES if example.system else frozenset())
    assert set(Selector.of(sync, PROTECTED_NAMESPACES).destinations(ALL)) == expected
    assert any(remark.lost for remark in remarks) == example.lost
    selector = Selector.of(sync, PROTECTED_NAMESPACES)
    targets = destination_paths(sync, selector)
    assert check(AdmissionInput(sync, selector, targets, None), Snapshot(ALL)) == []


def test_all_examples_together_become_the_same_text_in_any_order() -> None:
    objects = [each for example in EXAMPLES for each in example.objects]
    text = as_yaml(*translate(inventory(*objects, namespaces=ALL)))
    assert text.count("kind: ConfigMapSync") == len(EXAMPLES)
    assert as_yaml(*translate(inventory(*reversed(objects), namespaces=ALL))) == text


@pytest.mark.parametrize("prefix", [REFLECTOR, REPLICATOR, KUBED])
def test_a_secret_is_reported_by_name(prefix: str) -> None:
    secret = configmap("web", "password", {f"{prefix}sync": "true"}) | {"kind": "Secret"}
    syncs, remarks = translate(inventory(secret))
    assert syncs == []
    [remark] = remarks
    assert remark.lost
    assert str(remark).startswith("not expressible: Secret web/password: a Secret is not copied")


def test_an_object_that_the_api_server_would_refuse_is_reported_and_a_null_is_no_error() -> None:
    example = EXAMPLES[0].objects[0]
    assert isinstance(example, dict)
    metadata = example["metadata"]
    null = example | {"metadata": metadata | {"labels": {"team": None}}}
    found = inventory(null)
    assert (len(found.configmaps), found.remarks) == (1, [])
    wrong = example | {"metadata": metadata | {"labels": {"team": 5}}}
    found = inventory(wrong, {"no": "object"}, ["neither"])
    assert found.configmaps == {}
    [remark] = found.remarks
    assert remark.lost
    assert str(remark).startswith(f"not expressible: ConfigMap {metadata['name']}: is not read: ")
    assert "metadata.labels" in str(remark)


def labels(prefix: str) -> str:
    return ",".join(f"{prefix}{number}=x" for number in range(60))


@pytest.mark.parametrize(
    "objects",
    [
        [
            configmap(
                "web",
                "app",
                {
                    f"{REFLECTOR}reflection-allowed": "true",
                    f"{REFLECTOR}reflection-auto-enabled": "true",
                    f"{REFLECTOR}reflection-allowed-namespaces-selector": labels("a"),
                    f"{REFLECTOR}reflection-auto-namespaces-selector": labels("b"),
                },
            )
        ],
        [
            configmap(
                "web",
                "app",
                {
                    f"{REPLICATOR}replication-allowed": "true",
                    f"{REPLICATOR}replication-allowed-namespaces": ".*",
                    f"{REPLICATOR}replicate-to": ",".join(f"n{number}" for number in range(512)),
                },
            ),
            configmap("a", "app", {f"{REPLICATOR}replicate-from": "web/app"}),
            configmap("b", "app", {f"{REPLICATOR}replicate-from": "web/app"}),
        ],
    ],
    ids=["labels", "names"],
)
def test_a_selection_that_no_spec_can_hold_is_reported(objects: list[object]) -> None:
    blocker = configmap("other", "app", {})
    syncs, remarks = translate(inventory(*objects, blocker, namespaces=ALL))
    assert syncs == []
    assert any("the sync would be invalid" in str(remark) for remark in remarks)


def one_sync(*objects: object, namespaces: dict[str, Namespace] | None = None) -> dict[str, object]:
    [imported] = translate(inventory(*objects, namespaces=namespaces))[0]
    return json.loads(json.dumps(imported.document["spec"]))


def remarks_on(*objects: object, namespaces: dict[str, Namespace] | None = None) -> list[str]:
    return [str(each) for each in translate(inventory(*objects, namespaces=namespaces))[1]]


def reflected(**annotations: str) -> dict[str, object]:
    named = {
        f"{REFLECTOR}reflection-{key.replace('_', '-')}": text for key, text in annotations.items()
    }
    return configmap("central", "config", named)


def pushed(value: str, **more: str) -> dict[str, object]:
    return configmap("central", "config", {f"{REPLICATOR}replicate-to": value, **more})


def test_a_name_without_a_namespace_is_selected_by_its_label() -> None:
    spec = one_sync(pushed("namespace-1,later"), namespaces=ALL)
    assert spec["destinationNamespaces"] == ["namespace-1"]
    assert spec["destinationNamespaceSelector"] == {
        "matchLabels": {"kubernetes.io/metadata.name": "later"}
    }
    assert one_sync(pushed("namespace-1,later"))["destinationNamespaces"] == [
        "later",
        "namespace-1",
    ]


def test_a_missing_name_beside_a_selector_is_reported() -> None:
    source = pushed("later", **{f"{REPLICATOR}replicate-to-matching": "app=kubed"})
    found = remarks_on(source, namespaces=ALL)
    assert any("cannot name later" in remark for remark in found)


def test_alternatives_of_replicator_are_anchored_at_one_end_each() -> None:
    assert one_sync(pushed("team-a|b-prod"))["destinationNamespaces"] == ["*b-prod", "team-a*"]


def test_a_second_label_selector_is_expanded_and_reported() -> None:
    source = reflected(
        allowed="true",
        auto_enabled="true",
        allowed_namespaces="my-.*",
        allowed_namespaces_selector="env=production",
        auto_namespaces_selector="app=kubed",
    )
    namespaces = {**ALL, "both": labelled("both", {"env": "production", "app": "kubed"})}
    namespaces["my-ns-1"] = labelled("my-ns-1", {"app": "kubed"})
    spec = one_sync(source, namespaces=namespaces)
    assert spec["destinationNamespaceSelector"] == {
        "matchLabels": {"app": "kubed", "env": "production"}
    }
    assert spec["destinationNamespaces"] == ["my-ns-1"]
    assert any(
        remark.startswith("not expressible") and "later are not selected" in remark
        for remark in remarks_on(source, namespaces=namespaces)
    )


def test_a_foreign_configmap_in_the_way_is_excluded_and_left_alone() -> None:
    source = reflected(allowed="true", auto_enabled="true")
    mirror = configmap(
        "namespace-1",
        "config",
        {f"{REFLECTOR}reflects": "central/config", f"{REFLECTOR}auto-reflects": "True"},
    )
    foreign = configmap("namespace-2", "config", {})
    spec = one_sync(source, mirror, foreign, namespaces=ALL)
    assert spec["excludedNamespaces"] == ["namespace-2"]
    assert any(
        "a ConfigMap config that reflector did not copy exists in namespace-2" in remark
        for remark in remarks_on(source, mirror, foreign, namespaces=ALL)
    )


def test_a_foreign_configmap_at_a_named_destination_removes_the_name() -> None:
    spec = one_sync(pushed("web,shop"), configmap("web", "config", {}))
    assert spec["destinationNamespaces"] == ["shop"]
    assert "excludedNamespaces" not in spec


def test_a_target_with_keys_of_its_own_is_not_taken_over() -> None:
    source = configmap(
        "central",
        "config",
        {
            f"{REPLICATOR}replication-allowed": "true",
            f"{REPLICATOR}replication-allowed-namespaces": ".*",
        },
        {"shared": "1"},
    )
    target = configmap(
        "web",
        "mine",
        {f"{REPLICATOR}replicate-from": "central/config"},
        {"shared": "1", "own": "2"},
    )
    syncs, remarks = translate(inventory(source, target))
    assert syncs == []
    assert any("has keys of its own (own)" in str(remark) for remark in remarks)


def test_several_mirrors_of_one_source_become_one_sync() -> None:
    mirrors = [
        configmap(namespace, "config", {f"{REFLECTOR}reflects": "central/config"})
        for namespace in ("web", "shop")
    ]
    spec = one_sync(*mirrors)
    assert spec["destinationNamespaces"] == ["shop", "web"]
    assert spec["deletionPolicy"] == "Orphan"


def test_two_tools_on_one_source_become_one_sync() -> None:
    source = pushed("web")
    source["metadata"]["annotations"][f"{KUBED}sync"] = "app=kubed"  # type: ignore[index]
    [imported] = translate(inventory(source))[0]
    assert imported.tools == ("config-syncer", "replicator")
    assert imported.document["spec"]["destinationNamespaces"] == ["web"]
    assert imported.document["spec"]["destinationNamespaceSelector"] == {
        "matchLabels": {"app": "kubed"}
    }


def test_names_of_syncs_do_not_collide_and_stay_the_same_when_they_exist() -> None:
    mirrors = [
        configmap("web", "b", {f"{REFLECTOR}reflects": "central/a"}),
        configmap("web", "a-to-b", {f"{REFLECTOR}reflects": "central/a-to-b"}),
    ]
    first = [sync.document for sync in translate(inventory(*mirrors))[0]]
    assert [document["metadata"]["name"] for document in first] == ["a-to-b", "a-to-b-2"]
    again = [sync.document for sync in translate(inventory(*mirrors, *first))[0]]
    assert again == first


@pytest.mark.parametrize(
    ("source", "text"),
    [
        (reflected(auto_enabled="true"), "reflection-allowed is not true"),
        (reflected(allowed="true"), "permits mirrors and creates none"),
        (
            reflected(allowed="true", auto_enabled="true", auto_namespaces_selector="a>1"),
            "compares numbers",
        ),
        (configmap("web", "c", {f"{REFLECTOR}reflects": "nonsense"}), "is not NAMESPACE/NAME"),
        (pushed("web)"), 'the expression "web)" has a ) without a ('),
        (pushed("web", **{f"{REPLICATOR}keep-owner-references": "true"}), "keeps owner references"),
        (configmap("web", "c", {f"{KUBED}sync-contexts": "other"}), "copies to other clusters"),
        (configmap("web", "c", {f"{KUBED}sync": "a in b"}), "is no requirement"),
        (pushed(""), "copies to no namespace"),
        (configmap("web", "kube-root-ca.crt", {f"{KUBED}sync": ""}), "the sync would be invalid"),
        (pushed(",".join(f"n{i}" for i in range(600))), "the last 88 items"),
    ],
)
def test_what_cannot_be_expressed_is_named_with_its_object(source: object, text: str) -> None:
    assert any(text in remark for remark in remarks_on(source)), remarks_on(source)


def test_control_characters_of_an_annotation_reach_no_terminal() -> None:
    hostile = pushed("web(\x1b[31m\nkind: Secret")
    text = as_yaml(*translate(inventory(hostile)))
    assert "\x1b" not in text
    assert "\nkind: Secret" not in text


def test_many_sources_with_one_expression_are_matched_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A cluster may have thousands of sources and namespaces."""
    namespaces = {f"team-{number}": Namespace(f"team-{number}") for number in range(500)}
    objects = [pushed("team-[0-9]*") for _ in range(50)]
    for number, source in enumerate(objects):
        source["metadata"]["name"] = f"config-{number}"  # type: ignore[index]
    matched: list[str] = []
    matches = Regex.matches
    monkeypatch.setattr(
        Regex, "matches", lambda regex, name: matched.append(name) or matches(regex, name)
    )
    syncs, _ = translate(inventory(*objects, namespaces=namespaces))
    assert len(syncs) == 50
    assert len(matched) == len(namespaces)
