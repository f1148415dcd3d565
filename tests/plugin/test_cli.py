"""The command line starts fast, names its commands, and completes them."""

import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner

from dryrun.settings import PlanSettings
from plugin.cli import COMMANDS, COMPLETION_VARIABLE, LazyGroup, cli
from runtime.settings import load

# What a command imports and `--help` must not: the client, the models, YAML.
HEAVY = {"aiohttp", "asyncio", "configmapsync", "cryptography", "kube", "kubernetes_asyncio"} | {
    "msgspec",
    "pydantic",
    "structlog",
    "yaml",
}
# Of click and the standard library; with the whole program it would be more than 1,000.
MOST_MODULES = 250


def run_module(*arguments: str, script: str = "") -> subprocess.CompletedProcess[str]:
    command = ["-c", script] if script else ["-m", "plugin"]
    return subprocess.run(
        [sys.executable, *command, *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        cwd=Path(__file__).parents[2],
    )


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], [], ["no-such-command"]])
def test_the_program_starts_without_importing_a_command(arguments: list[str]) -> None:
    script = f"""
import sys
from plugin.cli import main
try:
    main({arguments!r})
except SystemExit:
    pass
print("modules:", *sorted(sys.modules))
"""
    output = run_module(script=script).stdout
    modules = set(output.rpartition("modules:")[2].split())
    assert "plugin.cli" in modules
    assert {module.partition(".")[0] for module in modules} & HEAVY == set()
    assert len(modules) < MOST_MODULES


def test_help_lists_every_command_with_the_summary_of_the_command() -> None:
    printed = " ".join(CliRunner().invoke(cli, ["--help"]).output.split())
    for name, summary in COMMANDS.items():
        command = LazyGroup().get_command(click.Context(cli), name)
        assert isinstance(command, click.Command)
        assert f"{name} {summary}" in printed
        assert (command.help or "").replace("\n", " ").startswith(summary.rstrip("."))


@pytest.mark.parametrize("name", COMMANDS)
def test_each_command_explains_itself_and_its_options(name: str) -> None:
    result = CliRunner().invoke(cli, [name, "--help"])
    assert result.exit_code == 0
    assert f"Usage: cli {name}" in result.output
    options = re.findall(r"^  (-\S.*)", result.output, re.MULTILINE)
    assert any(option.startswith("-h, --help") for option in options)


def test_a_wrong_flag_and_a_wrong_command_end_with_two() -> None:
    for arguments in (["--no-such-flag"], ["no-such-command"], ["status", "-A", "-n", "web"]):
        result = CliRunner().invoke(cli, arguments)
        assert result.exit_code == 2, arguments
        assert "Usage: " in result.output


def test_plan_has_every_flag_of_the_dry_run_and_passes_its_value_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    passed: list[PlanSettings] = []

    def dry_run(arguments: Sequence[str], program: str) -> int:
        passed.append(load(PlanSettings, program, arguments))
        return 0

    monkeypatch.setattr("plugin.planning.dryrun_main", dry_run)
    values: dict[str, Any] = {
        "syncs": ["web/a", "web/b"],
        "filename": ["x.yaml", "y.yaml"],
        "with_cluster": True,
        "output": "json",
        "protected_namespaces": ["one", "two"],
        "operator_namespace": "operators",
        "kubeconfig": Path("no-file"),
        "context": "here",
        "relaxed_tls": True,
    }
    assert values.keys() == PlanSettings.model_fields.keys()
    flags = ["-f", "x.yaml", "-f", "y.yaml", "--with-cluster", "-o", "json", "--relaxed-tls"]
    flags += ["--protected-namespaces", "one,two", "--operator-namespace", "operators"]
    flags += ["--kubeconfig", "no-file", "--context", "here", "web/a", "web/b"]
    assert CliRunner().invoke(cli, ["plan", *flags]).exit_code == 0
    assert CliRunner().invoke(cli, ["plan"]).exit_code == 0
    assert passed == [PlanSettings(**values), PlanSettings()]


@pytest.mark.parametrize("words", ["", "st"])
def test_the_shell_completes_commands_without_importing_them(words: str) -> None:
    script = f"""
import os, sys
os.environ[{COMPLETION_VARIABLE!r}] = "bash_complete"
os.environ.update(COMP_WORDS="kubectl-configmapsync {words}", COMP_CWORD="1")
from plugin.cli import main
try:
    main([])
except SystemExit:
    pass
print("pydantic" in sys.modules)
"""
    lines = run_module(script=script).stdout.split()
    assert "plain,status" in lines
    assert lines[-1] == "False"


@pytest.mark.parametrize("name", COMMANDS)
def test_help_names_the_kind_of_each_value(name: str) -> None:
    """`TEXT` says nothing about a value."""
    printed = CliRunner().invoke(cli, [name, "--help"]).output
    assert re.findall(r" (?:TEXT|INTEGER)\b", printed) == []
