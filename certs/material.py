"""Define the values that the tool keeps between two runs: CA, serving pair, path token.

`rotation.py` makes them; `secret_store.py` and `directory.py` store them in two parts,
because only this tool may read the key of the CA: the authority part, and the serving
part, which the webhook mounts. This module does no I/O.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol, Self

AUTHORITIES = "ca.crt"
AUTHORITY_KEY = "ca.key"
REVOKED = "revoked.crt"
CERTIFICATE = "tls.crt"
KEY = "tls.key"
PATH_TOKEN = "path-token"  # noqa: S105 - the name of an entry
PREVIOUS_PATH_TOKEN = "previous-path-token"  # noqa: S105 - the name of an entry

ALL_FILES = (AUTHORITIES, AUTHORITY_KEY, REVOKED, CERTIFICATE, KEY, PATH_TOKEN, PREVIOUS_PATH_TOKEN)

# The API server accepts a path only if each segment is a DNS subdomain, which excludes base64.
PATH_TOKEN_FORM = re.compile(rb"[a-z0-9]{32,128}")

Files = Mapping[str, bytes]


@dataclass(frozen=True, slots=True)
class Material:
    """PEM blocks and tokens as they are stored. A repr, and so a log line, holds no secret value.

    Attributes:
        authorities: the current CA, then the CAs that it replaced and that are still trusted.
        authority_key: the key of the current CA.
        revoked: CAs that must not be trusted. `authorities` may still hold one until the pods
            serve the new pair.
        certificate: the serving certificate.
        key: the key of the serving certificate.
        path_token: the first segment of the webhook's paths; empty for plain paths.
        previous_path_token: a token that the webhook also accepts while the new one spreads;
            empty for plain paths, None for no other paths.
    """

    authorities: bytes = b""
    authority_key: bytes = field(default=b"", repr=False)
    revoked: bytes = b""
    certificate: bytes = b""
    key: bytes = field(default=b"", repr=False)
    path_token: bytes = field(default=b"", repr=False)
    previous_path_token: bytes | None = field(default=None, repr=False)

    @classmethod
    def from_files(cls, authority: Files, serving: Files) -> Self:
        """Return the material of two stored parts; a missing entry is empty."""
        return cls(
            authorities=authority.get(AUTHORITIES, b""),
            authority_key=authority.get(AUTHORITY_KEY, b""),
            revoked=authority.get(REVOKED, b""),
            certificate=serving.get(CERTIFICATE, b""),
            key=serving.get(KEY, b""),
            path_token=serving.get(PATH_TOKEN, b""),
            previous_path_token=serving.get(PREVIOUS_PATH_TOKEN),
        )

    def authority_files(self) -> dict[str, bytes]:
        """Return the entries that only this tool may read."""
        files = {AUTHORITIES: self.authorities, AUTHORITY_KEY: self.authority_key}
        return files | ({REVOKED: self.revoked} if self.revoked else {})

    def serving_files(self) -> dict[str, bytes]:
        """Return the entries that the webhook mounts, without the key of the CA."""
        files = {AUTHORITIES: self.authorities, CERTIFICATE: self.certificate, KEY: self.key}
        if self.path_token:
            files[PATH_TOKEN] = self.path_token
        if self.previous_path_token is not None:
            files[PREVIOUS_PATH_TOKEN] = self.previous_path_token
        return files


@dataclass(frozen=True, slots=True)
class Part:
    """One stored part; its version is empty if it does not exist."""

    version: str = ""
    files: Files = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True)
class Stored:
    """The content of a store at one moment."""

    material: Material
    authority: Part = Part()
    serving: Part = Part()


class Store(Protocol):
    """A store for material that detects concurrent writes."""

    @property
    def location(self) -> str:
        """Return the store in words, for log lines and messages."""

    async def load(self) -> Stored:
        """Read both parts.

        Raises:
            ForeignObjectError: the store holds objects that this tool did not create.
        """

    async def save_authority(self, material: Material, stored: Stored) -> Stored:
        """Replace the authority part of `stored`, and return what is stored then.

        Raises:
            OutdatedError: another run wrote in between; load again and decide again.
        """

    async def save_serving(self, material: Material, stored: Stored) -> Stored:
        """Replace the serving part of `stored`, and return what is stored then.

        Raises:
            OutdatedError: another run wrote in between; load again and decide again.
        """


class ForeignObjectError(Exception):
    """The store holds objects that this tool did not create, so it does not overwrite them."""


class OutdatedError(Exception):
    """Another run wrote since `load`; `ensure` starts again from there."""
