"""The flags and environment variables of the webhook. Read once, by `__main__.py`."""

from enum import StrEnum
from pathlib import Path

from pydantic import Field

from configmapsync.names import PROTECTED_NAMESPACES
from runtime.settings import AddressText, ProcessSettings

NAMESPACE_FILE = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")


class AuthorizationMode(StrEnum):
    """What follows when the user may not do what the sync would do."""

    ENFORCE = "enforce"
    WARN = "warn"
    OFF = "off"


class Settings(ProcessSettings):
    """Refuse at `kubectl apply` what could do harm, and fill in what was left unset."""

    listen: AddressText = Field(default=":9443", description="HOST:PORT of the webhook itself; port 0 picks one")
    certificate_dir: Path = Field(
        default=Path("/etc/configmapsync/tls"),
        description="directory with tls.crt and tls.key; followed when they change",
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
        description="time between not being ready any more and closing, for the API servers to hear of it",
    )

    def protected(self) -> frozenset[str]:
        """All protected namespaces, with the one this process lives in where it runs in a cluster."""
        own = {NAMESPACE_FILE.read_text(encoding="utf-8").strip()} if NAMESPACE_FILE.exists() else set()
        return frozenset(self.protected_namespaces) | own
