"""Report the material, its expiry, and what `ensure` would do and why.

`__main__.py` prints the report. The decisions are those of `rotation.py`, so the report
agrees with `ensure`. It never contains a key or a token, and this module changes
nothing.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from itertools import islice
from typing import Any

from cryptography import x509

from certs import bundle, rotation
from certs.authority import names_of
from certs.material import Material
from certs.rotation import Decision, Order
from certs.trust import ClientConfig


@dataclass(frozen=True, slots=True)
class CertificateFacts:
    """One certificate, in text."""

    subject: str
    serial: str
    names: tuple[str, ...]
    not_before: str
    not_after: str
    renewal: str


@dataclass(frozen=True, slots=True)
class Finding:
    """One part of the material or one webhook configuration, and the decision on it."""

    thing: str
    renew: bool
    reason: str
    certificates: tuple[CertificateFacts, ...]


def findings(
    location: str,
    material: Material,
    clients: Mapping[Any, Sequence[ClientConfig] | None],
    order: Order,
    now: datetime,
) -> tuple[Finding, ...]:
    """Return the state of each part.

    Args:
        location: the store, in words.
        material: the stored material.
        clients: the clients of each webhook configuration; None for a missing one. If empty,
            the path is left out.
        order: the wanted material.
        now: the time of the decisions.
    """
    authority = rotation.authority_due(material, now)
    serving = rotation.serving_due(material, order, now)
    if rotation.revokes(material) and not authority.renew:
        authority = Decision(
            renew=True, reason="is new, and the revocation of the previous ones is not complete"
        )
    return (
        _finding(
            f"authority in {location}", authority, bundle.authorities_in(material.authorities)
        ),
        _finding(
            f"certificate in {location}",
            serving,
            islice(bundle.certificates_in(material.certificate), 1),
        ),
        *([_path(material, order)] if clients else ()),
        *(_trust(str(name), present, material, now) for name, present in clients.items()),
    )


def as_text(found: Sequence[Finding]) -> str:
    """Render the findings for a terminal."""
    return "\n".join(line for finding in found for line in _lines(finding))


def as_document(found: Sequence[Finding]) -> dict[str, Any]:
    """Return the findings as a JSON document."""
    return {
        "due": any(finding.renew for finding in found),
        "findings": [asdict(finding) for finding in found],
    }


def _finding(thing: str, decision: Decision, certificates: Iterable[x509.Certificate]) -> Finding:
    return Finding(thing, *decision, tuple(map(_facts, certificates)))


def _path(material: Material, order: Order) -> Finding:
    """Return the state of the path token, without the token."""
    decision = rotation.token_due(material, order)
    if material.previous_path_token is not None and not decision.renew:
        decision = Decision(renew=True, reason="is changing, and the previous path is accepted too")
    return _finding("path token", decision, ())


def _trust(
    name: str, present: Sequence[ClientConfig] | None, material: Material, now: datetime
) -> Finding:
    if present is None:
        return _finding(name, Decision(renew=True, reason="does not exist"), ())
    authorities, without = material.authorities, rotation.distrusted(material)
    wrong = []
    if any(bundle.merge(authorities, one.bundle, now, without) != one.bundle for one in present):
        wrong.append("does not trust the right authorities")
    if any(one.path_is_managed and one.token != material.path_token for one in present):
        wrong.append("has another path")
    reason = " and ".join(wrong) or "trusts the right authorities and has the right path"
    trusted = bundle.authorities_in(b"".join(one.bundle for one in present))
    return _finding(name, Decision(bool(wrong), reason), dict.fromkeys(trusted))


def _facts(certificate: x509.Certificate) -> CertificateFacts:
    return CertificateFacts(
        subject=certificate.subject.rfc4514_string(),
        serial=f"{certificate.serial_number:x}",
        names=names_of(certificate),
        not_before=certificate.not_valid_before_utc.isoformat(),
        not_after=certificate.not_valid_after_utc.isoformat(),
        renewal=rotation.renewal_time(certificate).isoformat(timespec="seconds"),
    )


def _lines(finding: Finding) -> Iterator[str]:
    yield f"{finding.thing} {finding.reason}{': ensure would act' if finding.renew else ''}"
    for facts in finding.certificates:
        yield f"  {facts.subject}"
        if facts.names:
            yield f"    names    {', '.join(facts.names)}"
        yield f"    serial   {facts.serial}"
        yield f"    valid    {facts.not_before} to {facts.not_after}"
        yield f"    renewed  {facts.renewal}"
