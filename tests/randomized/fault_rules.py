"""What goes wrong between reconciler and API server: lost and refused requests, late and broken watches, power failures."""

from hypothesis import strategies as st
from hypothesis.stateful import rule

from tests.randomized.fake_connection import Fault, FaultKind
from tests.randomized.story import Story

WATCHES = ("copies", "configmaps", "namespaces", "configmapsyncs")


class FaultRules(Story):
    """Bad luck of every kind, at any request."""

    @rule()
    def kill_reconciler(self) -> None:
        """The reconciler is killed where it stands, and another one starts."""
        self.kill()

    @rule(
        mishap=st.sampled_from([mishap.name for mishap in FaultKind]),
        skip=st.integers(0, 5),
        only_writes=st.booleans(),
    )
    def have_bad_luck(self, mishap: str, skip: int, only_writes: bool) -> None:
        """Something will happen to one of the next requests."""
        self.weather.coming.append(Fault(FaultKind[mishap], skip, only_writes))

    @rule()
    def break_watches(self) -> None:
        """Every watch is cut."""
        self.cut_watches()

    @rule(name=st.sampled_from(WATCHES), seconds=st.sampled_from((0.0, 0.01, 0.5, 20.0)))
    def delay_watch(self, name: str, seconds: float) -> None:
        """What a watch tells from now on comes late, or in time again."""
        self.weather.lag[name] = seconds

    @rule()
    def forget_history(self) -> None:
        """The API server compacts: a watch that is broken cannot be resumed."""
        self.cluster.compact()
