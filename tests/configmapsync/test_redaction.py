"""A refusal is told in the server's words, and without a piece of the content that they quote."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from configmapsync.content import Content
from configmapsync.redaction import CUT_OUT, without_values

VALUE = 'user = "admin"\npassword = "correct horse"\tbattery <staple>\n'
CONTENT = Content(data={"app.ini": VALUE, "level": "on"}, binary_data={"key.bin": "AAECAwQFBgcICQ=="})
SECRETS = ("admin", "correct horse", "staple", "AAECAwQFBgcICQ")


def go_quoted(value: str) -> str:
    """As Go's %q writes it."""
    return json.dumps(value)


def html_escaped(value: str) -> str:
    """As Go's JSON encoder writes it."""
    return json.dumps(value).replace("<", "\\u003c").replace(">", "\\u003e")


@pytest.mark.parametrize("quote", [str, go_quoted, html_escaped, lambda value: value.splitlines()[1]])
def test_a_value_is_cut_out_however_it_is_quoted(quote: object) -> None:
    assert callable(quote)
    message = f"denied by policy: {quote(VALUE)} and AAECAwQFBgcICQ== in app.ini"

    told = without_values(message, CONTENT)

    assert [secret for secret in SECRETS if secret in told] == []
    assert told.startswith("denied by policy: ")
    assert told.endswith("in app.ini")


@pytest.mark.parametrize("length", range(60, 110))
def test_a_quote_that_was_capped_is_cut_out_too(length: int) -> None:
    content = Content(
        data={"a": "0123456789abcdefghijklmnopqrstuvwxyz0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"}, binary_data={}
    )
    message = ('ConfigMap is invalid: data[a]: Invalid value: "' + content.data["a"])[:length]

    told = without_values(message, content)

    assert told.endswith(CUT_OUT)
    assert "0123" not in told


def test_what_quotes_nothing_is_told_as_it_is() -> None:
    message = (
        'configmaps "config" is forbidden: exceeded quota: few, requested: count/configmaps=1, used: 3, limited: 3'
    )

    assert without_values(message, CONTENT) == message


@given(
    st.dictionaries(st.text(max_size=5), st.text(max_size=40), max_size=4),
    st.text(max_size=30),
    st.text(max_size=30),
)
def test_no_value_of_one_line_survives_anywhere_in_a_message(data: dict[str, str], before: str, after: str) -> None:
    plain = {key: value.strip() for key, value in data.items() if value.strip().isalnum() and len(value.strip()) >= 4}
    content = Content(data=plain, binary_data={})
    told = without_values(before + "|" + "|".join(plain.values()) + "|" + after, content)

    assert [value for value in plain.values() if value in told and value not in CUT_OUT] == []
