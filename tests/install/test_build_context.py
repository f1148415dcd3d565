"""The build context of the image contains every package of the wheel."""

import re
import tomllib

from tests.install.locks import ROOT


def test_the_build_context_holds_every_package_of_the_wheel() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    patterns = project["tool"]["setuptools"]["packages"]["find"]["include"]
    packages = {pattern.rstrip("*") for pattern in patterns}
    let_in = set(re.findall(r"^!(\w+)$", (ROOT / ".dockerignore").read_text(), re.MULTILINE))

    assert packages <= let_in
    assert "devcluster" not in packages
