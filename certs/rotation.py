"""Decide what is due and why, and make the new material.

`ensure.py` and `inspection.py` call this module; each decision carries its reason.
Trust must come before use, so the CA and the serving certificate are renewed in two
steps: first the new CA is stored and published while the old pair is served; then it
signs a new pair. A revocation is such a renewal that also drops the old CA and changes
the path. This module does no I/O and reads no clock.
"""

from collections.abc import Collection
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import NamedTuple

from cryptography import x509
from cryptography.exceptions import InvalidSignature

from certs import bundle
from certs.authority import KeyPair, UnreadablePairError, names_of, new_authority, new_serving_pair
from certs.material import PATH_TOKEN_FORM, Material

# The last third of a life is the time that administrators have to notice a failing renewal.
RENEWED_AFTER = 2 / 3

STRICTLY_NEEDED = (x509.SubjectKeyIdentifier, x509.AuthorityKeyIdentifier, x509.KeyUsage)


@dataclass(frozen=True, slots=True)
class Order:
    """The wanted material.

    Attributes:
        names: DNS names and IP addresses of the serving certificate.
        authority_lifetime: life of a new CA.
        certificate_lifetime: life of a new serving certificate.
        unguessable_path: whether the webhook's paths begin with a token.
    """

    names: tuple[str, ...]
    authority_lifetime: timedelta
    certificate_lifetime: timedelta
    unguessable_path: bool = True


class Renewal(StrEnum):
    """What to renew: what is due, or more on request.

    `certificate` adds the serving pair, `all` also the CA and the path. `revoke` is `all`, and
    ends the trust in the previous CAs.
    """

    DUE = "due"
    CERTIFICATE = "certificate"
    ALL = "all"
    REVOKE = "revoke"

    @property
    def everything(self) -> bool:
        """Return whether the CA and the path are renewed as well."""
        return self in (Renewal.ALL, Renewal.REVOKE)


class Decision(NamedTuple):
    """Whether a part must be renewed, and why.

    `reason` ends a sentence that begins with the name of the part.
    """

    renew: bool
    reason: str


def authority_due(material: Material, now: datetime) -> Decision:
    """Return whether the CA is due."""
    try:
        authority = KeyPair.parse(material.authorities, material.authority_key).certificate
    except UnreadablePairError as error:
        return _due(str(error))
    if authority not in bundle.authorities_in(material.authorities):
        return _due("is no CA")
    if authority in _revoked(material):
        return _due("is revoked")
    return _certificate_due(authority, now)


def serving_due(material: Material, order: Order, now: datetime) -> Decision:
    """Return whether the serving pair is due, provided that the CA is not."""
    try:
        certificate = KeyPair.parse(material.certificate, material.key).certificate
    except UnreadablePairError as error:
        return _due(str(error))
    if set(names_of(certificate)) != set(order.names):
        return _due("is for other names")
    if not _issued_by_current_authority(certificate, material):
        return _due("is not signed by the current CA")
    return _certificate_due(certificate, now)


def with_new_authority(material: Material, order: Order, now: datetime) -> Material:
    """Return the material with a new CA before the old ones, and with the same serving pair."""
    authority = new_authority(now, order.authority_lifetime)
    return replace(
        material,
        authorities=bundle.merge(authority.certificate_pem, material.authorities, now),
        authority_key=authority.key_pem,
    )


def with_old_authorities_revoked(material: Material, seen: bytes, now: datetime) -> Material:
    """Return the material with every CA but the current one marked as revoked.

    The marked CAs stay in the bundle, because pods still serve a pair that one of them
    signed. `without_revoked` drops them.

    Args:
        material: with the new CA first.
        seen: the bundles that the API server trusts; they may hold CAs that the store has
            lost.
        now: the time of the revocation.
    """
    others = material.authorities + seen
    current = current_authority(material)
    return replace(
        material, revoked=bundle.merge(others, material.revoked, now, current, bundle.MOST_REVOKED)
    )


def revokes(material: Material) -> bool:
    """Return whether a revocation is incomplete: the bundle still holds a revoked CA."""
    return not _revoked(material).isdisjoint(bundle.authorities_in(material.authorities))


def without_revoked(material: Material, now: datetime) -> Material:
    """Return the material with the revoked CAs dropped from the bundle."""
    return replace(
        material, authorities=bundle.merge(material.authorities, b"", now, without=material.revoked)
    )


