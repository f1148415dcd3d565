"""Faults as rules: lost and refused requests, late and broken watches, crashes."""

from hypothesis import strategies as st
from hypothesis.stateful import rule

from tests.randomized.fault_plan import Fault, FaultKind
from tests.randomized.simulation import Simulation

WATCHES = ("copies", "configmaps", "namespaces", "configmapsyncs")


class FaultRules(Simulation):
    """The rules that inject faults."""

    @rule()
    def kill_reconciler(self) -> None:
        """Kill the reconciler at any await, and start another one."""
        self.kill()

    @rule(
        kind=st.sampled_from([kind.name for kind in FaultKind]),
        skip=st.integers(0, 5),
        only_writes=st.booleans(),
    )
    def inject_fault(self, kind: str, skip: int, only_writes: bool) -> None:
        """Let one of the next requests meet a fault."""
        self.faults.pending.append(Fault(FaultKind[kind], skip, only_writes))

    @rule()
    def break_watches(self) -> None:
        """Break every watch."""
        self.cut_watches()

    @rule(name=st.sampled_from(WATCHES), seconds=st.sampled_from((0.0, 0.01, 0.5, 20.0)))
    def delay_watch(self, name: str, seconds: float) -> None:
        """Delay the events of a watch from now on; 0 ends the delay."""
        self.faults.lag[name] = seconds

    @rule()
    def compact_history(self) -> None:
        """Compact the API server's history: a broken watch cannot be resumed."""
        self.cluster.compact()
