"""Define the faults of requests, and plan which request meets one.

`fake_connection.py` asks the plan at each request. The plan outlives the reconciler.
"""

import asyncio
import random
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

# The delay of a request before it is carried out, and of its answer.
LATENCIES_SECONDS = (0.0, 0.0, 0.001, 0.004, 0.02)
LATE_SECONDS = 45.0  # longer than the reconciler waits for any write


class FaultKind(StrEnum):
    """The faults that a request may meet."""

    CONFLICT = "it is answered 409"
    GONE = "it is answered 410"
    TOO_MANY = "it is answered 429, with a time to wait"
    SERVER_ERROR = "it is answered 500"
    UNAVAILABLE = "it is answered 503"
    DENIED = "an admission webhook denies it"
    MUTATED = "an admission webhook changes the ConfigMap that is stored"
    SLOW = "it is carried out, and answered after the reconcile stopped waiting"
    LOST_REQUEST = "it is not carried out, and nothing is answered"
    LOST_ANSWER = "it is carried out, and the connection breaks before the answer"
    UNANSWERED = "it is carried out, and nothing is answered"
    LATE = "it is carried out after the timeout, and nothing is answered"
    KILLED_BEFORE = "the reconciler is killed, and it is not carried out"
    KILLED_AFTER = "it is carried out, and the reconciler is killed before the answer comes"


REFUSALS = {
    FaultKind.CONFLICT: 409,
    FaultKind.GONE: 410,
    FaultKind.TOO_MANY: 429,
    FaultKind.SERVER_ERROR: 500,
    FaultKind.UNAVAILABLE: 503,
    FaultKind.DENIED: 403,
}
WRITES = {"POST", "PUT", "PATCH", "DELETE"}


@dataclass(frozen=True, slots=True)
class Request:
    """A request of the reconciler.

    Attributes:
        method: of HTTP; `WATCH` for a watch.
        path: with its leading slash.
        params: of the query.
        timeout: seconds for its answer.
        accept: media types of the answer.
    """

    method: str
    path: str
    params: Mapping[str, str]
    timeout: float
    accept: str = ""

    @property
    def writes(self) -> bool:
        """Return whether it is a write; the API server also runs admission for a dry run."""
        return self.method in WRITES and "authorization.k8s.io" not in self.path

    @property
    def stores(self) -> bool:
        """Return whether it can change the stored objects."""
        return self.writes and "dryRun" not in self.params

    @property
    def sends_content(self) -> bool:
        """Return whether it holds a whole ConfigMap; it may be a dry run."""
        collection, _, name = self.path.partition("/configmaps")
        of_configmap = "/namespaces/" in collection and name.count("/") == (self.method == "PUT")
        return self.method in {"POST", "PUT"} and of_configmap

    @property
    def stores_content(self) -> bool:
        """Return whether it creates or replaces a ConfigMap."""
        return self.stores and self.sends_content


@dataclass(slots=True)
class Fault:
    """A pending fault: it hits the request after `skip` others, optionally only a write."""

    kind: FaultKind
    skip: int
    only_writes: bool

    def strikes(self, request: Request) -> bool:
        """Return whether this request meets the fault."""
        if self.only_writes and not request.writes:
            return False
        self.skip -= 1
        return self.skip < 0


@dataclass(slots=True)
class FaultPlan:
    """The pending faults between reconciler and API server; it outlives the reconciler.

    Attributes:
        rng: for the delays of requests.
        pending: faults that have not hit a request yet.
        lag: seconds of delay by watch: `copies`, `configmaps`, `namespaces`, `configmapsyncs`.
        deaf: watches, by the same names, whose events are lost.
        late: requests that are still to be carried out after their timeout.
    """

    rng: random.Random
    pending: list[Fault] = field(default_factory=list)
    lag: defaultdict[str, float] = field(default_factory=lambda: defaultdict(float))
    deaf: set[str] = field(default_factory=set)
    late: set[asyncio.Task[None]] = field(default_factory=set)

    def next_fault(self, request: Request) -> FaultKind | None:
        """Return the fault that this request meets; None if it meets none."""
        for fault in self.pending:
            if fault.strikes(request):
                self.pending.remove(fault)
                return fault.kind
        return None

    def answer_from_the_past(self, _request: Request) -> bytes | None:
        """Return an old answer for this request; None if the cluster answers it."""
        return None

    def clear(self) -> None:
        """Remove all pending faults and delays."""
        self.pending.clear()
        self.lag.clear()
        self.deaf.clear()
