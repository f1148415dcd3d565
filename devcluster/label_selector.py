"""LabelSelector objects, as roles and webhook configurations carry them: match and validate.

The string form of queries (`?labelSelector=a=b`) is not handled here.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

Labels = Mapping[str, str]
OPERATORS_WITH_VALUES = ("In", "NotIn")
OPERATORS_WITHOUT_VALUES = ("Exists", "DoesNotExist")


def matches_selector(selector: Mapping[str, Any] | None, labels: Labels) -> bool:
    """Tell whether labels satisfy every requirement; an empty selector is satisfied by anything, None by nothing."""
    if selector is None:
        return False
    if any(labels.get(key) != value for key, value in (selector.get("matchLabels") or {}).items()):
        return False
    return all(_satisfies(requirement, labels) for requirement in selector.get("matchExpressions") or ())


def selector_problems(selector: Mapping[str, Any]) -> Iterator[tuple[str, str, str, object]]:
    """Yield what is wrong with a selector, as (field below the selector, reason, message, bad value)."""
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
            yield f"{field}.operator", "FieldValueInvalid", "not a valid selector operator", operator


def _satisfies(requirement: Mapping[str, Any], labels: Labels) -> bool:
    key: str = requirement["key"]
    values: Sequence[str] = requirement.get("values") or ()
    match requirement["operator"]:
        case "In":
            return key in labels and labels[key] in values
        case "NotIn":
            return key not in labels or labels[key] not in values
        case "Exists":
            return key in labels
        case "DoesNotExist":
            return key not in labels
    return False
