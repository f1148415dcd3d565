"""Each promise of docs/reliability.md names a test, and no chaos journey is missing."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "reliability.md").read_text(encoding="utf-8")
NAMED = sorted(set(re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", PAGE)))
# Journeys whose every test belongs to a promise.
COMPLETE = (
    "tests/journeys/test_chaos.py",
    "tests/journeys/test_load.py",
    "tests/journeys/test_probes.py",
)


def names_in(file: str) -> set[str]:
    """Return the names of the tests in a file."""
    parts = ast.parse((ROOT / file).read_text(encoding="utf-8")).body
    functions = (each for each in parts if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef))
    return {each.name for each in functions if each.name.startswith("test_")}


@pytest.mark.parametrize(("file", "name"), NAMED)
def test_each_named_test_exists(file: str, name: str) -> None:
    assert name in names_in(file)


@pytest.mark.parametrize("file", COMPLETE)
def test_each_test_of_these_journeys_is_named(file: str) -> None:
    assert names_in(file) == {name for named, name in NAMED if named == file}


def test_each_named_file_exists() -> None:
    files = re.findall(r"`(tests/[\w/.]+)`", PAGE)
    assert len(files) >= 5
    assert [file for file in files if not (ROOT / file).is_file()] == []
