"""Match and validate LabelSelector objects of roles and webhook configurations.

`storage/selectors.py` handles the string form of queries (`?labelSelector=a=b`).
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from devcluster.errors import FieldCause
from devcluster.schema.field_problems import PROSE, invalid_value
from devcluster.schema.metadata import key_problems, value_problem

Labels = Mapping[str, str]
OPERATORS_WITH_VALUES = ("In", "NotIn")
OPERATORS_WITHOUT_VALUES = ("Exists", "DoesNotExist")


def matches_selector(selector: Mapping[str, Any] | None, labels: Labels) -> bool:
    """Return whether labels match; an empty selector matches everything, None nothing."""
    if selector is None:
        return False
    if any(labels.get(key) != value for key, value in (selector.get("matchLabels") or {}).items()):
        return False
    return all(
        _satisfies(requirement, labels) for requirement in selector.get("matchExpressions") or ()
    )


def selector_problems(selector: Mapping[str, Any]) -> Iterator[tuple[str, str, str, object]]:
    """Yield problems of a selector as (field below the selector, reason, message, value)."""
    for key, value in (selector.get("matchLabels") or {}).items():
        for flaw in key_problems(key):
            yield ".matchLabels", "FieldValueInvalid", flaw, key
        if (problem := value_problem(value)) is not None:
            yield ".matchLabels", "FieldValueInvalid", problem, value
    for index, requirement in enumerate(selector.get("matchExpressions") or ()):
        field = f".matchExpressions[{index}]"
        operator, values = requirement.get("operator", ""), requirement.get("values") or ()
        if operator in OPERATORS_WITH_VALUES and not values:
            message = "must be specified when `operator` is 'In' or 'NotIn'"
            yield f"{field}.values", "FieldValueRequired", message, None
        elif operator in OPERATORS_WITHOUT_VALUES and values:
            message = "may not be specified when `operator` is 'Exists' or 'DoesNotExist'"
            yield f"{field}.values", "FieldValueForbidden", message, None
        elif operator not in OPERATORS_WITH_VALUES + OPERATORS_WITHOUT_VALUES:
            yield (
                f"{field}.operator",
                "FieldValueInvalid",
                "not a valid selector operator",
                operator,
            )
        for flaw in key_problems(requirement.get("key", "")):
            yield f"{field}.key", "FieldValueInvalid", flaw, requirement.get("key", "")
        for number, value in enumerate(values):
            if (problem := value_problem(value)) is not None:
                yield f"{field}.values[{number}]", "FieldValueInvalid", problem, value


def selector_causes(selector: Mapping[str, Any], field: str) -> Iterator[FieldCause]:
    """Report everything wrong with a LabelSelector."""
    for below, reason, why, value in selector_problems(selector):
        if reason == "FieldValueInvalid":
            yield invalid_value(field + below, value, why)
        else:
            yield FieldCause(reason, field + below, f"{PROSE[reason]}: {why}")


def _satisfies(requirement: Mapping[str, Any], labels: Labels) -> bool:
    key: str = requirement.get("key", "")
    values: Sequence[str] = requirement.get("values") or ()
    match requirement.get("operator"):
        case "In":
            return key in labels and labels[key] in values
        case "NotIn":
            return key not in labels or labels[key] not in values
        case "Exists":
            return key in labels
        case "DoesNotExist":
            return key not in labels
    return False
