"""The commands of docs/moving.md move the samples of three tools as the page shows."""

from pathlib import Path

import pytest

from tests.docs.pages import DOCS, ROOT, commands, run
from tests.journeys.installation import Installation

PAGE = DOCS / "moving.md"


@pytest.mark.timeout(600)  # it installs the operator
def test_the_commands_of_the_page_move_a_cluster_from_three_tools(
    installation: Installation, tmp_path: Path
) -> None:
    (tmp_path / "config").symlink_to(ROOT / "config")
    found = commands(PAGE)

    for sample in (ROOT / "config" / "samples" / "moving").glob("*.yaml"):
        assert any(sample.name in command.line for command in found), sample
    for command in found:
        run(command, installation.cluster, tmp_path)
