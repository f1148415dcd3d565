"""Shorten a failed run: `python -m tests.randomized.shorten FILE`.

FILE holds the steps as hypothesis prints them (`state.begin(...)`, one call per line).
The output is the body of a test for `test_regressions.py`: the steps without which the
run does not fail. Hypothesis could shrink as well, but takes minutes because it works
on bytes.
"""

import ast
import copy
import sys
from collections.abc import Iterator
from pathlib import Path

import celpy

from tests.randomized.machine import RandomRuns

Statements = list[ast.stmt]
NEEDED = {"configMapName", "data"}  # without these no spec and no content is valid


def failure(steps: Statements) -> str | None:
    """Return the failure of a run; None if it passes."""
    state, wrong = RandomRuns(), ""
    try:
        for statement in steps:
            exec(ast.unparse(statement), {"state": state})  # noqa: S102 - the file is the caller's own
    except AssertionError as error:
        wrong = str(error)
    try:
        state.teardown()
    except AssertionError as error:
        wrong = wrong or str(error)
    return wrong or None


def shortened(steps: Statements) -> Statements:
    """Return fewer or smaller steps that still fail."""
    while (
        shorter := next((tried for tried in _shorter(steps) if failure(tried)), None)
    ) is not None:
        steps = shorter
    return steps


def _shorter(steps: Statements) -> Iterator[Statements]:
    """Yield the run without each step, and without each entry of a dictionary or list."""
    for position in reversed(range(len(steps))):
        yield steps[:position] + steps[position + 1 :]
    for position, statement in enumerate(steps):
        for lighter in _lighter(statement):
            yield [*steps[:position], lighter, *steps[position + 1 :]]


def _lighter(statement: ast.stmt) -> Iterator[ast.stmt]:
    for number, part in enumerate(ast.walk(statement)):
        if isinstance(part, ast.Dict):
            removable = [
                at
                for at, key in enumerate(part.keys)
                if ast.unparse(key or part).strip("'") not in NEEDED
            ]
        elif isinstance(part, ast.List):
            removable = list(range(len(part.elts)))
        else:
            continue
        for at in removable:
            lighter = copy.deepcopy(statement)
            found = list(ast.walk(lighter))[number]
            if isinstance(found, ast.Dict):
                del found.keys[at], found.values[at]
            elif isinstance(found, ast.List):
                del found.elts[at]
            yield lighter


def main() -> int:
    """Shorten the run in the file that the first argument names.

    Returns:
        The exit code: 1 if the run does not fail.
    """
    celpy.Environment()
    printed = ast.parse(Path(sys.argv[1]).read_text(encoding="utf-8")).body
    steps = [
        part
        for part in printed
        if isinstance(part, ast.Expr) and "teardown" not in ast.unparse(part)
    ]
    if failure(steps) is None:
        sys.stderr.write("this run does not fail\n")
        return 1
    short = shortened(steps)
    sys.stdout.write("\n".join(ast.unparse(part) for part in short) + f"\n\n{failure(short)}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
