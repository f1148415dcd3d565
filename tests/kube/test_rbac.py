"""Rules of many parts become one role: the same rights, no more and no fewer."""

from hypothesis import given
from hypothesis import strategies as st

from kube.rbac import Rule, merged

VERBS = ("get", "list", "watch", "create", "patch")
rules = st.builds(
    Rule,
    resource=st.sampled_from(("configmaps", "events")),
    verbs=st.lists(st.sampled_from(VERBS), min_size=1, unique=True).map(tuple),
    group=st.sampled_from(("", "apps")),
    names=st.sampled_from(((), ("one",))),
    why=st.sampled_from(("", "reading", "writing")),
)


def rights(of: tuple[Rule, ...]) -> set[tuple[str, str, tuple[str, ...], str]]:
    return {(rule.group, rule.resource, rule.names, verb) for rule in of for verb in rule.verbs}


@given(st.lists(rules).map(tuple))
def test_merging_changes_no_right_and_leaves_one_rule_for_each_resource(
    given_rules: tuple[Rule, ...],
) -> None:
    result = merged(given_rules)
    assert rights(result) == rights(given_rules)
    places = [(rule.group, rule.resource, rule.names) for rule in result]
    assert places == sorted(set(places))


def test_reasons_are_told_once_and_in_order() -> None:
    [rule] = merged(
        (
            Rule("a", ("get",), why="x"),
            Rule("a", ("list",)),
            Rule("a", ("get",), why="y"),
            Rule("a", (), why="x"),
        )
    )
    assert rule == Rule("a", ("get", "list"), why="x; y")
