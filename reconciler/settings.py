"""Define the flags and environment variables of the reconciler.

`__main__.py` reads them once.
"""

from ipaddress import ip_address
from typing import Annotated, Self

from pydantic import AfterValidator, Field, model_validator

from configmapsync.names import PROTECTED_NAMESPACES
from kube.configuration import own_namespace
from kube.leader_election import Timing
from runtime.settings import LONGEST_SECONDS, Address, Metavar, ProcessSettings


def _check_loopback(text: str) -> str:
    """Accept no address, or one that only processes of the same host or pod can reach."""
    if not text:
        return text
    host = Address.parse(text).host
    try:
        loopback = host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        loopback = False
    if not loopback:
        raise ValueError(
            f"{text!r} is not a loopback address such as 127.0.0.1:8082; the page has no sign-in, "
            "so open it with kubectl port-forward"
        )
    return text


class ReconcilerSettings(ProcessSettings):
    """Keep the copies of ConfigMaps in sync with their sources.

    With `plan` as the first argument it prints what it would do, and writes nothing; see
    `plan --help`.
    """

    protected_namespaces: list[str] = Field(
        default=sorted(PROTECTED_NAMESPACES),
        description=(
            "namespaces that are destinations only by exact name; "
            "the reconciler's own namespace is always one of them"
        ),
    )
    served_namespaces: list[str] = Field(
        default=[],
        description=(
            "the only namespaces in which the reconciler may write ConfigMaps; "
            "default: every namespace"
        ),
    )
    workers: int = Field(default=32, ge=1, le=256, description="syncs reconciled at the same time")
    parallel_writes: int = Field(
        default=32, ge=1, le=512, description="writes in flight at the same time"
    )
    source_cache_mebibytes: Annotated[int, Metavar("MEBIBYTES")] = Field(
        default=16,
        ge=0,
        le=65536,
        description=(
            "content of sources that is cached between reconciles; other sources are read again"
        ),
    )

    authorization_interval: float = Field(
        default=60.0,
        gt=0,
        le=LONGEST_SECONDS,
        description=(
            "longest time until the reconciler notices that a spec.serviceAccountName lost a right"
        ),
    )

    contested_interval: float = Field(
        default=60.0,
        gt=0,
        le=LONGEST_SECONDS,
        description="time between two writes to a copy that another client keeps rewriting",
    )

    orphan_grace: float = Field(
        default=600.0,
        ge=0,
        le=LONGEST_SECONDS,
        description=(
            "time without a sync after which its copies are handled by their own "
            "deletion-policy annotation"
        ),
    )

    page_address: Annotated[str, AfterValidator(_check_loopback), Metavar("ADDRESS")] = Field(
        default="",
        description=(
            "loopback HOST:PORT of the read-only web page, such as 127.0.0.1:8082; "
            "port 0 selects a free one; default: no page"
        ),
    )

    leader_elect: bool = Field(
        default=False,
        description="reconcile only while holding a Lease, so that one of several replicas works",
    )
    leader_election_namespace: str = Field(
        default="", description="namespace of the Lease; default: the namespace of this pod"
    )
    leader_election_name: str = Field(
        default="configmapsync-reconciler", description="name of the Lease"
    )
    leader_election_lease_duration: Annotated[int, Metavar("SECONDS")] = Field(
        default=15,
        le=LONGEST_SECONDS,
        description="time without a renewal after which another replica takes the Lease",
    )
    leader_election_renew_deadline: float = Field(
        default=10.0,
        le=LONGEST_SECONDS,
        description=(
            "time without a renewal after which the leader exits; less than the lease duration"
        ),
    )
    leader_election_retry_period: float = Field(
        default=2.0,
        le=LONGEST_SECONDS,
        description="time between two renewals; less than the renew deadline",
    )

    @model_validator(mode="after")
    def _electable(self) -> Self:
        self.lease_timing()
        if self.leader_elect and not self.lease_namespace():
            raise ValueError(
                "--leader-election-namespace is required with --leader-elect outside a pod"
            )
        return self

    def lease_timing(self) -> Timing:
        """Return the timing of the leader election."""
        return Timing(
            self.leader_election_lease_duration,
            self.leader_election_renew_deadline,
            self.leader_election_retry_period,
        )

    def lease_namespace(self) -> str:
        """Return the namespace of the Lease; empty if it is not set and this is not a pod."""
        return self.leader_election_namespace or own_namespace()

    def served(self) -> frozenset[str] | None:
        """Return the only namespaces for copies; None if every namespace may have copies."""
        return frozenset(self.served_namespaces) or None

    def protected(self) -> frozenset[str]:
        """Return the protected namespaces, and in a pod the namespace of this process."""
        return frozenset({*self.protected_namespaces, own_namespace()} - {""})
