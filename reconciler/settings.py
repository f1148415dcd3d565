"""What an operator may set: flags and `CONFIGMAPSYNC_...` variables, read once by `__main__.py`."""

from pathlib import Path

from pydantic import Field

from configmapsync.names import PROTECTED_NAMESPACES
from runtime.settings import ProcessSettings

NAMESPACE_FILE = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")


class ReconcilerSettings(ProcessSettings):
    """Keeps copies of ConfigMaps right, in every namespace that should have them and in none that should not."""

    protected_namespaces: list[str] = Field(
        default=sorted(PROTECTED_NAMESPACES),
        description="namespaces that are destinations only by exact name; the reconciler's own is always among them",
    )
    workers: int = Field(default=16, ge=1, le=256, description="syncs reconciled at the same time")
    parallel_writes: int = Field(default=32, ge=1, le=512, description="writes in flight at the same time")
    source_cache_mebibytes: int = Field(
        default=16, ge=0, description="how much content of sources is kept between reconciles; the rest is read again"
    )

    authorization_interval: float = Field(
        default=60.0,
        gt=0,
        description="seconds after which a right taken from a spec.serviceAccountName is noticed at the latest",
    )

    contested_interval: float = Field(
        default=60.0, gt=0, description="seconds between two writes to a copy that something else keeps rewriting"
    )

    orphan_grace: float = Field(
        default=600.0,
        ge=0,
        description="seconds that a sync must have been missing before its copies are handled by their own deletion-policy mark",
    )

    def protected(self) -> frozenset[str]:
        """All protected namespaces, with the one this process lives in where it runs in a cluster."""
        own = {NAMESPACE_FILE.read_text(encoding="utf-8").strip()} if NAMESPACE_FILE.exists() else set()
        return frozenset(self.protected_namespaces) | own
