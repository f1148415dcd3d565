"""Makes a failed history short: `python -m tests.randomized.shorten FILE` takes out whatever it fails without, and prints what is left.

FILE holds the history as hypothesis printed it (`state.begin(...)`, one call after the other). What comes out is the body of a test for
`test_kept.py`. Hypothesis could do the same, but knows nothing of statements and takes minutes.
"""

import ast
import copy
import sys
from collections.abc import Iterator
from pathlib import Path

import celpy

from tests.randomized.machine import Histories

Statements = list[ast.stmt]
NEEDED = {"configMapName", "data"}  # without these no spec and no content is one


def failure(history: Statements) -> str | None:
    """What goes wrong in a history; None where all is well."""
    state, wrong = Histories(), ""
    try:
        for statement in history:
            exec(ast.unparse(statement), {"state": state})  # noqa: S102 - the file is the caller's own
    except AssertionError as error:
        wrong = str(error)
    try:
        state.teardown()
    except AssertionError as error:
        wrong = wrong or str(error)
    return wrong or None


def shortened(history: Statements) -> Statements:
    """The same failure in fewer words."""
    while (
        shorter := next((tried for tried in _shorter(history) if failure(tried)), None)
    ) is not None:
        history = shorter
    return history


def _shorter(history: Statements) -> Iterator[Statements]:
    """Every history with one statement less, or one entry of a dictionary or list less."""
    for position in reversed(range(len(history))):
        yield history[:position] + history[position + 1 :]
    for position, statement in enumerate(history):
        for lighter in _lighter(statement):
            yield [*history[:position], lighter, *history[position + 1 :]]


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


def main() -> None:
    """Shorten the history in the file that is named."""
    celpy.Environment()
    printed = ast.parse(Path(sys.argv[1]).read_text(encoding="utf-8")).body
    history = [
        part
        for part in printed
        if isinstance(part, ast.Expr) and "teardown" not in ast.unparse(part)
    ]
    if failure(history) is None:
        sys.exit("this history ends well")
    short = shortened(history)
    sys.stdout.write("\n".join(ast.unparse(part) for part in short) + f"\n\n{failure(short)}\n")


if __name__ == "__main__":
    main()
