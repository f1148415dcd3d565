"""Label selectors in text form become those of a spec."""

import pytest

from plugin.peers.selectors import (
    LONGEST_SELECTOR,
    SelectorError,
    compiled,
    parse_selector,
    selector_document,
)


@pytest.mark.parametrize(
    ("text", "document"),
    [
        ("", {}),
        (" \n", {}),
        ("env=production", {"matchLabels": {"env": "production"}}),
        ("env == production , a.b/c=", {"matchLabels": {"a.b/c": "", "env": "production"}}),
        (
            "team in (a, b),!old",
            {
                "matchExpressions": [
                    {"key": "old", "operator": "DoesNotExist"},
                    {"key": "team", "operator": "In", "values": ["a", "b"]},
                ]
            },
        ),
        (
            "my-label=value,my-other-label,my-other-label notin (foo,bar)\n",
            {
                "matchLabels": {"my-label": "value"},
                "matchExpressions": [
                    {"key": "my-other-label", "operator": "Exists"},
                    {"key": "my-other-label", "operator": "NotIn", "values": ["bar", "foo"]},
                ],
            },
        ),
        ("a!=b", {"matchExpressions": [{"key": "a", "operator": "NotIn", "values": ["b"]}]}),
        (
            "a=b,a=c",
            {
                "matchExpressions": [
                    {"key": "a", "operator": "In", "values": ["b"]},
                    {"key": "a", "operator": "In", "values": ["c"]},
                ]
            },
        ),
    ],
)
def test_a_selector_becomes_the_document_of_a_spec(text: str, document: object) -> None:
    assert selector_document(parse_selector(text)) == document


def test_two_values_for_one_label_select_nothing() -> None:
    assert not compiled(parse_selector("a=b,a=c")).match({"a": "b"})


@pytest.mark.parametrize(
    "text",
    [
        *("a>1", "a in b", "a=b c", "=b", "a,,b", "in (a)"),
        ",".join(f"k{i}" for i in range(65)),
        "a" * (LONGEST_SELECTOR + 1),
        "k" * 400,
    ],
)
def test_a_selector_that_a_spec_cannot_express_is_refused(text: str) -> None:
    with pytest.raises(SelectorError):
        parse_selector(text)
