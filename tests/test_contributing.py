"""Editor settings, commit hooks, security policy and decisions match the repository."""

import ast
import configparser
import re
import shlex
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[1]
HOOKS: list[dict[str, Any]] = [
    hook
    for repository in yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"]
    for hook in repository["hooks"]
]
DECISIONS = sorted((ROOT / "docs" / "decisions").glob("[0-9]*.md"))
LONGEST_DECISION_LINES = 60  # one page
LINK = re.compile(r"\]\((?!https?://)([^)#]+)(?:#[^)]*)?\)")


def commands_of_lint() -> set[str]:
    """The commands of `make lint`, as the shell sees them."""
    recipe = re.search(r"^lint:.*\n((?:\t.*\n)+)", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert recipe is not None
    return {line.strip().replace("$(BIN)", ".venv/bin") for line in recipe[1].splitlines()}


def without_file_options(command: str) -> str:
    """The command for the whole tree: pre-commit adds the files, make says `.`."""
    return command.replace(" --force-exclude", "").removesuffix(" .")


def test_the_commit_hooks_run_what_make_lint_runs() -> None:
    hooks = {without_file_options(hook["entry"]) for hook in HOOKS}

    assert hooks == {without_file_options(command) for command in commands_of_lint()}


@pytest.mark.parametrize("hook", HOOKS, ids=lambda hook: hook["id"])
def test_each_commit_hook_calls_a_command_from_the_locks(hook: dict[str, Any]) -> None:
    program, *arguments = shlex.split(hook["entry"])
    installed = {path.name for path in Path(pytest.__file__).parents[4].joinpath("bin").iterdir()}

    assert hook["language"] == "system"
    assert Path(program).parent == Path(".venv/bin")
    assert Path(program).name in installed
    assert [each for each in arguments if each.endswith(".py") and not (ROOT / each).exists()] == []
    if "files" in hook:
        assert re.search(hook["files"], "reconciler/app.py")


def test_the_editor_settings_fit_the_formatter() -> None:
    parser = configparser.ConfigParser()
    parser.read_string("[top]\n" + (ROOT / ".editorconfig").read_text())
    ruff = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["ruff"]

    assert parser["*.py"]["indent_size"] == "4"
    assert int(parser["*.py"]["max_line_length"]) <= ruff["line-length"]


def test_the_index_lists_each_decision_in_order_by_its_title() -> None:
    index = (ROOT / "docs/decisions/README.md").read_text()
    rows = re.findall(r"^\| (\d+) \| \[(.+)\]\((.+)\) \|$", index, re.MULTILINE)

    assert [page for _, _, page in rows] == [path.name for path in DECISIONS]
    for (number, title, _), path in zip(rows, DECISIONS, strict=True):
        assert path.read_text().splitlines()[0] == f"# {number}. {title}"


@pytest.mark.parametrize("page", DECISIONS, ids=lambda page: page.stem)
def test_a_decision_has_four_parts_and_fits_on_a_page(page: Path) -> None:
    text = page.read_text()

    assert re.findall(r"^## (.+)$", text, re.MULTILINE) == [
        "Context",
        "Decision",
        "Consequences",
        "Alternatives",
    ]
    assert len(text.splitlines()) <= LONGEST_DECISION_LINES
    assert text.partition("## Alternatives")[2].count("\n- **") >= 3


@pytest.mark.parametrize("page", DECISIONS, ids=lambda page: page.stem)
def test_a_decision_names_files_that_exist(page: Path) -> None:
    named = re.findall(r"`((?:\w+/)+[\w.-]*)`", page.read_text())

    assert [path for path in named if not (ROOT / path).exists()] == []


@pytest.mark.parametrize("page", ["SECURITY.md", "docs/decisions/README.md"])
def test_links_lead_to_files_that_exist(page: str) -> None:
    folder = (ROOT / page).parent
    targets = LINK.findall((ROOT / page).read_text())

    assert targets
    assert [target for target in targets if not (folder / target).exists()] == []


def test_contributing_names_files_functions_and_targets_that_exist() -> None:
    page = (ROOT / "CONTRIBUTING.md").read_text()
    paths = set(re.findall(r"`((?:\w+/)+[\w.-]*|\w+\.md)`", page))
    symbols = re.findall(r"`([\w.]+)` in\s+`([\w/]+\.py)`", page)
    targets = set(re.findall(r"make ([a-z]+)", page))
    makefile = (ROOT / "Makefile").read_text()

    assert len(paths) > 30
    assert [path for path in paths if not (ROOT / path).exists()] == []
    assert len(symbols) >= 3
    for symbol, path in symbols:
        code = (ROOT / path).read_text()
        assert re.search(rf"^(?:class |def )?{symbol}\b", code, re.MULTILINE), (symbol, path)
    assert [target for target in targets if f"\n{target}:" not in makefile] == []


def defined_in(path: Path) -> set[str]:
    """Return the functions of a module, and its methods as `Class.method`."""
    names = set()
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            names.add(node.name)
        elif isinstance(node, ast.ClassDef):
            names |= {
                f"{node.name}.{method.name}"
                for method in node.body
                if isinstance(method, ast.FunctionDef | ast.AsyncFunctionDef)
            }
    return names


def test_one_change_has_ten_stops_and_names_functions_that_exist() -> None:
    page = (ROOT / "docs" / "one-change.md").read_text()
    named = re.findall(r"`([\w/]+\.py)`\s+\(`([\w.]+)`\)", page)

    assert re.findall(r"^(\d+)\. ", page, re.MULTILINE) == [str(stop) for stop in range(1, 11)]
    assert len(named) >= 15
    missing = [(path, name) for path, name in named if name not in defined_in(ROOT / path)]
    assert missing == []
