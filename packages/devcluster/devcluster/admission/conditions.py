"""Evaluate matchConditions, which decide whether a webhook is called. Pure.

An expression sees `object`, `oldObject` and `request`. `authorizer` is not supported:
an expression that uses it fails like any other that cannot be evaluated.
"""

import functools
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import celpy
from celpy.adapter import json_to_cel
from celpy.celparser import CELParseError
from celpy.evaluation import CELEvalError


class Judgement(NamedTuple):
    """Whether all conditions hold, and the errors of those that could not be evaluated."""

    matches: bool
    errors: tuple[str, ...] = ()


def judge(conditions: Iterable[tuple[str, str]], review_request: Mapping[str, Any]) -> Judgement:
    """Evaluate every condition over the `request` of the review that would be sent.

    One that is false settles it, whatever errors the others have: the webhook is not called.
    """
    variables = {
        "object": json_to_cel(review_request.get("object")),
        "oldObject": json_to_cel(review_request.get("oldObject")),
        "request": json_to_cel(
            {k: v for k, v in review_request.items() if k not in ("object", "oldObject")}
        ),
    }
    errors = []
    for _, expression in conditions:
        try:
            if not _program(expression).evaluate(variables):
                return Judgement(matches=False)
        except CELEvalError as error:
            errors.append(f"expression '{expression}' resulted in error: {_reason(error)}")
    return Judgement(matches=not errors, errors=tuple(errors))


def syntax_problem(expression: str) -> str | None:
    """Return what is wrong with an expression; None if it can be parsed."""
    try:
        _program(expression)
    except CELParseError as error:
        return f"compilation failed: ERROR: <input>:{error.line}:{error.column}: Syntax error"
    return None


@functools.lru_cache(maxsize=256)  # far more conditions than a test's cluster holds
def _program(expression: str) -> celpy.Runner:
    environment = celpy.Environment()
    return environment.program(environment.compile(expression))


def _reason(error: CELEvalError) -> str:
    """The library's own first words; where a key is missing, those of the real server."""
    text = str(error.args[0]) if error.args else str(error)
    missing = "no such member in mapping: "
    if text.startswith(missing):
        return "no such key: " + text.removeprefix(missing).strip("'")
    return text.partition(" (in activation")[0]
