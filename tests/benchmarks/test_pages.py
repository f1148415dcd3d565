"""The pages show one measurement, and a benchmark replaces only its own table."""

from pathlib import Path

import pytest

from benchmarks.pages import PERFORMANCE, README, put_table, table_of

PAGE = """before
<!-- measured: one -->
| old |
<!-- end -->
between
<!-- measured: two -->
| other |
<!-- end -->
after
"""


def cells(page: Path, column: int) -> dict[str, str]:
    """Return the cells of column `column`, the ratio, by the titles of their rows."""
    rows = [
        [cell.strip() for cell in line.strip("| ").split(" | ")]
        for line in table_of(page, "stories").splitlines()
        if line.startswith("|")
    ]
    return {row[0]: row[column] for row in rows[2:] if row[column:] and row[column]}


def test_a_table_is_replaced_and_nothing_else(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(PAGE)
    put_table(page, "one", "| new |\n| \\1 |\n")
    assert page.read_text() == PAGE.replace("| old |", "| new |\n| \\1 |")
    assert table_of(page, "two") == "| other |"


def test_a_table_without_a_place_is_an_error(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(PAGE)
    with pytest.raises(LookupError, match="three"):
        put_table(page, "three", "| new |")


def test_the_readme_and_the_performance_page_agree() -> None:
    assert cells(README, 3) == cells(PERFORMANCE, 3)
    assert len(cells(README, 3)) >= 6
