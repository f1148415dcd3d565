"""Globs: against an obvious matcher, letter by letter, and with patterns made to hold everybody up."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from configmapsync.globs import is_glob, matches


def obviously_matches(pattern: str, name: str) -> bool:
    """The definition itself, slow and plain."""
    if not pattern:
        return not name
    if pattern[0] == "*":
        return any(obviously_matches(pattern[1:], name[start:]) for start in range(len(name) + 1))
    return bool(name) and pattern[0] in {"?", name[0]} and obviously_matches(pattern[1:], name[1:])


@settings(max_examples=300, deadline=None)
@given(st.text(alphabet="ab*?.", max_size=7), st.text(alphabet="ab.\n", max_size=7))
def test_every_pattern_means_what_its_definition_says(pattern: str, name: str) -> None:
    assert matches(pattern, name) == obviously_matches(pattern, name)


@pytest.mark.parametrize("hostile", ["*a" * 30 + "*b", "*?" * 30 + "b", "a*" * 30 + "b*c", "*" * 62 + "b"])
def test_no_pattern_can_hold_the_process_up(hostile: str) -> None:
    assert not matches(hostile, "a" * 250)  # tried every way, this would outlive the test's own time limit


@pytest.mark.parametrize(("text", "pattern"), [("team-*", True), ("team-?", True), ("team-a", False), ("[a]", False)])
def test_only_star_and_question_mark_make_a_pattern(text: str, pattern: bool) -> None:
    assert is_glob(text) == pattern
