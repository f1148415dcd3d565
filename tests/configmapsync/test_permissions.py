"""Check which rights a sync needs, and that a denial reveals only the spec."""

from typing import Any

import pytest

from configmapsync.destination_paths import (
    SELECTOR_PATH,
    DestinationPaths,
    destination_paths,
    unmatched_patterns,
)
from configmapsync.names import NamespacedName
from configmapsync.permissions import (
    Right,
    denials_of,
    of_service_account,
    right_to_see,
    rights_needed,
)
from configmapsync.selection import Namespace, Selector
from tests.configmapsync.objects import sync

ACCOUNT = of_service_account("home", "syncer")
WHOLE: dict[str, Any] = {
    "destinationNamespace": "web",
    "destinationNamespaces": ["shop", "team-*"],
    "destinationNamespaceSelector": {"matchLabels": {"config": "shared"}},
}


def targets(**spec: Any) -> DestinationPaths:
    one = sync(**spec)
    return destination_paths(one, Selector.of(one, frozenset()))


def test_each_destination_has_the_path_of_its_field() -> None:
    found = targets(**WHOLE)

    assert found.named == {
        "web": "spec.destinationNamespace",
        "shop": "spec.destinationNamespaces[0]",
    }
    assert found.open_ended == ("spec.destinationNamespaces[1]", SELECTOR_PATH)
    assert found.path_to("shop") == "spec.destinationNamespaces[0]"
    assert found.path_to("team-a") == "spec.destinationNamespaces[1]"
    assert found.path_to("labelled") == SELECTOR_PATH


def test_an_excluded_name_is_no_destination() -> None:
    found = targets(
        destinationNamespace="web", destinationNamespaces=["shop"], excludedNamespaces=["w*"]
    )

    assert list(found.named) == ["shop"]
    assert found.open_ended == ()


def unmatched(*namespaces: Namespace, **spec: Any) -> list[tuple[str, str]]:
    views = {namespace.name: namespace for namespace in namespaces}
    one = sync(**spec)
    selector = Selector.of(one, frozenset({"team-system"}))
    return list(unmatched_patterns(destination_paths(one, selector), selector, views))


def test_each_glob_and_selector_that_alone_selects_nothing_is_found() -> None:
    by_glob = ("spec.destinationNamespaces[1]", '"team-*"')
    by_label = (SELECTOR_PATH, "the selector")
    shared = {"config": "shared"}

    assert unmatched(**WHOLE) == [by_glob, by_label]
    assert unmatched(Namespace("team-a"), Namespace("web"), **WHOLE) == [by_label]
    assert unmatched(Namespace("x", shared), **WHOLE) == [by_glob]
    assert unmatched(Namespace("team-a", shared), **WHOLE) == []
    assert unmatched(Namespace("team-a", shared), excludedNamespaces=["*a"], **WHOLE) == [
        by_glob,
        by_label,
    ]
    assert unmatched(Namespace("team-system", shared), **WHOLE) == [by_glob, by_label]
    assert unmatched(Namespace("web"), destinationNamespace="web") == []


def test_a_named_destination_needs_rights_by_name_and_a_glob_rights_everywhere() -> None:
    one = sync(**WHOLE)

    needs = rights_needed(one, targets(**WHOLE))

    assert [(need.path, need.namespace) for need in needs] == [
        ("spec.configMapName", "home"),
        ("spec.destinationNamespace", "web"),
        ("spec.destinationNamespaces[0]", "shop"),
        ("spec.destinationNamespaces[1]", ""),
        (SELECTOR_PATH, ""),
    ]
    assert needs[0].rights == (Right("get", "home", "config"),)
    assert needs[1].rights == (
        Right("create", "web"),
        Right("update", "web", "config"),
        Right("delete", "web", "config"),
    )


@pytest.mark.parametrize(
    ("policies", "deletes"),
    [
        ({}, True),
        ({"deletionPolicy": "Orphan"}, False),
        ({"deletionPolicy": "Orphan", "sourceDeletionPolicy": "Retain"}, False),
        ({"deletionPolicy": "Orphan", "sourceDeletionPolicy": "Delete"}, True),
        ({"deletionPolicy": "Delete", "sourceDeletionPolicy": "Retain"}, True),
    ],
    ids=str,
)
def test_the_right_to_delete_is_needed_if_any_policy_can_delete_a_copy(
    policies: dict[str, str], deletes: bool
) -> None:
    spec = {"destinationNamespace": "web", **policies}

    verbs = [right.verb for right in rights_needed(sync(**spec), targets(**spec))[1].rights]

    assert verbs == ["create", "update", *(["delete"] if deletes else [])]
    assert sync(**spec).may_delete_copies is deletes


def test_a_denial_names_what_is_missing_once_for_each_field() -> None:
    spec = {"destinationNamespace": "shop", "destinationNamespaces": ["team-*"]}
    needs = rights_needed(sync(**spec), targets(**spec))
    everything = {right for need in needs for right in need.rights}
    missing = everything - {Right("get", "home", "config"), Right("create", "shop")}

    assert [(denial.path, denial.detail) for denial in denials_of(ACCOUNT, needs, missing)] == [
        (
            "spec.destinationNamespace",
            (
                'service account "home/syncer" may not update, delete the ConfigMap "config" '
                'in namespace "shop"'
            ),
        ),
        (
            "spec.destinationNamespaces[0]",
            (
                'service account "home/syncer" may not create, update, delete the ConfigMap '
                '"config" in every namespace'
            ),
        ),
    ]
    assert denials_of(ACCOUNT, needs, set()) == []


def test_the_denial_of_a_source_names_the_source() -> None:
    spec = {"sourceNamespace": "central", "destinationConfigMapName": "copy"}
    needs = rights_needed(sync(**spec), targets(**spec))
    first = denials_of(ACCOUNT, needs, needs[0].rights)[0]

    assert (
        first.detail
        == 'service account "home/syncer" may not get the ConfigMap "config" in namespace "central"'
    )


def test_a_service_account_has_the_name_and_groups_that_the_api_server_gives_it() -> None:
    assert ACCOUNT.username == "system:serviceaccount:home:syncer"
    assert ACCOUNT.groups == (
        "system:serviceaccounts",
        "system:serviceaccounts:home",
        "system:authenticated",
    )


def test_a_right_in_all_namespaces_covers_each_object() -> None:
    assert Right("update", "web", "config").broad == Right("update", "")
    assert right_to_see(NamespacedName("home", "sync")).broad == Right(
        "get", "", group="apps.nishaf.info", resource="configmapsyncs"
    )
