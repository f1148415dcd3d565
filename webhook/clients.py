"""Which client certificates are accepted, by the names in them. That they come from a trusted CA is checked by TLS itself."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class ClientNames:
    """Names of which a client certificate must have one; no names: any certificate, or none, is accepted."""

    wanted: frozenset[str] = frozenset()

    def accept(self, certificate: Mapping[str, Any] | None) -> bool:
        """Return whether a certificate, as `getpeercert` returns it, has a wanted name."""
        return not self.wanted or any(name in self.wanted for name in _names(certificate or {}))


def _names(certificate: Mapping[str, Any]) -> Iterator[str]:
    """Yield each common name and each subject alternative name."""
    for relative_name in certificate.get("subject", ()):
        for key, value in relative_name:
            if key == "commonName":
                yield value
    for _kind, value in certificate.get("subjectAltName", ()):
        yield value
