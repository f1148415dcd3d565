import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.verification import PolicyBuilder, Store

from certs.authority import KeyPair, UnreadablePairError, names_of, new_authority, new_serving_pair

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
YEAR = timedelta(days=365)
NAMES = ("webhook.system.svc", "webhook.system.svc.cluster.local", "127.0.0.1")


def test_a_serving_certificate_passes_the_strictest_verification_there_is():
    authority = new_authority(NOW, YEAR)
    pair = new_serving_pair(authority, NAMES, NOW, YEAR)
    verifier = (
        PolicyBuilder()
        .store(Store([authority.certificate]))
        .time(NOW)
        .build_server_verifier(x509.DNSName("webhook.system.svc"))
    )
    assert verifier.verify(pair.certificate, []) == [pair.certificate, authority.certificate]


def test_openssl_shakes_hands_in_strict_mode(tmp_path: Path):
    now = datetime.now(UTC)  # noqa: TID251 - OpenSSL looks at the real clock
    authority = new_authority(now, YEAR)
    pair = new_serving_pair(authority, NAMES, now, YEAR)
    client = ssl.create_default_context(cadata=authority.certificate_pem.decode())
    client.verify_flags |= ssl.VERIFY_X509_STRICT
    assert _handshake(_server(pair, tmp_path), client, "webhook.system.svc.cluster.local")


def test_the_certificate_is_for_exactly_the_names_asked_for():
    pair = new_serving_pair(new_authority(NOW, YEAR), NAMES, NOW, YEAR)
    assert names_of(pair.certificate) == tuple(sorted(NAMES))


def test_a_certificate_never_outlives_its_authority():
    authority = new_authority(NOW, timedelta(days=10))
    pair = new_serving_pair(authority, NAMES, NOW, YEAR)
    assert pair.certificate.not_valid_after_utc == authority.certificate.not_valid_after_utc


def test_a_clock_that_is_a_little_behind_finds_the_certificate_valid():
    pair = new_serving_pair(new_authority(NOW, YEAR), NAMES, NOW, YEAR)
    assert pair.certificate.not_valid_before_utc <= NOW - timedelta(minutes=5)


def test_a_service_name_of_the_longest_kind_fits():
    longest = f"{'s' * 63}.{'n' * 63}.svc"
    pair = new_serving_pair(new_authority(NOW, YEAR), [longest], NOW, YEAR)
    assert names_of(pair.certificate) == (longest,)


def test_a_pair_is_read_back_as_it_was_written():
    pair = new_authority(NOW, YEAR)
    assert KeyPair.parse(pair.certificate_pem, pair.key_pem).certificate == pair.certificate


def _rsa_key() -> bytes:
    key = rsa.generate_private_key(65537, 2048)
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


@pytest.mark.parametrize(
    ("certificate", "key", "reason"),
    [
        pytest.param(b"", b"x", "is missing", id="no certificate"),
        pytest.param(b"x", b"", "is missing", id="no key"),
        pytest.param(b"nonsense", b"nonsense", "is unreadable", id="nonsense"),
        pytest.param(
            new_authority(NOW, YEAR).certificate_pem, b"nonsense", "is unreadable", id="damaged key"
        ),
        pytest.param(
            new_authority(NOW, YEAR).certificate_pem,
            new_authority(NOW, YEAR).key_pem,
            "has a key that belongs to another certificate",
            id="torn pair",
        ),
        pytest.param(
            new_authority(NOW, YEAR).certificate_pem,
            _rsa_key(),
            "has a key of another kind",
            id="RSA key",
        ),
    ],
)
def test_an_unusable_pair_is_refused_with_the_reason(certificate: bytes, key: bytes, reason: str):
    with pytest.raises(UnreadablePairError, match=reason):
        KeyPair.parse(certificate, key)


def test_a_pair_never_shows_its_key():
    assert "PRIVATE" not in repr(new_authority(NOW, YEAR))


def _server(pair: KeyPair, folder: Path) -> ssl.SSLContext:
    file = folder / "pair.pem"
    file.write_bytes(pair.certificate_pem + pair.key_pem)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file)
    return context


def _handshake(server: ssl.SSLContext, client: ssl.SSLContext, name: str) -> bool:
    """Let two TLS ends meet in memory."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = [
        client.wrap_bio(to_client, to_server, server_hostname=name),
        server.wrap_bio(to_server, to_client, server_side=True),
    ]
    done = set()
    for _ in range(20):
        for end in ends:
            try:
                end.do_handshake()
                done.add(end)
            except ssl.SSLWantReadError:
                continue
    return len(done) == len(ends)
