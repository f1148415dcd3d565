"""docs/plugin.md names every command, and its examples run."""

import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from plugin.cli import COMMANDS, cli
from plugin.rows import DELETING, NOT_REPORTED, OUTDATED

PAGE = (Path(__file__).parents[2] / "docs" / "plugin.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"^\$ kubectl configmapsync ([^|>\n]+)", PAGE, re.MULTILINE)


def test_the_page_names_every_command() -> None:
    assert [name for name in COMMANDS if f"`{name}`" not in PAGE] == []


@pytest.mark.parametrize("example", EXAMPLES)
def test_the_command_line_of_each_example_is_valid(example: str) -> None:
    """A command that is asked for help has parsed the options before it."""
    result = CliRunner().invoke(cli, [*example.split(), "--help"])
    assert result.exit_code == 0, result.output


def test_the_states_that_are_no_reasons_are_explained() -> None:
    for word in (DELETING, NOT_REPORTED, OUTDATED):
        assert f"`{word}`" in PAGE
