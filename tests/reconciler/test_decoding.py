"""An answer that cannot be decoded is a retried error of the API server."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from cluster.syncs import read_sync
from kube.errors import Malformed
from kube.wire import decode_object
from reconciler.known.configmaps import (
    read_copy,
    read_identity,
    read_metadata,
    read_source,
)
from reconciler.writes.contention import read_last_manager

READERS: list[Callable[[bytes], object]] = [
    read_copy,
    read_source,
    read_identity,
    lambda raw: read_metadata(raw, "sha256:0", immutable=False),
    lambda raw: read_last_manager(raw, "configmapsync"),
    lambda raw: read_sync(raw, frozenset()),
    lambda raw: decode_object(raw, "the object"),
]

leaves = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8)
)
names = st.sampled_from(
    ["metadata", "data", "spec", "status", "name", "namespace", "resourceVersion", "labels"]
)
documents: st.SearchStrategy[Any] = st.recursive(
    leaves,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=4),
    max_leaves=12,
)


@pytest.mark.parametrize("read", READERS)
@given(st.binary(max_size=100) | documents.map(lambda document: json.dumps(document).encode()))
@example(b"")
@example(b"<html>bad gateway</html>")
@example(b"\xff\xfe{}")
@example(b"[" * 100_000)
@example(b'{"metadata": {}}')
@example(b'{"metadata": {"name": "a", "resourceVersion": "one"}}')
@example(b'{"metadata": {"name": "a"}, "data": {"a": "\\ud800"}}')
def test_every_answer_is_decoded_or_reported_as_malformed(
    read: Callable[[bytes], object], answer: bytes
) -> None:
    try:
        read(answer)
    except Malformed as error:
        assert len(error.message) < 200  # noqa: PT017 - either outcome is right; an error quotes nothing
