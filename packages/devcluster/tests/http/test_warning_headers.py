from hypothesis import given, settings
from hypothesis import strategies as st

from devcluster.http.warning_headers import warning_headers


def test_a_warning_is_quoted_and_said_once():
    assert warning_headers(["a", 'say "b" \\', "a"]) == ['299 - "a"', '299 - "say \\"b\\" \\\\"']


def test_what_cannot_be_shown_is_left_out_and_a_long_one_alone_is_not_cut():
    assert warning_headers(["", "a\tb", "a\r\nSet-Cookie: x", "w" * 300]) == [
        '299 - "' + "w" * 300 + '"'
    ]


@settings(deadline=None, max_examples=50)
@given(st.lists(st.text(max_size=600), max_size=40))
def test_however_much_is_said_the_headers_stay_small_and_on_one_line(texts):
    headers = warning_headers(texts)
    assert sum(len(header) for header in headers) <= 2 * 4096 + 20 * len(texts)
    assert not any("\n" in header or "\r" in header for header in headers)
