"""Bodies as kubectl 1.37 sends them, recorded byte for byte, and invalid bodies."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devcluster.errors import ApiStatus
from devcluster.http.protobuf import decode

CREATE_NAMESPACE = (
    "6b3873000a0f0a02763112094e616d65737061636512250a1d0a0d6b75626563746c2d6e6f74657312001a0022002a0032003800420012"
    "001a020a001a002200"
)
CREATE_CONFIGMAP = (
    "6b3873000a0f0a0276311209436f6e6669674d6170121d0a130a0374776f12001a0022002a003200"
    "3800420012060a01611201621a002200"
)
MAY_I_DELETE = (
    "6b3873000a320a17617574686f72697a6174696f6e2e6b38732e696f2f7631121753656c665375626a6563744163636573735265766965"
    "77123f0a100a0012001a0022002a0032003800420012210a1f0a0178120664656c6574651a0022002a0a636f6e6669676d617073320"
    "03a001a08080012001a0020001a002200"
)


def test_a_namespace_that_kubectl_creates() -> None:
    assert decode(bytes.fromhex(CREATE_NAMESPACE)) == {
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {"name": "kubectl-notes"},
    }


def test_a_configmap_that_kubectl_creates() -> None:
    assert decode(bytes.fromhex(CREATE_CONFIGMAP)) == {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "two"},
        "data": {"a": "b"},
    }


def test_what_kubectl_asks_with_auth_can_i() -> None:
    review = decode(bytes.fromhex(MAY_I_DELETE))

    assert review["kind"] == "SelfSubjectAccessReview"
    assert review["spec"]["resourceAttributes"] == {
        "namespace": "x",
        "verb": "delete",
        "resource": "configmaps",
    }


def field(number: int, value: bytes) -> bytes:
    return bytes([number << 3 | 2, len(value)]) + value


def enveloped(kind: bytes, raw: bytes) -> bytes:
    return b"k8s\x00" + field(1, field(1, b"v1") + field(2, kind)) + field(2, raw)


def test_bytes_numbers_and_times_become_what_json_says_of_them() -> None:
    binary = field(3, field(1, b"key") + field(2, b"\x00\x01"))
    immutable = bytes([4 << 3, 1])
    moment = field(8, bytes([1 << 3, 0x80, 0xE8, 0x92, 0xA6, 0x06]))  # 1690612736 seconds
    document = decode(
        enveloped(b"ConfigMap", field(1, field(1, b"a") + moment) + binary + immutable)
    )

    assert document["binaryData"] == {"key": "AAE="}
    assert document["immutable"] is True
    assert document["metadata"]["creationTimestamp"] == "2023-07-29T06:38:56Z"


def test_a_kind_that_is_not_known_here_is_refused_by_name() -> None:
    with pytest.raises(ApiStatus) as refused:
        decode(enveloped(b"Deployment", b""))

    assert refused.value.code == 415
    assert "Deployment" in refused.value.message


@pytest.mark.parametrize(
    "body", [b"", b"{}", b"k8s\x00\x0a\xff", enveloped(b"ConfigMap", b"\x0a\x10a")]
)
def test_what_is_no_protobuf_is_a_bad_request_or_an_unknown_kind(body: bytes) -> None:
    with pytest.raises(ApiStatus) as refused:
        decode(body)

    assert refused.value.code in (400, 415)


@given(st.binary(max_size=60))
def test_garbage_never_does_worse_than_be_refused(garbage: bytes) -> None:
    try:
        document = decode(enveloped(b"ConfigMap", garbage))
    except ApiStatus as refused:
        assert refused.code == 400  # noqa: PT017 - either outcome is right
    else:
        assert document["kind"] == "ConfigMap"
