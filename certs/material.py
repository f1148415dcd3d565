"""What is kept between two runs: the CA, the serving pair, and every CA that may still be trusted somewhere.

One value, because it must be stored in one write: a torn mixture of old and new could not be told from damage. Made by `rotation.py`,
stored by `cluster.py` and `directory.py`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol, Self

AUTHORITIES = "ca.crt"
AUTHORITY_KEY = "ca.key"
CERTIFICATE = "tls.crt"
KEY = "tls.key"


@dataclass(frozen=True, slots=True)
class Material:
    """PEM blocks as they are stored; the keys never appear in a repr, so no log line can hold them."""

    authorities: bytes = b""  # the current CA first, then those it replaced
    authority_key: bytes = field(default=b"", repr=False)
    certificate: bytes = b""
    key: bytes = field(default=b"", repr=False)

    @classmethod
    def from_files(cls, files: Mapping[str, bytes]) -> Self:
        """Read the four entries by their usual names; a missing one is empty, which `rotation` then finds damaged."""
        return cls(
            authorities=files.get(AUTHORITIES, b""),
            authority_key=files.get(AUTHORITY_KEY, b""),
            certificate=files.get(CERTIFICATE, b""),
            key=files.get(KEY, b""),
        )

    def as_files(self) -> dict[str, bytes]:
        """Return the entries by name, as a `kubernetes.io/tls` Secret and a directory hold them."""
        return {
            AUTHORITIES: self.authorities,
            AUTHORITY_KEY: self.authority_key,
            CERTIFICATE: self.certificate,
            KEY: self.key,
        }


@dataclass(frozen=True, slots=True)
class Stored:
    """What a store held at one moment; `version` is empty where nothing was there."""

    material: Material
    version: str


class Store(Protocol):
    """A place for material that tells when somebody else wrote in between."""

    @property
    def place(self) -> str:
        """Where it is, in words for people."""

    async def load(self) -> Stored:
        """Read what is there.

        Raises:
            NotOursError: something is there that this tool did not make.
        """

    async def save(self, material: Material, version: str) -> Stored:
        """Write in place of what `load` returned with `version`.

        Raises:
            OutdatedError: somebody wrote in between; load again and decide again.
        """


class NotOursError(Exception):
    """The place is taken by something that this tool did not make and therefore never overwrites."""


class OutdatedError(Exception):
    """Another run was faster."""
