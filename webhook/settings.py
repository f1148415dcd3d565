"""Define the flags and environment variables of the webhook.

`__main__.py` loads them once and passes them to `app.py`.
"""

from enum import StrEnum
from pathlib import Path
from typing import Self

from pydantic import Field, model_validator

from configmapsync.names import PROTECTED_NAMESPACES
from kube.configuration import own_namespace
from runtime.settings import LONGEST_SECONDS, AddressText, ProcessSettings


class AuthorizationMode(StrEnum):
    """The effect of a right that the user lacks."""

    ENFORCE = "enforce"
    WARN = "warn"
    OFF = "off"


class Settings(ProcessSettings):
    """Reject ConfigMapSyncs that could do harm, and fill in defaults."""

    listen: AddressText = Field(
        default=":9443", description="HOST:PORT of the webhook; port 0 selects a free one"
    )
    certificate_dir: Path = Field(
        default=Path("/etc/configmapsync/tls"),
        description=(
            "directory with tls.crt, tls.key and, if the certificate tool wrote it, path-token; "
            "changed files are reloaded"
        ),
    )
    client_ca_file: Path | None = Field(
        default=None,
        description=(
            "PEM file with the CAs of client certificates; with it, clients without a certificate "
            "of these CAs are rejected; a changed file is reloaded"
        ),
    )
    client_name: list[str] = Field(
        default=[],
        description=(
            "common or alternative names; a client certificate must have one of them; "
            "default: any name"
        ),
    )
    authorization: AuthorizationMode = Field(
        default=AuthorizationMode.ENFORCE,
        description=(
            "enforce: deny if the user, or the named service account, lacks a right; "
            "warn: warn only; off: do not check rights"
        ),
    )
    protected_namespaces: list[str] = Field(
        default=sorted(PROTECTED_NAMESPACES),
        description=(
            "namespaces that are destinations only by exact name; "
            "the webhook's own namespace is always one of them"
        ),
    )
    drain_seconds: float = Field(
        default=5.0,
        ge=0,
        le=LONGEST_SECONDS,
        description=(
            "seconds between becoming unready and closing the listener, "
            "so that the API servers stop calling"
        ),
    )

    @model_validator(mode="after")
    def _names_need_a_ca(self) -> Self:
        if self.client_name and self.client_ca_file is None:
            raise ValueError(
                "--client-name needs --client-ca-file: without a CA, any client can choose its name"
            )
        return self

    def protected(self) -> frozenset[str]:
        """Return the protected namespaces, and in a pod the namespace of this process."""
        return frozenset(filter(None, (*self.protected_namespaces, own_namespace())))
