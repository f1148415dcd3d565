from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from certs.authority import KeyPair, new_serving_pair
from certs.bundle import authorities_in
from certs.material import Material
from certs.rotation import (
    Order,
    authority_due,
    current_authority,
    distrusted,
    revokes,
    serving_due,
    token_due,
    with_new_authority,
    with_new_serving_pair,
    with_new_token,
    with_old_authorities_revoked,
    without_revoked,
)

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
ORDER = Order(("webhook.system.svc",), timedelta(days=300), timedelta(days=30))
FRESH = with_new_serving_pair(with_new_authority(Material(), ORDER, NOW), ORDER, NOW)


def _days(days: float) -> datetime:
    return NOW + timedelta(days=days)


def test_new_material_is_kept():
    assert not authority_due(FRESH, NOW).renew
    assert not serving_due(FRESH, ORDER, NOW).renew


def test_empty_material_is_due():
    assert authority_due(Material(), NOW) == (True, "is missing")
    assert serving_due(Material(), ORDER, NOW) == (True, "is missing")


@pytest.mark.parametrize(
    ("days", "due", "reason"),
    [
        pytest.param(19, False, "is good until", id="before two thirds"),
        pytest.param(21, True, "has reached two thirds of its life", id="after two thirds"),
        pytest.param(31, True, "has expired", id="after its end"),
        pytest.param(-1, True, "is not valid yet", id="made by a clock ahead of ours"),
    ],
)
def test_a_certificate_is_renewed_at_two_thirds_of_its_life(days: float, due: bool, reason: str):
    decision = serving_due(FRESH, ORDER, _days(days))
    assert (decision.renew, decision.reason.startswith(reason)) == (due, True)


@pytest.mark.parametrize(("days", "due"), [(199, False), (201, True), (301, True)])
def test_an_authority_is_renewed_at_two_thirds_of_its_life(days: float, due: bool):
    assert authority_due(FRESH, _days(days)).renew is due


def test_other_names_need_another_certificate():
    order = replace(ORDER, names=("webhook.other.svc",))
    assert serving_due(FRESH, order, NOW) == (True, "is for other names")


def test_a_torn_pair_is_replaced():
    torn = replace(FRESH, key=with_new_serving_pair(FRESH, ORDER, NOW).key)
    assert serving_due(torn, ORDER, NOW) == (True, "has a key that belongs to another certificate")


def test_a_certificate_in_the_place_of_the_authority_is_replaced():
    wrong = replace(FRESH, authorities=FRESH.certificate, authority_key=FRESH.key)
    assert authority_due(wrong, NOW) == (True, "is no CA")


def test_a_renewed_authority_is_published_before_anything_signed_by_it_serves():
    renewed = with_new_authority(FRESH, ORDER, _days(10))
    assert renewed.certificate == FRESH.certificate
    assert renewed.key == FRESH.key
    assert serving_due(renewed, ORDER, _days(10)) == (True, "is not signed by the current CA")


def test_the_old_authority_stays_behind_the_new_one_until_it_expires():
    renewed = with_new_authority(FRESH, ORDER, _days(10))
    new, old = authorities_in(renewed.authorities)
    assert old == authorities_in(FRESH.authorities)[0]
    assert new != old
    again = with_new_authority(renewed, ORDER, _days(305))
    assert old not in authorities_in(again.authorities)


def test_a_pair_signed_after_the_switch_needs_nothing_more():
    renewed = with_new_serving_pair(with_new_authority(FRESH, ORDER, _days(10)), ORDER, _days(10))
    assert not serving_due(renewed, ORDER, _days(10)).renew


def test_an_authority_without_key_identifiers_is_replaced():
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(NOW)
        .not_valid_after(_days(300))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pair = KeyPair(certificate, key)
    lenient = replace(FRESH, authorities=pair.certificate_pem, authority_key=pair.key_pem)
    assert authority_due(lenient, NOW) == (
        True,
        "lacks extensions that strict verification requires",
    )


def test_a_foreign_certificate_is_replaced():
    stranger = with_new_authority(Material(), ORDER, NOW)
    pair = new_serving_pair(
        KeyPair.parse(stranger.authorities, stranger.authority_key), ORDER.names, NOW, timedelta(1)
    )
    strange = replace(FRESH, certificate=pair.certificate_pem, key=pair.key_pem)
    assert serving_due(strange, ORDER, NOW) == (True, "is not signed by the current CA")


def test_no_representation_shows_a_key():
    assert "PRIVATE" not in repr(FRESH)


def test_a_revocation_drops_every_former_authority_once_the_new_pair_is_served():
    seen = with_new_authority(
        Material(), ORDER, NOW
    ).authorities  # trusted, and unknown to the store
    begun = with_old_authorities_revoked(with_new_authority(FRESH, ORDER, NOW), seen, NOW)
    assert revokes(begun)
    assert distrusted(begun) == seen
    assert authorities_in(begun.authorities)[1:] == authorities_in(FRESH.authorities)
    ended = without_revoked(begun, NOW)
    assert not revokes(ended)
    assert ended.authorities == current_authority(begun)
    assert set(authorities_in(distrusted(ended))) == set(authorities_in(FRESH.authorities + seen))


def test_a_revoked_authority_that_comes_back_is_replaced():
    revoked = replace(FRESH, revoked=FRESH.authorities)
    assert authority_due(revoked, NOW) == (True, "is revoked")


@pytest.mark.parametrize(
    ("token", "due", "reason"),
    [
        (b"", True, "is missing"),
        (b"a" * 31, True, "is unusable"),
        (b"a/../path-of-somebody", True, "is unusable"),
        (b"a" * 129, True, "is unusable"),
        (b"A" * 43, True, "is unusable"),
        (b"a" * 43, False, "is in order"),
    ],
)
def test_a_path_token_is_one_long_segment_that_the_api_server_takes(
    token: bytes, due: bool, reason: str
):
    assert token_due(replace(FRESH, path_token=token), ORDER) == (due, reason)


def test_a_new_token_leaves_the_present_path_open_while_a_pair_is_served():
    first = with_new_token(FRESH, b"a" * 43, NOW)
    assert first.previous_path_token == b""
    assert with_new_token(first, b"b" * 43, NOW).previous_path_token == b"a" * 43
    assert with_new_token(Material(), b"a" * 43, NOW).previous_path_token is None


def test_plain_paths_may_be_asked_for():
    plain = replace(ORDER, unguessable_path=False)
    assert not token_due(FRESH, plain).renew
    assert token_due(replace(FRESH, path_token=b"a" * 43), plain).renew
    assert (
        with_new_token(replace(FRESH, path_token=b"a" * 43), b"", NOW).previous_path_token
        == b"a" * 43
    )
