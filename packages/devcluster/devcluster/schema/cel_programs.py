"""Compile CEL expressions, and word their failures as the real server does.

The rules of schemas (`cel_rules.py`) and the match conditions of webhooks call it.
"""

import functools

import celpy
from celpy.celparser import CELParseError
from celpy.evaluation import CELEvalError

MISSING = "no such member in mapping: "


@functools.lru_cache(maxsize=1024)  # far more expressions than the cluster of a test holds
def program(expression: str) -> celpy.Runner:
    """Return the compiled expression.

    Raises:
        CELParseError: it cannot be parsed.
    """
    environment = celpy.Environment()
    return environment.program(environment.compile(expression))


def syntax_problem(expression: str) -> str | None:
    """Return what is wrong with an expression; None if it can be parsed."""
    try:
        program(expression)
    except CELParseError as error:
        return f"compilation failed: ERROR: <input>:{error.line}:{error.column}: Syntax error"
    return None


def failure(error: CELEvalError) -> str:
    """Return the library's first words; for a missing key, those of the real server."""
    text = str(error.args[0]) if error.args else str(error)
    if text.startswith(MISSING):
        return "no such key: " + text.removeprefix(MISSING).strip("'")
    return text.partition(" (in activation")[0]
