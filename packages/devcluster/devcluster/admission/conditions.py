"""Evaluate matchConditions, which decide whether a webhook is called. Pure.

An expression sees `object`, `oldObject` and `request`. `authorizer` is not supported:
an expression that uses it fails like any other that cannot be evaluated.
"""

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from celpy.adapter import json_to_cel
from celpy.evaluation import CELEvalError

from devcluster.schema.cel_programs import failure, program


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
            if not program(expression).evaluate(variables):
                return Judgement(matches=False)
        except CELEvalError as error:
            errors.append(f"expression '{expression}' resulted in error: {failure(error)}")
    return Judgement(matches=not errors, errors=tuple(errors))
