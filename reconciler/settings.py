"""What an operator may set: flags and `CONFIGMAPSYNC_...` variables, read once by `__main__.py`."""

from typing import Self

from pydantic import Field, model_validator

from configmapsync.names import PROTECTED_NAMESPACES
from kube.configuration import own_namespace
from kube.leader_election import Timing
from runtime.settings import LONGEST_SECONDS, ProcessSettings


class ReconcilerSettings(ProcessSettings):
    """Keeps copies of ConfigMaps right, in every namespace that should have them and in none that should not.

    With `plan` in place of all flags it tells what it would do, and does nothing: `plan --help`.
    """

    protected_namespaces: list[str] = Field(
        default=sorted(PROTECTED_NAMESPACES),
        description="namespaces that are destinations only by exact name; the reconciler's own is always among them",
    )
    served_namespaces: list[str] = Field(
        default=[],
        description="the only namespaces in which this account may write ConfigMaps; default: every namespace",
    )
    workers: int = Field(default=16, ge=1, le=256, description="syncs reconciled at the same time")
    parallel_writes: int = Field(
        default=32, ge=1, le=512, description="writes in flight at the same time"
    )
    source_cache_mebibytes: int = Field(
        default=16,
        ge=0,
        le=65536,
        description="how much content of sources is kept between reconciles; the rest is read again",
    )

    authorization_interval: float = Field(
        default=60.0,
        gt=0,
        le=LONGEST_SECONDS,
        description="seconds after which a right taken from a spec.serviceAccountName is noticed at the latest",
    )

    contested_interval: float = Field(
        default=60.0,
        gt=0,
        le=LONGEST_SECONDS,
        description="seconds between two writes to a copy that something else keeps rewriting",
    )

    orphan_grace: float = Field(
        default=600.0,
        ge=0,
        le=LONGEST_SECONDS,
        description="seconds that a sync must have been missing before its copies are handled by their own deletion-policy mark",
    )

    leader_elect: bool = Field(
        default=False,
        description="work only while holding a Lease: for several replicas, of which one works",
    )
    leader_election_namespace: str = Field(
        default="",
        description="namespace of the Lease; default: the one this process runs in, where it is a pod",
    )
    leader_election_name: str = Field(
        default="configmapsync-reconciler", description="name of the Lease"
    )
    leader_election_lease_duration: int = Field(
        default=15,
        le=LONGEST_SECONDS,
        description="seconds after which a leader that says nothing is replaced",
    )
    leader_election_renew_deadline: float = Field(
        default=10.0,
        le=LONGEST_SECONDS,
        description="seconds after which a leader that cannot renew its Lease ends; less than the duration",
    )
    leader_election_retry_period: float = Field(
        default=2.0,
        le=LONGEST_SECONDS,
        description="seconds between two renewals; less than the deadline",
    )

    @model_validator(mode="after")
    def _electable(self) -> Self:
        """Refuse an election that cannot go well."""
        self.lease_timing()
        if self.leader_elect and not self.lease_namespace():
            raise ValueError(
                "--leader-election-namespace must say where the Lease is to be: this is no pod"
            )
        return self

    def lease_timing(self) -> Timing:
        """How patient the candidates are."""
        return Timing(
            self.leader_election_lease_duration,
            self.leader_election_renew_deadline,
            self.leader_election_retry_period,
        )

    def lease_namespace(self) -> str:
        """Where the Lease is; empty where nobody knows."""
        return self.leader_election_namespace or own_namespace()

    def served(self) -> frozenset[str] | None:
        """Return the only namespaces that copies may be written in, or None if every namespace may have copies."""
        return frozenset(self.served_namespaces) or None

    def protected(self) -> frozenset[str]:
        """All protected namespaces, with the one this process lives in where it runs in a cluster."""
        return frozenset(self.protected_namespaces) | {name for name in [own_namespace()] if name}
