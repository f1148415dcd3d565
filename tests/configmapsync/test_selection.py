"""Check which namespaces a spec selects, one rule at a time."""

from fnmatch import fnmatchcase
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from configmapsync.globs import Globs
from configmapsync.reasons import Reason
from configmapsync.selection import Namespace, Selector
from tests.configmapsync.objects import Selection, select, sync

PROTECTED = frozenset({"kube-system"})


def selected(*namespaces: Namespace, **spec: Any) -> Selection:
    spec = {"destinationNamespace": None, **spec}
    return select(
        Selector.of(sync(**spec), PROTECTED),
        {namespace.name: namespace for namespace in namespaces},
    )


def names(*names: str) -> list[Namespace]:
    return [Namespace(name) for name in names]


def test_the_three_forms_add_up_and_exclusion_wins() -> None:
    spaces = [
        *names("web", "team-a", "team-sandbox", "other"),
        Namespace("labelled", {"config": "shared"}),
    ]

    selection = selected(
        *spaces,
        destinationNamespace="web",
        destinationNamespaces=["team-*"],
        destinationNamespaceSelector={"matchLabels": {"config": "shared"}},
        excludedNamespaces=["*-sandbox"],
    )

    assert selection == Selection(("labelled", "team-a", "web"), ())


def test_a_named_namespace_that_cannot_get_a_copy_is_refused_with_a_reason() -> None:
    spaces = [
        Namespace("going", terminating=True),
        Namespace("closed", {"apps.nishaf.info/sync": "disabled"}),
    ]

    selection = selected(*spaces, destinationNamespaces=["going", "closed", "nowhere"])

    assert selection.selected == ()
    assert [(refused.namespace, refused.reason) for refused in selection.refused] == [
        ("closed", Reason.NAMESPACE_DISABLED),
        ("going", Reason.NAMESPACE_TERMINATING),
        ("nowhere", Reason.NAMESPACE_NOT_FOUND),
    ]


def test_a_namespace_that_cannot_get_a_copy_is_not_selected_by_a_glob() -> None:
    spaces = [
        Namespace("going", terminating=True),
        Namespace("closed", {"apps.nishaf.info/sync": "disabled"}),
        Namespace("fine"),
    ]

    assert selected(*spaces, destinationNamespaces=["*"]) == Selection(("fine",), ())


def test_a_protected_namespace_is_selected_only_by_its_exact_name() -> None:
    assert selected(*names("kube-system"), destinationNamespaces=["*", "kube-*"]).selected == ()
    assert selected(*names("kube-system"), destinationNamespaces=["kube-system"]).selected == (
        "kube-system",
    )


def test_the_source_is_never_its_own_copy_but_may_have_a_copy_beside_it() -> None:
    assert selected(*names("home", "b"), destinationNamespaces=["*"]).selected == ("b",)
    assert (
        selected(*names("home"), destinationNamespaces=["home"]).refused[0].reason
        is Reason.INVALID_SPEC
    )
    assert selected(
        *names("home"), destinationNamespaces=["*"], destinationConfigMapName="twin"
    ).selected == ("home",)


def test_an_excluded_name_is_no_failure() -> None:
    assert selected(destinationNamespaces=["gone"], excludedNamespaces=["gone"]) == Selection(
        (), ()
    )


@pytest.mark.parametrize(
    ("operator", "values", "labels", "holds"),
    [
        ("In", ["a", "b"], {"k": "a"}, True),
        ("In", ["a"], {"k": "c"}, False),
        ("In", ["a"], {}, False),
        ("NotIn", ["a"], {"k": "b"}, True),
        ("NotIn", ["a"], {"k": "a"}, False),
        ("NotIn", ["a"], {}, True),
        ("Exists", [], {"k": ""}, True),
        ("Exists", [], {}, False),
        ("DoesNotExist", [], {}, True),
        ("DoesNotExist", [], {"k": ""}, False),
    ],
)
def test_the_four_operators(
    operator: str, values: list[str], labels: dict[str, str], holds: bool
) -> None:
    selector = {"matchExpressions": [{"key": "k", "operator": operator, "values": values}]}

    assert (
        bool(selected(Namespace("x", labels), destinationNamespaceSelector=selector).selected)
        == holds
    )


def test_an_empty_selector_selects_every_namespace() -> None:
    assert selected(*names("x", "y"), destinationNamespaceSelector={}).selected == ("x", "y")


letters = st.text(alphabet="ab-", max_size=6)


@settings(max_examples=500, deadline=None)
@given(st.text(alphabet="ab-*?", min_size=1, max_size=6), letters)
def test_globs_agree_with_the_reference(pattern: str, name: str) -> None:
    assert Globs((pattern,)).matches(name) == fnmatchcase(name, pattern)


def test_a_glob_is_anchored_and_knows_no_other_signs() -> None:
    assert not Globs(("dev",)).matches("dev-x")
    assert not Globs(("d[ae]v",)).matches("dev")
    assert not Globs(("d.v",)).matches("dev")
    assert Globs(("*" * 30 + "x",)).matches("a" * 60 + "x")