def distrusted(material: Material) -> bytes:
    """Return the bundle of CAs that the API server must not trust.

    These are the revoked CAs, except those that the store still holds.
    """
    present = set(bundle.authorities_in(material.authorities))
    return bundle.pem(one for one in bundle.authorities_in(material.revoked) if one not in present)


def current_authority(material: Material) -> bytes:
    """Return the current CA in PEM; empty if there is none."""
    return bundle.pem(bundle.authorities_in(material.authorities)[:1])


def with_new_serving_pair(material: Material, order: Order, now: datetime) -> Material:
    """Return the material with a new pair signed by its current CA.

    Raises:
        UnreadablePairError: the CA is due, too.
    """
    authority = KeyPair.parse(material.authorities, material.authority_key)
    pair = new_serving_pair(authority, order.names, now, order.certificate_lifetime)
    return replace(material, certificate=pair.certificate_pem, key=pair.key_pem)


def token_due(material: Material, order: Order) -> Decision:
    """Return whether the path token is due."""
    if not order.unguessable_path:
        return Decision(renew=bool(material.path_token), reason="is not wanted")
    if PATH_TOKEN_FORM.fullmatch(material.path_token) is None:
        return _due("is unusable" if material.path_token else "is missing")
    return Decision(renew=False, reason="is in order")


def token_in_use(tokens: Collection[bytes | None]) -> bytes | None:
    """Return the one token in the paths of all webhooks, for a store that has lost it.

    Args:
        tokens: empty for plain paths, None for a webhook without a path.

    Returns:
        The token, or None if there is none or more than one.
    """
    present = {token for token in tokens if token}
    return present.pop() if len(present) == 1 else None


def with_new_token(material: Material, token: bytes, now: datetime) -> Material:
    """Return the material with another path token.

    If a pair is served, the webhook accepts the present paths for some time, too.

    Args:
        material: with the present token.
        token: the new one; empty for plain paths.
        now: the time of the change.
    """
    present = material.path_token if PATH_TOKEN_FORM.fullmatch(material.path_token) else b""
    return replace(
        material,
        path_token=token,
        previous_path_token=present if still_serves(material, now) else None,
    )


def trust_is_new(material: Material) -> bool:
    """Return whether another CA than the current one has signed the stored pair."""
    certificate = _served(material)
    # Without a pair no pod serves, so there is nothing to wait for.
    return certificate is not None and not _issued_by_current_authority(certificate, material)


def renewal_time(certificate: x509.Certificate) -> datetime:
    """Return the time at two thirds of the life of a certificate."""
    life = certificate.not_valid_after_utc - certificate.not_valid_before_utc
    return certificate.not_valid_before_utc + life * RENEWED_AFTER


def still_serves(material: Material, now: datetime) -> bool:
    """Return whether the stored pair can be served.

    Otherwise no pod serves, so `ensure` does not wait for pods.
    """
    certificate = _served(material)
    return certificate is not None and certificate.not_valid_after_utc > now


def _served(material: Material) -> x509.Certificate | None:
    try:
        return KeyPair.parse(material.certificate, material.key).certificate
    except UnreadablePairError:
        return None


def _revoked(material: Material) -> set[x509.Certificate]:
    return set(bundle.authorities_in(material.revoked))


def _issued_by_current_authority(certificate: x509.Certificate, material: Material) -> bool:
    try:
        certificate.verify_directly_issued_by(bundle.authorities_in(material.authorities)[0])
    except (IndexError, ValueError, TypeError, InvalidSignature):  # IndexError: there is no CA
        return False
    return True


def _certificate_due(certificate: x509.Certificate, now: datetime) -> Decision:
    if not {type(one.value) for one in certificate.extensions}.issuperset(STRICTLY_NEEDED):
        return _due("lacks extensions that strict verification requires")
    if now < certificate.not_valid_before_utc:
        return _due("is not valid yet")
    if now >= certificate.not_valid_after_utc:
        return _due("has expired")
    renewal = renewal_time(certificate)
    if now >= renewal:
        return _due("has reached two thirds of its life")
    return Decision(renew=False, reason=f"is good until {renewal:%Y-%m-%d %H:%M} UTC, then renewed")


def _due(reason: str) -> Decision:
    return Decision(renew=True, reason=reason)
