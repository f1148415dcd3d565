"""Check the licence in the source, the Python package, the image and the chart."""

import importlib.metadata
import tomllib
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[1]
LICENSE = "Apache-2.0"


def test_the_source_has_the_whole_text() -> None:
    text = (ROOT / "LICENSE").read_text()

    assert "Apache License\n                           Version 2.0, January 2004" in text
    assert all(f"\n   {section}. " in text for section in range(1, 10))
    assert "END OF TERMS AND CONDITIONS" in text


def test_the_package_names_it_and_contains_the_text() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    metadata = importlib.metadata.metadata("configmapsync")

    assert project["license"] == metadata["License-Expression"] == LICENSE
    assert metadata["License-File"] == "LICENSE"


def test_the_image_and_the_chart_name_it() -> None:
    chart = yaml.safe_load((ROOT / "charts/configmapsync/Chart.yaml").read_text())

    assert f'org.opencontainers.image.licenses="{LICENSE}"' in (ROOT / "Dockerfile").read_text()
    assert chart["annotations"]["artifacthub.io/license"] == LICENSE
