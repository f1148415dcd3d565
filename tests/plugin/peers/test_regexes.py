"""Expressions match as in Python's engine, and become globs that match the same."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from configmapsync.globs import Globs
from plugin.peers.regex_parser import LONGEST_REGEX, UnsupportedRegexError, parse
from tests.support.cpu import cpu_seconds

NAMES = st.text("ab1-", min_size=0, max_size=6)
ATOMS = st.sampled_from(
    ["a", "b", "1", "-", ".", "[ab]", "[^a]", "[0-9]", "\\d", "\\-", "\\.", "A"]
)
QUANTIFIERS = st.sampled_from(["", "", "", "*", "+", "?", "{2}", "{1,2}", "{1,}"])


@st.composite
def expressions(draw: st.DrawFn) -> str:
    def branch() -> str:
        parts = draw(st.lists(st.tuples(ATOMS, QUANTIFIERS), max_size=4))
        return "".join(atom + quantifier for atom, quantifier in parts)

    text = branch()
    if draw(st.booleans()):
        text += f"({branch()}|{branch()}){draw(st.sampled_from(['', '?']))}{branch()}"
    if draw(st.booleans()):
        text += f"|{branch()}"
    return text


@settings(max_examples=400)
@given(expressions(), st.lists(NAMES, max_size=8))
def test_an_expression_matches_whole_names_as_pythons_engine_does(
    text: str, names: list[str]
) -> None:
    regex = parse(text)
    for name in names:
        assert regex.matches(name) == (re.fullmatch(text, name) is not None), (text, name)


@settings(max_examples=400)
@given(expressions(), st.lists(NAMES, max_size=8), st.booleans(), st.booleans())
def test_a_searched_expression_needs_anchors_for_the_ends_of_a_name(
    text: str, names: list[str], first: bool, last: bool
) -> None:
    anchored = f"{'^' if first else ''}{text}{'$' if last else ''}"
    regex = parse(anchored, searched=True)
    for name in names:
        assert regex.matches(name) == (re.search(anchored, name) is not None), (anchored, name)


@settings(max_examples=400)
@given(expressions(), st.lists(NAMES, max_size=8))
def test_names_and_globs_of_an_expression_match_exactly_the_same_namespaces(
    text: str, names: list[str]
) -> None:
    regex = parse(text)
    patterns = regex.patterns()
    closest = Globs(regex.closest_globs())
    for name in names:
        if patterns is not None:
            assert Globs(patterns).matches(name) == regex.matches(name), (text, patterns, name)
        assert closest.matches(name) or not regex.matches(name), (text, name)


@pytest.mark.parametrize(
    ("text", "patterns"),
    [
        ("web", ("web",)),
        ("team-.*", ("team-*",)),
        ("team-.+", ("team-?*",)),
        ("^team-.*$", ("team-*",)),
        (".*", ("*",)),
        ("[a-z0-9-]*-prod", ("*-prod",)),
        ("(dev|prod)-web", ("dev-web", "prod-web")),
        ("(?:dev|prod)(-eu)?", ("dev", "dev-eu", "prod", "prod-eu")),
        ("web-[12]", ("web-1", "web-2")),
        ("web.", ("web?",)),
        ("web.{0,2}", ("web", "web?", "web??")),
        ("Web|web", ("web",)),
        ("namespace-[0-9]*", None),
        ("web-[a-z]", None),
        ("[ab]{2}", None),
    ],
)
def test_typical_expressions_become_the_expected_names_and_globs(
    text: str, patterns: tuple[str, ...] | None
) -> None:
    assert parse(text).patterns() == patterns


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("(a", "( without a )"),
        ("a)", ") without a ("),
        ("[a", "[ without a ]"),
        ("*a", "without anything to repeat"),
        ("a{x}", "no number of repetitions"),
        ("a{3,1}", "an empty range"),
        ("a*?", "lazy"),
        ("(ab)+", "repeats a group"),
        ("(?=a)", "begins with (?"),
        ("a\\b", "the escape \\b"),
        ("[[:alpha:]]", "named class"),
        ("[z-a]", "wrong range"),
        ("a^b", "in the middle"),
        ("a$b", "not at the end"),
        ("a" * (LONGEST_REGEX + 1), "characters"),
        ("(a|b)" * 7, "alternatives"),
        ("(a|b|c|d)" * 2 + "x" * 80, "parts"),
    ],
)
def test_an_expression_outside_of_the_supported_part_is_refused(text: str, problem: str) -> None:
    with pytest.raises(UnsupportedRegexError) as caught:
        parse(text)
    assert problem in str(caught.value)


def test_an_expression_that_ruins_a_backtracking_engine_is_cheap() -> None:
    regex = parse("a*" * 60 + "b")
    matched: list[bool] = []
    # Python's engine needs longer than the universe.
    assert cpu_seconds(lambda: matched.extend(regex.matches("a" * 63) for _ in range(100))) < 5.0
    assert matched.count(False) == 100
