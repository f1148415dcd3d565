"""Parse label selectors in the text form of Kubernetes, such as `a=b,c in (d,e),!f`.

The modules of the tools parse with it, and `syncs.py` writes the result. A selector
with an operator that a ConfigMapSync lacks raises `SelectorError`. `syncs.py` checks
the whole spec, so this module does not check keys and values.
"""

import re
from collections import Counter
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from configmapsync.selection import Labels
from configmapsync.spec import LabelSelector, LabelSelectorRequirement, SelectorOperator

LONGEST_SELECTOR = 4096
NAME_LABEL = "kubernetes.io/metadata.name"  # the API server puts it on every namespace

_KEY = r"(?P<key>[-A-Za-z0-9_./]+)"
_VALUE = r"[-A-Za-z0-9_.]*"
_SET = re.compile(rf"{_KEY}\s+(?P<operator>in|notin)\s*\((?P<values>[^()]*)\)")
_EQUAL = re.compile(rf"{_KEY}\s*(?P<operator>==?|!=)\s*(?P<values>{_VALUE})")
_EXISTS = re.compile(rf"(?P<operator>!?)\s*{_KEY}(?P<values>)")
_WORDS = {
    "in": "In",
    "=": "In",
    "==": "In",
    "notin": "NotIn",
    "!=": "NotIn",
    "": "Exists",
    "!": "DoesNotExist",
}


class SelectorError(Exception):
    """The text is no label selector that a ConfigMapSync can express; the message says why."""


@dataclass(frozen=True, slots=True, order=True)
class Requirement:
    """One requirement of a label selector, in the words of `matchExpressions`."""

    key: str
    operator: str
    values: tuple[str, ...] = ()


Requirements = tuple[Requirement, ...]


def parse_selector(text: str) -> Requirements:
    """Return the requirements of a selector, sorted; none if it is empty and selects all.

    Raises:
        SelectorError: the selector is wrong, or has an operator that a ConfigMapSync lacks.
    """
    if len(text) > LONGEST_SELECTOR:
        raise SelectorError(f"the label selector has more than {LONGEST_SELECTOR} characters")
    if not text.strip():
        return ()
    requirements = tuple(sorted({_requirement(part.strip()) for part in _split(text)}))
    try:
        LabelSelector.model_validate({"matchExpressions": [*map(_expression, requirements)]})
    except ValidationError as error:
        raise SelectorError("the label selector has too many or too long parts") from error
    return requirements


def on_names(names: frozenset[str]) -> Requirements:
    """Return the selector of namespaces by name, which need not exist."""
    return (Requirement(NAME_LABEL, "In", tuple(sorted(names))),)


def selector_document(requirements: Requirements) -> dict[str, Any]:
    """Return a selector as it stands in a spec: single values as `matchLabels`."""
    keys = Counter(one.key for one in requirements)
    simple = [
        one
        for one in requirements
        if one.operator == "In" and len(one.values) == 1 and keys[one.key] == 1
    ]
    others = [_expression(one) for one in requirements if one not in simple]
    document: dict[str, Any] = {}
    if simple:
        document["matchLabels"] = {one.key: one.values[0] for one in simple}
    if others:
        document["matchExpressions"] = others
    return document


def compiled(requirements: Requirements) -> Labels:
    """Return the selector for matching labels; it may have more parts than a spec may have."""
    return Labels.of(
        LabelSelector.model_construct(
            match_expressions=tuple(
                LabelSelectorRequirement.model_construct(
                    key=one.key, operator=SelectorOperator(one.operator), values=one.values
                )
                for one in requirements
            )
        )
    )


def _expression(one: Requirement) -> dict[str, Any]:
    values = {"values": list(one.values)} if one.values else {}
    return {"key": one.key, "operator": one.operator, **values}


def _split(text: str) -> list[str]:
    """Split at the commas outside of parentheses."""
    return re.split(r",(?![^()]*\))", text)


def _requirement(text: str) -> Requirement:
    if re.search(r"[<>]", text):
        raise SelectorError(f'the requirement "{text[:64]}" compares numbers')
    found = _SET.fullmatch(text) or _EQUAL.fullmatch(text) or _EXISTS.fullmatch(text)
    if found is None:
        raise SelectorError(f'"{text[:64]}" is no requirement of a label selector')
    operator = _WORDS[found["operator"]]
    values = tuple(sorted({value.strip() for value in found["values"].split(",")}))
    return Requirement(found["key"], operator, values if operator in {"In", "NotIn"} else ())
