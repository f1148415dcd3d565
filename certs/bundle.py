"""Read and merge bundles of CA certificates, as `caBundle` and `ca.crt` hold them.

`rotation.py`, `trust.py` and `inspection.py` call this module. The new CA comes first.
Each old one stays until it expires or is revoked, because pods serve the old pair until
the changed Secret reaches them. This module does no I/O.
"""

import re
from collections.abc import Iterable, Iterator
from datetime import datetime

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

PEM_BLOCK = re.compile(rb"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", re.DOTALL)

# A Secret holds 1 MiB and a CA takes 0.7 KiB. One of the newest few signed any pair that is still
# served.
MOST_AUTHORITIES = 16
MOST_REVOKED = 128


def authorities_in(bundle: bytes) -> tuple[x509.Certificate, ...]:
    """Return the CA certificates of a bundle in order, without other or unreadable ones."""
    return tuple(
        certificate for certificate in certificates_in(bundle) if _is_authority(certificate)
    )


def merge(
    wanted: bytes, present: bytes, now: datetime, without: bytes = b"", most: int = MOST_AUTHORITIES
) -> bytes:
    """Return a bundle with the CAs of `wanted` first, then those of `present`.

    No CA occurs twice and none is expired. The result depends on the arguments alone, so a
    second merge changes nothing.

    Args:
        wanted: the bundle whose CAs come first.
        present: the bundle whose CAs follow.
        now: CAs that have expired by then are dropped.
        without: a bundle of CAs to drop.
        most: the number of CAs to keep.
    """
    refused = set(authorities_in(without))
    unique = dict.fromkeys(authorities_in(wanted) + authorities_in(present))
    kept = [one for one in unique if one.not_valid_after_utc > now and one not in refused]
    return pem(kept[:most])


def pem(certificates: Iterable[x509.Certificate]) -> bytes:
    """Return the bundle of some certificates."""
    return b"".join(one.public_bytes(Encoding.PEM) for one in certificates)


def certificates_in(bundle: bytes) -> Iterator[x509.Certificate]:
    """Yield the certificates of a bundle, without unreadable ones."""
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
