"""Check the selection against a simple reference on random specs and namespaces."""

from fnmatch import fnmatchcase
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from configmapsync.defaulting import with_defaults
from configmapsync.parsing import parse
from configmapsync.reasons import Reason
from configmapsync.selection import Namespace, Selector
from tests.configmapsync.objects import select

PROTECTED = frozenset({"kube-system"})
EXISTING = ("home", "web", "team-a", "team-b", "kube-system")
words = st.lists(st.sampled_from((*EXISTING, "gone", "*", "team-*", "????")), max_size=3)
label_maps = st.sampled_from(({}, {"k": "a"}, {"k": "b"}, {"apps.nishaf.info/sync": "disabled"}))
requirements = st.sampled_from(
    [
        {"key": "k", "operator": "In", "values": ["a", "c"]},
        {"key": "k", "operator": "NotIn", "values": ["a"]},
        {"key": "k", "operator": "Exists"},
        {"key": "k", "operator": "DoesNotExist"},
    ]
)
selectors = st.fixed_dictionaries(
    {},
    optional={
        "matchLabels": st.sampled_from(({}, {"k": "a"})),
        "matchExpressions": st.lists(requirements, max_size=2),
    },
)
specs = st.fixed_dictionaries(
    {
        "configMapName": st.just("config"),
        "destinationNamespaces": words,
        "excludedNamespaces": words,
    },
    optional={
        "sourceNamespace": st.sampled_from(("home", "web")),
        "destinationNamespace": st.sampled_from((*EXISTING, "gone")),
        "destinationNamespaceSelector": selectors,
        "destinationConfigMapName": st.sampled_from(("config", "other")),
    },
)
worlds = st.fixed_dictionaries({name: st.tuples(label_maps, st.booleans()) for name in EXISTING})


def requirement_holds(requirement: dict[str, Any], labels: dict[str, str]) -> bool:
    here, value = requirement["key"] in labels, labels.get(requirement["key"])
    return {
        "In": here and value in requirement.get("values", []),
        "NotIn": not here or value not in requirement.get("values", []),
        "Exists": here,
        "DoesNotExist": not here,
    }[requirement["operator"]]


def labels_match(selector: dict[str, Any] | None, labels: dict[str, str]) -> bool:
    if selector is None:
        return False
    equal = all(labels.get(key) == value for key, value in selector.get("matchLabels", {}).items())
    return equal and all(
        requirement_holds(one, labels) for one in selector.get("matchExpressions", [])
    )


def should_have_a_copy(
    spec: dict[str, Any], name: str, labels: dict[str, str], leaving: bool
) -> bool:
    """Apply the rules in the order of the documentation."""
    asked = [*spec["destinationNamespaces"], *filter(None, [spec.get("destinationNamespace")])]
    by_pattern = any(fnmatchcase(name, pattern) for pattern in asked)
    by_label = labels_match(spec.get("destinationNamespaceSelector"), labels)
    excluded = any(fnmatchcase(name, pattern) for pattern in spec["excludedNamespaces"])
    is_source = (
        name == spec.get("sourceNamespace", "home")
        and spec.get("destinationConfigMapName", "config") == "config"
    )
    unwilling = leaving or labels.get("apps.nishaf.info/sync") == "disabled"
    if excluded or is_source or unwilling:
        return False
    return name in asked or (name not in PROTECTED and (by_pattern or by_label))


@settings(max_examples=250, deadline=None)
@given(specs, worlds)
def test_exactly_the_namespaces_that_the_rules_name_are_selected(
    spec: dict[str, Any], world: dict[str, tuple[dict[str, str], bool]]
) -> None:
    sync = with_defaults(parse({"metadata": {"name": "sync", "namespace": "home"}, "spec": spec}))
    namespaces = {
        name: Namespace(name, labels, terminating=leaving)
        for name, (labels, leaving) in world.items()
    }

    selection = select(Selector.of(sync, PROTECTED), namespaces)

    assert selection.selected == tuple(
        sorted(
            name
            for name, (labels, leaving) in world.items()
            if should_have_a_copy(spec, name, labels, leaving)
        )
    )
    for refused in selection.refused:
        assert refused.namespace not in selection.selected
        assert (refused.reason is Reason.NAMESPACE_NOT_FOUND) == (refused.namespace not in world)
    named = {spec.get("destinationNamespace"), *spec["destinationNamespaces"]} & {*EXISTING, "gone"}
    excluded = {
        name
        for name in named
        if any(fnmatchcase(name, pattern) for pattern in spec["excludedNamespaces"])
    }
    assert named - excluded == {refused.namespace for refused in selection.refused} | (
        set(selection.selected) & named
    )
