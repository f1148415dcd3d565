"""The index narrows a search and never changes its result."""

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from configmapsync.namespace_index import NamespaceIndex, namespace_keys, selector_keys
from configmapsync.selection import Namespace, Selector
from tests.configmapsync.objects import sync

NAMES = ["a", "b", "team-a", "team-b", "x-team", "kube-system"]
KEYS, VALUES = ["tier", "zone"], ["web", "db", ""]
labels = st.dictionaries(st.sampled_from(KEYS), st.sampled_from(VALUES))
namespaces = st.builds(Namespace, name=st.sampled_from(NAMES), labels=labels)
requirements = st.one_of(
    st.builds(
        lambda key, operator, values: {"key": key, "operator": operator, "values": values},
        st.sampled_from(KEYS),
        st.sampled_from(["In", "NotIn"]),
        st.lists(st.sampled_from([*VALUES, *map(str, range(20))]), min_size=1, unique=True),
    ),
    st.builds(
        lambda key, operator: {"key": key, "operator": operator},
        st.sampled_from(KEYS),
        st.sampled_from(["Exists", "DoesNotExist"]),
    ),
)
specs = st.fixed_dictionaries(
    {"destinationNamespaces": st.lists(st.sampled_from([*NAMES, "team-*", "*", "?", "*-a"]))},
    optional={
        "destinationNamespaceSelector": st.fixed_dictionaries(
            {"matchLabels": labels, "matchExpressions": st.lists(requirements, max_size=3)}
        ),
        "excludedNamespaces": st.lists(st.sampled_from(["team-a", "x-*"])),
    },
)


def selector(spec: dict[str, Any]) -> Selector:
    return Selector.of(sync(destinationNamespace=None, **spec), frozenset({"kube-system"}))


@settings(deadline=None)
@given(specs, st.lists(namespaces, max_size=12), st.sets(st.sampled_from(NAMES)))
def test_a_selection_is_the_same_with_and_without_an_index(
    spec: dict[str, Any], changes: list[Namespace], removed: set[str]
) -> None:
    index, plain = NamespaceIndex(), {}
    for namespace in changes:
        index.put(namespace)
        plain[namespace.name] = namespace
    for name in removed:
        index.remove(name)
        plain.pop(name, None)

    assert dict(index) == plain
    found = {namespace.name for namespace in selector(spec).among(index)}
    assert found == {namespace.name for namespace in selector(spec).among(plain)}


@settings(deadline=None)
@given(specs, namespaces)
def test_every_selector_that_matches_a_namespace_is_found_by_its_keys(
    spec: dict[str, Any], namespace: Namespace
) -> None:
    compiled = selector(spec)
    if compiled.matches(namespace):
        assert not selector_keys(compiled).isdisjoint(namespace_keys(namespace))


def test_a_selector_is_found_only_by_what_it_needs() -> None:
    compiled = selector({"destinationNamespaceSelector": {"matchLabels": {"tier": "web"}}})

    assert selector_keys(compiled).isdisjoint(namespace_keys(Namespace("a", {"tier": "db"})))
    assert selector_keys(compiled).isdisjoint(namespace_keys(Namespace("tier=web", {})))


def test_a_selector_with_many_values_has_few_keys() -> None:
    values = [str(number) for number in range(500)]
    requirement = {"key": "tier", "operator": "In", "values": values}
    spec = {"destinationNamespaceSelector": {"matchExpressions": [requirement]}}

    assert len(selector_keys(selector(spec))) == 1
