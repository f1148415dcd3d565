"""Check which destinations an edit drops, according to the two specs."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from configmapsync.dropped_destinations import ANY_NAMESPACE, dropped_destinations
from configmapsync.permissions import Right, rights_to_drop
from configmapsync.resource import ConfigMapSync
from configmapsync.selection import Namespace, Selector
from tests.configmapsync import objects

PROTECTED = frozenset({"kube-system"})
LABELLED = {"matchLabels": {"config": "shared"}}
NAMES, SELECTOR, EXCLUSIONS, RENAMED = (
    "spec.destinationNamespaces",
    "spec.destinationNamespaceSelector",
    "spec.excludedNamespaces",
    "spec.destinationConfigMapName",
)


def sync(**spec: Any) -> ConfigMapSync:
    return objects.sync(**{"destinationNamespace": None} | spec)


def dropped(before: dict[str, Any], after: dict[str, Any]) -> list[tuple[str, str]]:
    return list(dropped_destinations(sync(**before), sync(**after), PROTECTED))


@pytest.mark.parametrize(
    ("before", "after", "places"),
    [
        pytest.param(
            {"destinationNamespaces": ["a", "b"]},
            {"destinationNamespaces": ["b", "a", "c"]},
            [],
            id="more",
        ),
        pytest.param(
            {"destinationNamespaces": ["prod", "web"]},
            {"destinationNamespaces": ["web"]},
            [(NAMES, "prod")],
            id="less",
        ),
        pytest.param(
            {"destinationNamespace": "prod", "destinationNamespaces": ["web"]},
            {"destinationNamespaces": ["web"]},
            [("spec.destinationNamespace", "prod")],
            id="the short form goes",
        ),
        pytest.param(
            {"destinationNamespace": "prod"},
            {"destinationNamespaces": ["prod"]},
            [],
            id="the short form moves",
        ),
        pytest.param(
            {"destinationNamespaces": ["prod"]},
            {"destinationNamespaces": ["pro*"]},
            [],
            id="a glob covers",
        ),
        pytest.param(
            {"destinationNamespaces": ["kube-system"]},
            {"destinationNamespaces": ["*"]},
            [(NAMES, "kube-system")],
            id="no glob reaches a protected namespace",
        ),
        pytest.param(
            {"destinationNamespaces": ["prod"]},
            {"destinationNamespaceSelector": LABELLED},
            [(NAMES, "prod")],
            id="labels may not match",
        ),
        pytest.param(
            {"destinationNamespaces": ["prod"]},
            {"destinationNamespaceSelector": {}},
            [],
            id="an empty selector covers",
        ),
        pytest.param(
            {"destinationNamespaces": ["prod", "web"]},
            {"destinationNamespaces": ["prod", "web"], "excludedNamespaces": ["prod"]},
            [(EXCLUSIONS, "prod")],
            id="excluded by name",
        ),
        pytest.param(
            {"destinationNamespaces": ["prod", "web"]},
            {"destinationNamespaces": ["prod", "web"], "excludedNamespaces": ["pr*"]},
            [(EXCLUSIONS, "prod")],
            id="excluded by a glob",
        ),
        pytest.param(
            {"destinationNamespaces": ["*"]},
            {"destinationNamespaces": ["*"], "excludedNamespaces": ["prod", "kube-system"]},
            [(EXCLUSIONS, "prod")],
            id="excluded from a glob",
        ),
        pytest.param(
            {"destinationNamespaceSelector": LABELLED},
            {"destinationNamespaceSelector": LABELLED, "excludedNamespaces": ["prod"]},
            [(EXCLUSIONS, "prod")],
            id="excluded from a selector",
        ),
        pytest.param(
            {"destinationNamespaces": ["*"]},
            {"destinationNamespaces": ["*"], "excludedNamespaces": ["*-prod"]},
            [(EXCLUSIONS, ANY_NAMESPACE)],
            id="a glob excluded from a glob",
        ),
        pytest.param(
            {"destinationNamespaces": ["*"], "excludedNamespaces": ["prod"]},
            {"destinationNamespaces": ["*"]},
            [],
            id="excluded no more",
        ),
        pytest.param(
            {"destinationNamespaces": ["team-*"]},
            {"destinationNamespaces": ["team-a"]},
            [(NAMES, ANY_NAMESPACE)],
            id="a glob goes",
        ),
        pytest.param(
            {"destinationNamespaces": ["team-*"]},
            {"destinationNamespaces": ["*"]},
            [],
            id="a wider glob",
        ),
        pytest.param(
            {"destinationNamespaceSelector": LABELLED},
            {"destinationNamespaceSelector": {"matchLabels": {"config": "other"}}},
            [(SELECTOR, ANY_NAMESPACE)],
            id="another selector",
        ),
        pytest.param(
            {"destinationNamespaceSelector": LABELLED},
            {"destinationNamespaceSelector": {}},
            [],
            id="a wider selector",
        ),
        pytest.param(
            {"destinationNamespaces": ["a", "b"]},
            {"destinationNamespaces": ["a", "b"], "destinationConfigMapName": "new"},
            [(RENAMED, "a"), (RENAMED, "b")],
            id="renamed",
        ),
        pytest.param(
            {"destinationNamespaces": ["a", "b-*"]},
            {"destinationNamespaces": ["a", "b-*"], "destinationConfigMapName": "new"},
            [(RENAMED, ANY_NAMESPACE)],
            id="renamed with a glob",
        ),
        pytest.param(
            {"destinationNamespaces": ["*"], "sourceNamespace": "x"},
            {"destinationNamespaces": ["*"], "sourceNamespace": "y"},
            [(NAMES, "y")],
            id="a destination becomes the source",
        ),
        pytest.param(
            {"destinationNamespaces": ["a"], "suspend": True, "keys": [{"key": "x"}]},
            {"destinationNamespaces": ["a"], "deletionPolicy": "Orphan"},
            [],
            id="nothing about places",
        ),
    ],
)
def test_what_an_edit_drops(
    before: dict[str, Any], after: dict[str, Any], places: list[tuple[str, str]]
) -> None:
    assert dropped(before, after) == places


@pytest.mark.parametrize(("policy", "verb"), [("Delete", "delete"), ("Orphan", "update")])
def test_the_right_that_dropping_needs_is_the_one_that_the_new_policy_uses(
    policy: str, verb: str
) -> None:
    previous = sync(destinationNamespaces=["prod", "web"], destinationConfigMapName="old")
    new = sync(destinationNamespaces=["web"], destinationConfigMapName="old", deletionPolicy=policy)

    [need] = rights_to_drop(previous, new, PROTECTED)

    assert need.rights == (Right(verb, "prod", "old"),)


name = st.sampled_from(["a", "b", "team-a", "team-b", "kube-system", "home"])
pattern = st.sampled_from(["*", "team-*", "?", "*-a"])
selectors = st.sampled_from(
    [None, {}, LABELLED, {"matchExpressions": [{"key": "config", "operator": "DoesNotExist"}]}]
)
specs = st.builds(
    lambda names, globs, excluded, selector, copy: {
        "destinationNamespaces": [*names, *globs, "last"],
        "excludedNamespaces": excluded,
        "destinationConfigMapName": copy,
        **({} if selector is None else {"destinationNamespaceSelector": selector}),
    },
    st.lists(name, max_size=3),
    st.lists(pattern, max_size=2),
    st.lists(name | pattern, max_size=2),
    selectors,
    st.sampled_from(["config", "copy"]),
)


@settings(max_examples=400, deadline=None)
@given(
    before=specs, after=specs, namespace=name, labels=st.sampled_from([{}, {"config": "shared"}])
)
def test_no_copy_is_removed_without_a_right(
    before: dict[str, Any], after: dict[str, Any], namespace: str, labels: dict[str, str]
) -> None:
    """A namespace that only the previous spec selects is dropped, with any labels."""
    previous, new, place = sync(**before), sync(**after), Namespace(namespace, labels)
    was = Selector.of(previous, PROTECTED).matches(place)
    stays = (
        Selector.of(new, PROTECTED).matches(place)
        and previous.destination_name == new.destination_name
    )
    if was and not stays:
        assert {namespace, ANY_NAMESPACE} & {where for _, where in dropped(before, after)}
