"""Shells complete the commands and options, for the program and through kubectl."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from click.testing import CliRunner

from plugin.cli import COMMANDS, cli
from plugin.kubectl_completion import main
from tests.support.kubectl import kubectl_program
from tests.support.plugin import write_programs


@pytest.fixture
def programs(tmp_path: Path) -> Path:
    """A folder with the console scripts of the plugin."""
    write_programs(tmp_path)
    return tmp_path


def answered(capsys: pytest.CaptureFixture[str], *words: str) -> list[str]:
    assert main(words) == 0
    return capsys.readouterr().out.splitlines()


def test_kubectl_gets_commands_options_and_values(capsys: pytest.CaptureFixture[str]) -> None:
    *commands, directive = answered(capsys, "")
    assert [line.split("\t")[0] for line in commands] == list(COMMANDS)
    assert directive == ":4"
    assert [line.split("\t")[0] for line in answered(capsys, "st")] == ["status", ":4"]
    assert "--all-namespaces\tall namespaces" in answered(capsys, "status", "--all")
    assert answered(capsys, "status", "-o", "y") == ["yaml", ":4"]
    assert answered(capsys, "status", "--kubeconfig", "") == [":0"]
    assert answered(capsys, "completion", "") == ["bash", "zsh", "fish", ":4"]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_each_script_names_the_program_and_is_read_by_its_shell(shell: str, tmp_path: Path) -> None:
    if shell == "bash" and shutil.which("bash") is None:
        pytest.skip("click asks bash for its version")
    result = CliRunner().invoke(cli, ["completion", shell])
    assert result.exit_code == 0, result.output
    assert "kubectl-configmapsync" in result.output
    script = tmp_path / "script"
    script.write_text(result.output)
    if (program := shutil.which(shell)) is not None:
        subprocess.run([program, "-n", script], check=True, timeout=60)


def test_bash_completes_the_program(programs: Path, tmp_path: Path) -> None:
    if (bash := shutil.which("bash")) is None:
        pytest.skip("needs bash")
    script = tmp_path / "script"
    script.write_text(CliRunner().invoke(cli, ["completion", "bash"]).output)
    questions = f"""
source {script}
COMP_WORDS=({programs}/kubectl-configmapsync doc); COMP_CWORD=1
_kubectl_configmapsync_completion {programs}/kubectl-configmapsync
echo "${{COMPREPLY[@]}}"
"""
    done = subprocess.run(
        [bash, "-c", questions], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.split() == ["doctor"], done.stderr


def test_kubectl_completes_the_plugin_from_the_path(programs: Path) -> None:
    environment = {**os.environ, "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}"}
    done = subprocess.run(
        [str(kubectl_program()), "__complete", "configmapsync", "doc"],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
        env=environment,
    )
    assert done.stdout.splitlines() == [
        f"doctor\t{COMMANDS['doctor']}",
        ":4",
    ]
