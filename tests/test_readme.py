"""Check that the names and examples in the README and docs/ are true."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from configmapsync.defaulting import with_defaults
from configmapsync.parsing import parse
from configmapsync.reasons import Reason
from configmapsync.spec import ConfigMapSyncSpec
from configmapsync.validation import validate
from tests.support.plans import CHANGES, plan

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
PAGES = {
    "README": README,
    **{
        page.stem: page.read_text(encoding="utf-8")
        for page in (ROOT / "docs").glob("*.md")
        if page.stem != "index"  # it includes the README
    },
}


def test_the_resource_shown_is_valid_and_shows_every_field_that_works() -> None:
    sample = yaml.safe_load(README.split("```yaml\n", 1)[1].split("```", 1)[0])

    sync = with_defaults(parse(sample))

    assert validate(sync) == []
    fields = {info.alias for info in ConfigMapSyncSpec.model_fields.values()}
    assert set(sample["spec"]) == fields


@pytest.mark.parametrize("name", sorted(PAGES))
def test_every_file_that_is_named_exists(name: str) -> None:
    page, folder = PAGES[name], ROOT if name == "README" else ROOT / "docs"
    named = {
        path
        for path in re.findall(r"`((?:[a-z_-]+/)+[\w.-]+)`", page)
        if not path.startswith(("dist/", "build/"))
    }  # which are built
    linked = set(re.findall(r"\]\(([\w/.-]+)(?:#[\w-]+)?\)", page))

    assert named | linked
    assert [path for path in named if not (ROOT / path).exists()] == []
    assert [path for path in linked if not (folder / path).exists()] == []


def test_one_table_explains_every_reason_word_once() -> None:
    table = README.split("| reason |", 1)[1].split("\n\n", 1)[0]
    rows = [row.split("|")[1:-1] for row in table.splitlines()[2:]]
    explained = [word for words, *_ in rows for word in re.findall(r"`(\w+)`", words)]

    assert sorted(explained) == sorted(Reason)
    assert all(cause.strip() for _, cause, _ in rows)


@pytest.mark.parametrize(
    "module", sorted(set(re.findall(r"python -m (reconciler|webhook|certs|devcluster)", README)))
)
def test_what_is_run_starts_and_explains_itself(module: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", module, "--help"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert done.returncode == 0
    assert "usage" in done.stdout


def test_the_plan_command_prints_the_plan_that_the_readme_shows() -> None:
    command, _, shown = (
        README.split("$ python -m reconciler plan ", 1)[1].split("```", 1)[0].partition("\n")
    )

    result = plan(*command.split())

    assert result.stdout == shown
    assert result.code == CHANGES


@pytest.mark.parametrize("name", sorted(PAGES))
def test_every_make_target_that_is_named_exists(name: str) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))

    assert set(re.findall(r"(?:^    |^\$ |`)make ([a-z-]+)", PAGES[name], re.MULTILINE)) <= targets


def test_the_glossary_explains_each_word_once_and_the_code_uses_it() -> None:
    words = re.findall(r"^\| \*\*(.+?)\*\* \|", PAGES["glossary"], re.MULTILINE)
    code = "\n".join(
        path.read_text(encoding="utf-8")
        for package in ("configmapsync", "kube", "reconciler", "webhook")
        for path in (ROOT / package).rglob("*.py")
    ).lower()

    assert len(words) == len(set(words)) >= 15
    assert [word for word in words if word.split()[0] not in code] == []
