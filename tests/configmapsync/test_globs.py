"""Check globs against a simple matcher, and the cost of hostile patterns."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from configmapsync.globs import Globs, general_characters, is_glob


def obviously_matches(pattern: str, name: str) -> bool:
    """Match letter by letter, slowly, as the definition says."""
    if not pattern:
        return not name
    if pattern[0] == "*":
        return any(obviously_matches(pattern[1:], name[start:]) for start in range(len(name) + 1))
    return bool(name) and pattern[0] in {"?", name[0]} and obviously_matches(pattern[1:], name[1:])


@settings(max_examples=300, deadline=None)
@given(st.text(alphabet="ab*?.", max_size=7), st.text(alphabet="ab.\n", max_size=7))
def test_each_pattern_agrees_with_the_simple_matcher(pattern: str, name: str) -> None:
    assert Globs((pattern,)).matches(name) == obviously_matches(pattern, name)


@settings(max_examples=300, deadline=None)
@given(
    st.lists(st.text(alphabet="ab*?.", max_size=6), max_size=5),
    st.lists(st.text(alphabet="ab.\n", max_size=7), max_size=8),
)
def test_many_names_at_once_match_as_each_alone(patterns: list[str], names: list[str]) -> None:
    globs = Globs(patterns)
    matching = {
        name for name in names if any(obviously_matches(pattern, name) for pattern in patterns)
    }

    assert globs.among(names) == matching
    assert {name for name in names if globs.matches(name)} == matching
    assert globs.unmatched(names) == tuple(
        pattern
        for pattern in patterns
        if not any(obviously_matches(pattern, name) for name in names)
    )


@pytest.mark.parametrize("length", [1, 253, 8192])
def test_names_are_matched_across_blocks(length: int) -> None:
    names = [
        f"{number:06}{'x' * (length - 1)}{number % 7}" for number in range(70_000 // length + 5)
    ]
    globs = Globs(["*x*3", "0*x?5", "0000?1*1"])

    assert globs.among(names) == {name for name in names if globs.matches(name)}


def test_only_globs_that_are_no_plain_prefix_or_suffix_count_as_expensive() -> None:
    assert general_characters(["a*", "**b", "*", "name", "a*"]) == 0
    assert general_characters(["a*b", "a*b", "a**b", "?"]) == 4


@pytest.mark.parametrize(
    "hostile", ["*a" * 30 + "*b", "*?" * 30 + "b", "a*" * 30 + "b*c", "*" * 62 + "b"]
)
def test_no_pattern_is_expensive_to_match(hostile: str) -> None:
    assert not Globs((hostile,)).matches(
        "a" * 250
    )  # exponential matching would exceed the time limit of the test


@pytest.mark.parametrize(
    ("text", "pattern"), [("team-*", True), ("team-?", True), ("team-a", False), ("[a]", False)]
)
def test_only_star_and_question_mark_make_a_pattern(text: str, pattern: bool) -> None:
    assert is_glob(text) == pattern
