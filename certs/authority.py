"""Make certificates: a CA, and serving certificates that it signs.

`rotation.py` decides when to make one. The only effect is the use of the system's
random numbers for keys. Every certificate has key identifiers and key usage, because
strict verification (Python 3.13 and later) rejects it otherwise.
"""

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Self

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

# A clock that is slow by up to this much still accepts a new certificate.
BACKDATED_BY = timedelta(minutes=5)

# A common name holds 64 characters, fewer than the full name of a service may have. So the names
# are in the SAN only.
SERVING_COMMON_NAME = "configmapsync-webhook"


class UnreadablePairError(ValueError):
    """A pair cannot be used; the message ends a sentence about it, and holds no part of the key."""


@dataclass(frozen=True, slots=True)
class KeyPair:
    """A certificate and its key."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey = field(repr=False)

    @classmethod
    def parse(cls, certificate: bytes, key: bytes) -> Self:
        """Parse a pair; of a chain, the first certificate.

        Args:
            certificate: in PEM.
            key: in PEM, unencrypted.

        Raises:
            UnreadablePairError: a part is missing, damaged, not an EC key, or belongs to
                another pair.
        """
        if not certificate or not key:
            raise UnreadablePairError("is missing")
        try:
            parsed = x509.load_pem_x509_certificate(certificate)
            parsed_key = serialization.load_pem_private_key(key, password=None)
        except (ValueError, TypeError) as error:  # TypeError: the key is encrypted
            raise UnreadablePairError("is unreadable") from error
        if not isinstance(parsed_key, ec.EllipticCurvePrivateKey):
            raise UnreadablePairError("has a key of another kind")
        if parsed.public_key() != parsed_key.public_key():
            raise UnreadablePairError("has a key that belongs to another certificate")
        return cls(parsed, parsed_key)

    @property
    def certificate_pem(self) -> bytes:
        """Return the certificate in PEM."""
        return self.certificate.public_bytes(serialization.Encoding.PEM)

    @property
    def key_pem(self) -> bytes:
        """Return the key as unencrypted PKCS#8 in PEM."""
        return self.key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )


def new_authority(now: datetime, lifetime: timedelta) -> KeyPair:
    """Make a self-signed CA.

    Its name contains the time, so that two CAs in one bundle can be distinguished.
    """
    return _new_pair(f"configmapsync webhook CA {now:%Y-%m-%dT%H:%M:%SZ}", now, now + lifetime)


def new_serving_pair(
    authority: KeyPair, names: Sequence[str], now: datetime, lifetime: timedelta
) -> KeyPair:
    """Make a serving certificate.

    It never outlives its CA.

    Args:
        authority: signs it.
        names: DNS names and IP addresses.
        now: the start of its life.
        lifetime: the longest life.
    """
    return _new_pair(
        SERVING_COMMON_NAME,
        now,
        min(now + lifetime, authority.certificate.not_valid_after_utc),
        authority,
        x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]),
        x509.SubjectAlternativeName([alternative_name(name) for name in names]),
    )


def alternative_name(name: str) -> x509.GeneralName:
    """Return `name` as a SAN entry: an IP address if it is one, otherwise a DNS name."""
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def names_of(certificate: x509.Certificate) -> tuple[str, ...]:
    """Return the DNS names and IP addresses of a certificate, sorted."""
    try:
        san = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return ()
    return tuple(sorted(str(name.value) for name in san))


def _new_pair(
    common_name: str,
    now: datetime,
    not_after: datetime,
    authority: KeyPair | None = None,
    *extensions: x509.ExtensionType,
) -> KeyPair:
    """Make a key and its certificate, signed by `authority`; without one, a self-signed CA."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])
    identifier = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    issuer, signing_key, issuer_identifier = subject, key, identifier
    if authority is not None:
        issuer, signing_key = authority.certificate.subject, authority.key
        issuer_identifier = authority.certificate.extensions.get_extension_for_class(
            x509.SubjectKeyIdentifier
        ).value
    is_ca = authority is None
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - BACKDATED_BY)
        .not_valid_after(not_after)
        .add_extension(
            x509.BasicConstraints(ca=is_ca, path_length=0 if is_ca else None), critical=True
        )
        .add_extension(_usage(signs_certificates=is_ca), critical=True)
        .add_extension(identifier, critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(issuer_identifier),
            critical=False,
        )
    )
    for extension in extensions:
        builder = builder.add_extension(extension, critical=False)
    return KeyPair(builder.sign(signing_key, hashes.SHA256()), key)


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )
