from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from certs.authority import new_authority, new_serving_pair
from certs.bundle import authorities_in, merge

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
AUTHORITIES = [new_authority(NOW, timedelta(days=days)) for days in (10, 20, 30, 40)]
PEMS = [authority.certificate_pem for authority in AUTHORITIES]
LEAF = new_serving_pair(AUTHORITIES[0], ["x"], NOW, timedelta(days=1)).certificate_pem


def test_the_new_authority_comes_first_and_the_old_ones_stay():
    assert merge(PEMS[1], PEMS[0], NOW) == PEMS[1] + PEMS[0]


def test_an_expired_authority_goes():
    later = NOW + timedelta(days=15)
    assert merge(PEMS[1], PEMS[0], later) == PEMS[1]


@pytest.mark.parametrize(
    "present",
    [
        pytest.param(b"", id="emptied"),
        pytest.param(
            b"-----BEGIN CERTIFICATE-----\nnonsense\n-----END CERTIFICATE-----\n", id="damaged"
        ),
        pytest.param(b"\n", id="the placeholder of a manifest"),
        pytest.param(LEAF, id="a certificate that is no authority"),
        pytest.param(PEMS[0] + PEMS[0], id="one twice"),
    ],
)
def test_a_damaged_bundle_is_repaired(present: bytes):
    assert merge(PEMS[0], present, NOW) == PEMS[0]


def test_a_damaged_block_is_skipped():
    assert authorities_in(
        PEMS[0] + b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n" + PEMS[1]
    ) == (
        AUTHORITIES[0].certificate,
        AUTHORITIES[1].certificate,
    )


bundles = st.lists(st.sampled_from([*PEMS, LEAF, b"noise\n"]), max_size=6).map(b"".join)


@settings(deadline=None, max_examples=50)
@given(wanted=bundles, present=bundles, days=st.integers(0, 50))
def test_merging_again_changes_nothing(wanted: bytes, present: bytes, days: int):
    now = NOW + timedelta(days=days)
    once = merge(wanted, present, now)
    assert merge(wanted, once, now) == once
    assert {authority.not_valid_after_utc > now for authority in authorities_in(once)} <= {True}
