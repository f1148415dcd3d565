"""The flags and environment variables of the webhook. Read once, by `__main__.py`."""

from enum import StrEnum
from pathlib import Path
from typing import Self

from pydantic import Field, model_validator

from configmapsync.names import PROTECTED_NAMESPACES
from runtime.settings import LONGEST_SECONDS, AddressText, ProcessSettings

NAMESPACE_FILE = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")


class AuthorizationMode(StrEnum):
    """What follows when the user may not do what the sync would do."""

    ENFORCE = "enforce"
    WARN = "warn"
    OFF = "off"


class Settings(ProcessSettings):
    """Refuse at `kubectl apply` what could do harm, and fill in what was left unset."""

    listen: AddressText = Field(
        default=":9443", description="HOST:PORT of the webhook itself; port 0 picks one"
    )
    certificate_dir: Path = Field(
        default=Path("/etc/configmapsync/tls"),
        description="directory with tls.crt, tls.key and, where the certificate tool wrote it, path-token; followed when they change",
    )
    client_ca_file: Path | None = Field(
        default=None,
        description="PEM file with the CAs of client certificates; where it is given, a client without one of theirs is refused; followed when it changes",
    )
    client_name: list[str] = Field(
        default=[],
        description="common or alternative names of which a client certificate must have one; default: any name",
    )
    authorization: AuthorizationMode = Field(
        default=AuthorizationMode.ENFORCE,
        description="enforce: the user, or the named service account, must have the rights; warn: only say so; off: never ask",
    )
    protected_namespaces: list[str] = Field(
        default=sorted(PROTECTED_NAMESPACES),
        description="namespaces that are destinations only by exact name; the webhook's own is always among them",
    )
    drain_seconds: float = Field(
        default=5.0,
        ge=0,
        le=LONGEST_SECONDS,
        description="time between not being ready any more and closing, for the API servers to hear of it",
    )

    @model_validator(mode="after")
    def _names_need_a_ca(self) -> Self:
        if self.client_name and self.client_ca_file is None:
            raise ValueError(
                "--client-name needs --client-ca-file: a name in a certificate that no CA vouches for is worth nothing"
            )
        return self

    def protected(self) -> frozenset[str]:
        """All protected namespaces, with the one this process lives in where it runs in a cluster."""
        own = (
            {NAMESPACE_FILE.read_text(encoding="utf-8").strip()}
            if NAMESPACE_FILE.exists()
            else set()
        )
        return frozenset(self.protected_namespaces) | own
