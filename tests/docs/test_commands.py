"""Each command on a page exists: its program, its subcommand or target, and its flags.

The pages whose commands run in a test (tasks, quick start, exercises) are checked there
with their output.
"""

import functools
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from tests.docs.pages import DOCS, ROOT, commands
from tests.support.kubectl import kubectl_program

PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted(DOCS.rglob("*.md"))]
COMMANDS = sorted({command.line for page in PAGES for command in commands(page)})
# Programs of others that a page may use; what they accept is not checked.
OTHERS = {
    *("kind", "docker", "helm", "git", "curl", "openssl", "kill", "export", "read", "etcdutl"),
    *(
        "pipx",
        "python3",
        "cd",
        "cat",
        "grep",
        "jq",
        "sort",
        "argocd",
        "source",
        "test",
        "pytest",
        "dot",
        "pip",
    ),
}
TARGETS = set(
    re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
)


def parts_of(line: str) -> list[list[str]]:
    """Return the words of each command of a pipeline or a sequence."""
    lexer = shlex.shlex(line.replace("\\\n", " "), posix=True, punctuation_chars="|;&()")
    lexer.whitespace_split = True
    parts: list[list[str]] = [[]]
    for word in lexer:
        if set(word) <= set("|;&()"):
            parts.append([])
        else:
            parts[-1].append(word)
    return [part for part in parts if part]


@functools.cache
def help_of(*program: str) -> str:
    done = subprocess.run(
        [*program, "--help"], capture_output=True, text=True, check=False, cwd=ROOT, timeout=60
    )
    return done.stdout + done.stderr


@functools.cache
def kubectl_options() -> str:
    return subprocess.run(
        [kubectl_program(), "options"], capture_output=True, text=True, check=True
    ).stdout


def problem(words: list[str]) -> str | None:
    """Return what does not exist of a command."""
    while words and re.match(r"^[A-Z_]+=", words[0]):
        words = words[1:]
    if not words or words[0] in OTHERS:
        return None
    program, *rest = words
    if program == "kubectl-configmapsync":
        program, rest = "kubectl", ["configmapsync", *rest]
    flags = {word.partition("=")[0] for word in rest if word.startswith("--") and word != "--"}
    if program == "make":
        unknown = {word for word in rest if "=" not in word} - TARGETS
        return f"make has no target {unknown}" if unknown else None
    if program == "kubectl" and rest[0] == "configmapsync":
        command = [word for word in rest[1:2] if not word.startswith("-")]
        shown = help_of(sys.executable, "-m", "plugin", *command)
        if "No such command" in shown:
            return f"the plugin has no command {rest[1]}"
    elif program == "kubectl":
        shown = help_of(str(kubectl_program()), *_subcommand(rest)) + kubectl_options()
    elif program == "python" and rest[0] == "-m":
        if not (_file(rest[1]) or _file(f"{rest[1]}.__main__")):
            return f"there is no module {rest[1]}"
        shown = help_of(sys.executable, "-m", *_subcommand(rest[1:])) if flags else ""
    else:
        return f"no test knows the program {program}"
    missing = {flag for flag in flags if not re.search(rf"{flag}\b", shown)}
    return f"{program} {rest[0]} has no {missing}" if missing else None


def _subcommand(words: list[str]) -> list[str]:
    """Return a program or verb with its subcommand."""
    nested = {"auth", "config", "create", "rollout", "set", "certs", "reconciler"}
    two = words[0] in nested and len(words) > 1 and re.fullmatch(r"[a-z-]+", words[1])
    return words[:2] if two else words[:1]


def _file(module: str) -> bool:
    return (ROOT / f"{module.replace('.', '/')}.py").exists()


@pytest.mark.parametrize("line", COMMANDS)
def test_a_command_of_a_page_exists(line: str) -> None:
    problems = [found for part in parts_of(line) if (found := problem(part))]

    assert problems == []


def test_pages_without_commands_are_not_missed() -> None:
    assert len(COMMANDS) > 60


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_a_sample_that_a_page_names_exists(page: Path) -> None:
    named = re.findall(r"config/samples/[\w./-]+\.yaml", page.read_text(encoding="utf-8"))

    assert [path for path in named if not (ROOT / path).exists()] == []
