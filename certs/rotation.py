"""Decide what is due, and why; and make the material that follows.

Each decision carries its reason, which reaches the log of `ensure` and the page of `inspect`. Pure: the time is an argument.

The CA and the serving certificate are renewed in two steps, because trust must come before use: first the new CA is stored
(the old pair keeps serving) and published; only then is a pair signed by it. A run that stops in between is finished by the next one.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import NamedTuple

from cryptography import x509
from cryptography.exceptions import InvalidSignature

from certs import bundle
from certs.authority import KeyPair, UnreadablePairError, names_of, new_authority, new_serving_pair
from certs.material import Material

# The last third of a life is the time that people have to notice a renewal that fails.
RENEWED_AFTER = 2 / 3

STRICTLY_NEEDED = (x509.SubjectKeyIdentifier, x509.AuthorityKeyIdentifier, x509.KeyUsage)


@dataclass(frozen=True, slots=True)
class Order:
    """What the material must be like."""

    names: tuple[str, ...]
    authority_lifetime: timedelta
    certificate_lifetime: timedelta


class Renewal(StrEnum):
    """What to make anew: what is due, or more because somebody asks, as after a key has leaked."""

    DUE = "due"
    CERTIFICATE = "certificate"
    ALL = "all"


class Decision(NamedTuple):
    """Whether something must be made anew, and the reason as the end of a sentence that names the thing."""

    renew: bool
    reason: str


def authority_due(material: Material, now: datetime) -> Decision:
    """Decide on the CA."""
    try:
        authority = KeyPair.parse(material.authorities, material.authority_key).certificate
    except UnreadablePairError as error:
        return Decision(renew=True, reason=str(error))
    if authority not in bundle.authorities_in(material.authorities):
        return Decision(renew=True, reason="is no CA")
    return _strictness(authority) or _age(authority, now)


def serving_due(material: Material, order: Order, now: datetime) -> Decision:
    """Decide on the serving pair, given a CA that is in order."""
    try:
        certificate = KeyPair.parse(material.certificate, material.key).certificate
    except UnreadablePairError as error:
        return Decision(renew=True, reason=str(error))
    if set(names_of(certificate)) != set(order.names):
        return Decision(renew=True, reason="is for other names")
    if not _issued_by_current_authority(certificate, material):
        return Decision(renew=True, reason="is not signed by the current CA")
    return _strictness(certificate) or _age(certificate, now)


def with_new_authority(material: Material, order: Order, now: datetime) -> Material:
    """Return the material with a new CA before the old ones, and the serving pair as it was if it still serves.

    Nothing serves yet at the very start, or after damage: then the pair is made at once, in the same write.
    """
    authority = new_authority(now, order.authority_lifetime)
    renewed = Material(
        authorities=bundle.merge(authority.certificate_pem, material.authorities, now),
        authority_key=authority.key_pem,
        certificate=material.certificate,
        key=material.key,
    )
    return renewed if _still_serves(material, now) else with_new_serving_pair(renewed, order, now)


def with_new_serving_pair(material: Material, order: Order, now: datetime) -> Material:
    """Return the material with a pair signed by its current CA."""
    authority = KeyPair.parse(material.authorities, material.authority_key)
    pair = new_serving_pair(authority, order.names, now, order.certificate_lifetime)
    return Material(
        authorities=material.authorities,
        authority_key=material.authority_key,
        certificate=pair.certificate_pem,
        key=pair.key_pem,
    )


def trust_is_new(material: Material) -> bool:
    """Whether the pair that serves now was signed by another CA than the current one: the new one may not be known everywhere."""
    try:
        certificate = KeyPair.parse(material.certificate, material.key).certificate
    except UnreadablePairError:
        return False  # nothing serves, so nobody gains by waiting
    return not _issued_by_current_authority(certificate, material)


def renewal_time(certificate: x509.Certificate) -> datetime:
    """Return the moment at two thirds of the certificate's life."""
    life = certificate.not_valid_after_utc - certificate.not_valid_before_utc
    return certificate.not_valid_before_utc + life * RENEWED_AFTER


def _still_serves(material: Material, now: datetime) -> bool:
    try:
        pair = KeyPair.parse(material.certificate, material.key)
    except UnreadablePairError:
        return False
    return pair.certificate.not_valid_after_utc > now


def _issued_by_current_authority(certificate: x509.Certificate, material: Material) -> bool:
    authorities = bundle.authorities_in(material.authorities)
    if not authorities:
        return False
    try:
        certificate.verify_directly_issued_by(authorities[0])
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True


def _strictness(certificate: x509.Certificate) -> Decision | None:
    present = {type(extension.value) for extension in certificate.extensions}
    if present.issuperset(STRICTLY_NEEDED):
        return None
    return Decision(renew=True, reason="lacks what strict verification asks for")


def _age(certificate: x509.Certificate, now: datetime) -> Decision:
    if now < certificate.not_valid_before_utc:
        return Decision(renew=True, reason="is not valid yet")
    if now >= certificate.not_valid_after_utc:
        return Decision(renew=True, reason="has expired")
    if now >= renewal_time(certificate):
        return Decision(renew=True, reason="has reached two thirds of its life")
    return Decision(renew=False, reason=f"is good until {renewal_time(certificate):%Y-%m-%d %H:%M} UTC, then renewed")
