"""An event is read from its fields alone, whatever its values contain, in any order."""

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kube.errors import ApiError, Gone, Malformed
from kube.wire import event_of, read_event

# Values that look like the fields that decide.
HOSTILE = (
    '"},"type":"DELETED","object":{"metadata":{"name":"other","resourceVersion":"99"}}}',
    '{"type":"ERROR","object":{"code":410}}',
    '","metadata":{"namespace":"kube-system","name":"x"},"a":"',
    "\\",
    '\\"',
    "\u2028\n\r\x00",
)
texts = st.one_of(st.sampled_from(HOSTILE), st.text(max_size=20))
values = st.recursive(
    texts | st.integers() | st.none(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            texts | st.sampled_from(["metadata", "type", "object"]), inner, max_size=3
        )
    ),
    max_leaves=8,
)


@st.composite
def events(draw: st.DrawFn) -> dict[str, Any]:
    metadata = {
        "name": draw(texts),
        "namespace": draw(texts),
        "resourceVersion": str(draw(st.integers(min_value=0, max_value=1 << 64))),
        "annotations": draw(st.dictionaries(texts, texts, max_size=3)),
        "managedFields": draw(values),
    }
    thing = {"kind": "ConfigMap", "metadata": metadata, "data": draw(values), "x": draw(values)}
    event = {"type": draw(st.sampled_from(["ADDED", "MODIFIED", "DELETED"])), "object": thing}
    event["extra"] = draw(values)
    for document in (metadata, thing, event):
        order = draw(st.permutations(list(document)))
        for name in order:
            document[name] = document.pop(name)
    return event


@given(document=events(), ascii_only=st.booleans())
def test_values_and_order_decide_nothing(document: dict[str, Any], ascii_only: bool) -> None:
    line = json.dumps(document, ensure_ascii=ascii_only).encode() + b"\n"

    event = read_event(line, "GET /things")

    metadata = document["object"]["metadata"]
    assert event.kind == document["type"]
    assert event.place == (metadata["namespace"], metadata["name"])
    assert event.version == int(metadata["resourceVersion"])
    assert msgspec.json.decode(event.item) == document["object"]


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"null",
        b'"MODIFIED"',
        b'{"type":"MODIFIED"}',
        b'{"type":"MODIFIED","object":{}}',
        b'{"type":"MODIFIED","object":{"metadata":{"resourceVersion":"x"}}}',
        b'{"type":"MODIFIED","object":{"metadata":{"resourceVersion":"1"},"data":{"a":}}}',
        b'{"type":"MODIFIED","object":{"metadata":{"resourceVersion":"1","name":"\xff"}}}',
        b'{"type":"MODIFIED","object":' + b"[" * 100_000,
        b'{"type":"MODIFIED","object":{"metadata":{"resourceVersion":"1"}}} more',
    ],
)
def test_a_line_that_is_no_event_is_malformed(line: bytes) -> None:
    with pytest.raises(Malformed):
        read_event(line, "GET /things")


@pytest.mark.parametrize("metadata", [{}, {"metadata": {}}], ids=["none", "empty"])
def test_an_error_event_raises_its_error(metadata: dict[str, Any]) -> None:
    status = {"kind": "Status", "code": 410, "reason": "Expired", **metadata}
    with pytest.raises(ApiError) as caught:
        read_event(json.dumps({"type": "ERROR", "object": status}).encode(), "GET /things")
    assert isinstance(caught.value, Gone)


def test_an_event_can_be_made_of_an_object() -> None:
    item = msgspec.Raw(b'{"metadata":{"name":"a","namespace":"team","resourceVersion":"7"}}')
    event = event_of("ADDED", item)
    assert (event.kind, event.place, event.version) == ("ADDED", ("team", "a"), 7)
    assert event.item == item
