"""Check that log calls have constant messages and keys that the runbook explains."""

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGES = ("kube", "runtime", "reconciler", "webhook", "certs")
LEVELS = {"debug", "info", "warning", "error", "exception"}
RUNBOOK = (ROOT / "docs" / "runbook.md").read_text()
BOUND = {"reconcile", "review"}  # to everything that is logged in a block


@dataclass(frozen=True)
class LogCall:
    """One call in the source."""

    place: str
    call: ast.Call

    @property
    def keys(self) -> set[str]:
        """Under which values are given; not those that only show at run time."""
        return {keyword.arg for keyword in self.call.keywords if keyword.arg}


def log_calls() -> Iterator[LogCall]:
    for package in PACKAGES:
        for file in (ROOT / package).rglob("*.py"):
            for node in ast.walk(ast.parse(file.read_text())):
                match node:
                    case ast.Call(func=ast.Attribute(value=logger, attr=level)) if level in LEVELS:
                        if "log" in ast.unparse(logger):
                            yield LogCall(f"{file.relative_to(ROOT)}:{node.lineno}", node)


CALLS = list(log_calls())
DOCUMENTED = {
    key
    for row in re.findall(
        r"^\| (`.+?`) \|", RUNBOOK.split("## Log lines")[1].split("\n## ")[0], re.MULTILINE
    )
    for key in re.findall(r"`(\w+)`", row)
}


def test_there_are_log_calls_to_look_at() -> None:
    assert len(CALLS) > 30


def test_each_message_is_a_constant_that_can_be_searched_for() -> None:
    assert [each.place for each in CALLS if not isinstance(each.call.args[0], ast.Constant)] == []


def test_each_key_is_explained_in_the_runbook_and_none_is_explained_that_is_not_used() -> None:
    used = {key for each in CALLS for key in each.keys}

    assert {each.place: unknown for each in CALLS if (unknown := each.keys - DOCUMENTED)} == {}
    assert DOCUMENTED - used - BOUND == set()
