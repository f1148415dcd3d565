"""Two replicas: a stolen Lease, a frozen or disconnected leader, different clocks."""

from collections.abc import MutableMapping
from typing import Any

import structlog
from hypothesis import strategies as st
from hypothesis.stateful import rule

from tests.randomized.machine import RandomRuns
from tests.randomized.replica import LEASE_NAMESPACE, Replica
from tests.randomized.terms import TermChecker

LEASES = ("coordination.k8s.io", "leases")
LEASE = (LEASE_NAMESPACE, "configmapsync-reconciler")
SKEW_SECONDS = 3600.0
# Shorter than the renew deadline, between it and the lease duration, and longer.
TROUBLES_SECONDS = (1.0, 12.0, 40.0)
# The renewals of the Lease make an hour of virtual time expensive.
QUIET_SECONDS = 120.0


class TwoReplicas(RandomRuns):
    """Random runs with two replicas whose clocks are an hour apart."""

    replicas = 2

    def __init__(self) -> None:
        self.terms = TermChecker(lambda: self._replicas, self._look_at_write)
        self._replicas: list[Replica] = []
        super().__init__()

    def check(self) -> None:
        """Check as well that at most one replica wrote in each term."""
        super().check()
        assert not self.terms.violations, "\n".join(self.terms.violations)

    @rule(seconds=st.sampled_from(TROUBLES_SECONDS), leader=st.booleans())
    def freeze_replica(self, seconds: float, leader: bool) -> None:
        """Freeze a replica for some time."""
        replica = self.replica(leader)
        replica.freeze()
        self._loop.call_later(seconds, replica.wake)

    @rule(seconds=st.sampled_from(TROUBLES_SECONDS), leader=st.booleans())
    def cut_off_replica(self, seconds: float, leader: bool) -> None:
        """Disconnect a replica from the API server for some time."""
        replica = self.replica(leader)
        replica.cut_off(unreachable=True)
        self._loop.call_later(seconds, lambda: replica.cut_off(unreachable=False))

    @rule()
    def steal_lease(self) -> None:
        """Write another holder into the Lease.

        A Lease whose holder another client removes is free at once, while the holder notices it at
        its next renewal. So no rule does that.
        """
        self.patch(LEASES, LEASE, {"spec": {"holderIdentity": "thief"}})

    def replica(self, leader: bool) -> Replica:
        """Return the replica that leads, or another one."""
        leading = self._leader()
        return leading if leader else next(each for each in self._replicas if each is not leading)

    def _check_end(self) -> None:
        self.quiet = QUIET_SECONDS
        for replica in self._replicas:
            replica.wake()
            replica.cut_off(unreachable=False)
        super()._check_end()

    def _collect_log_error(self, logger: Any, method: str, event: MutableMapping[str, Any]) -> str:
        """Collect errors in the log, except that a leader was replaced."""
        if event["event"] == "lost leader lease":
            raise structlog.DropEvent
        return super()._collect_log_error(logger, method, event)

    def _look_at_write(self, method: str, path: str, body: bytes | None) -> Any:
        return self.write_checker.before_write(method, path, body)

    async def _start(self) -> Replica:
        number = next(self._numbers)
        return Replica(
            self.cluster,
            self.faults,
            self.terms.before_write,
            f"replica-{number}",
            skew_seconds=SKEW_SECONDS * (number % 2),
        )
