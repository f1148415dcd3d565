"""Bundles of CA certificates, as `caBundle` and `ca.crt` hold them.

The new CA comes first, and each old one stays until it expires: while a changed Secret travels to the webhook's pods, the pair of
yesterday must still be trusted. Pure; who calls it: `rotation.py` and `cluster.py`.
"""

import re
from collections.abc import Iterator
from datetime import datetime

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

PEM_BLOCK = re.compile(rb"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", re.DOTALL)


def authorities_in(bundle: bytes) -> tuple[x509.Certificate, ...]:
    """Return the CA certificates of a bundle in order. What is unreadable or no CA is nothing that could be trusted: left out."""
    return tuple(certificate for certificate in _readable(bundle) if _is_authority(certificate))


def merge(wanted: bytes, present: bytes, now: datetime) -> bytes:
    """Return the bundle to have: the CAs of `wanted` first, then those of `present`, none twice and none expired.

    The result depends on the inputs alone, so merging again changes nothing.
    """
    unique = dict.fromkeys(authorities_in(wanted) + authorities_in(present))
    return b"".join(
        certificate.public_bytes(Encoding.PEM) for certificate in unique if certificate.not_valid_after_utc > now
    )


def _readable(bundle: bytes) -> Iterator[x509.Certificate]:
    for block in PEM_BLOCK.findall(bundle):
        try:
            yield x509.load_pem_x509_certificate(block)
        except ValueError:
            continue


def _is_authority(certificate: x509.Certificate) -> bool:
    try:
        return certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except (x509.ExtensionNotFound, ValueError):
        return False
